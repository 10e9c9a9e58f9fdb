//! PyTorch's own results: training runs and operator cases (tests/golden; see its README). `WGRAD_GOLDEN_DIR` names
//! another folder of the same layout.

mod decisions;
mod edges;
mod exact;
mod held;
mod noise;
mod ops;
mod optimizers;
mod runs;
mod sequences;
pub(crate) mod special;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wgrad_types::Array;

/// A file of references: tensors in f64, and the metadata.
pub(crate) struct Reference {
    tensors: BTreeMap<String, (Array, bool)>,
    metadata: serde_json::Map<String, serde_json::Value>,
}

fn folder() -> PathBuf {
    std::env::var_os("WGRAD_GOLDEN_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden"), PathBuf::from)
}

/// Reads a file of the golden folder; a missing one is a failure.
pub(crate) fn read(name: &str) -> Reference {
    let path = folder().join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let json: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a JSON header");
    let metadata = json["__metadata__"].as_object().cloned().unwrap_or_default();
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let data = view.data();
        let (values, whole): (Vec<f64>, bool) = match view.dtype() {
            Dtype::F32 => {
                (data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(), false)
            }
            Dtype::F64 => (data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(), false),
            Dtype::I64 => {
                (data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(), true)
            }
            other => panic!("{name}: dtype {other:?}"),
        };
        (name, (Array::new(view.shape(), values), whole))
    });
    Reference { tensors: tensors.collect(), metadata }
}

impl Reference {
    pub(crate) fn get(&self, name: &str) -> &Array {
        &self.tensors.get(name).unwrap_or_else(|| panic!("the reference has no {name}")).0
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Array> {
        self.tensors.get(name).map(|t| &t.0)
    }

    /// True if the tensor holds integers.
    pub(crate) fn whole(&self, name: &str) -> bool {
        self.tensors[name].1
    }

    /// Names under a prefix, without it.
    pub(crate) fn under(&self, prefix: &str) -> Vec<String> {
        self.tensors.keys().filter_map(|k| k.strip_prefix(prefix)).map(str::to_owned).collect()
    }

    pub(crate) fn cases(&self) -> Vec<serde_json::Value> {
        let text = self.metadata["cases"].as_str().expect("a list of cases");
        serde_json::from_str(text).expect("JSON")
    }
}
