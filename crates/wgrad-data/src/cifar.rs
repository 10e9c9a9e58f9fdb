//! CIFAR-10 in its official binary version: five training batches and a test batch of 32 x 32 colour images.
//!
//! Only the binary version is read, never the Python or Matlab one. The planes are interleaved at open.

use std::path::Path;

use crate::contents::{Source, SourceOptions};
use crate::error::DataError;
use crate::subset::{Memory, Store};

const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
/// A label byte and three planes.
const RECORD: usize = 1 + 3 * PLANE;

pub(crate) fn open(dir: &Path, _: &SourceOptions) -> Result<Source, DataError> {
    let unpacked = dir.join("cifar-10-batches-bin");
    let dir = if unpacked.is_dir() { &unpacked } else { dir };
    let train = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect::<Vec<_>>();
    Ok(Source {
        classes: classes(dir),
        channels: 3,
        image_size: Some((SIDE, SIDE)),
        levels: None,
        train: read(dir, &train)?,
        validation: None,
        test: Some(read(dir, &["test_batch.bin".to_owned()])?),
        warnings: Vec::new(),
    })
}

/// The names in `batches.meta.txt` if it has ten, else the official ones.
fn classes(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("batches.meta.txt")).unwrap_or_default();
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() == CLASSES.len() { names } else { CLASSES.map(str::to_owned).to_vec() }
}

fn read(dir: &Path, names: &[String]) -> Result<Store, DataError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for name in names {
        let path = dir.join(name);
        if !path.is_file() {
            let hint = "unpack the binary version, cifar-10-binary.tar.gz, there";
            return Err(DataError::Missing { path, hint });
        }
        let bytes = std::fs::read(&path).map_err(|e| DataError::io(&path, e))?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) {
            let problem = format!("its {} bytes are no whole number of {RECORD}-byte records", bytes.len());
            return Err(DataError::malformed(&path, problem));
        }
        for (i, record) in bytes.chunks_exact(RECORD).enumerate() {
            let (label, planes) = (record[0], &record[1..]);
            if usize::from(label) >= CLASSES.len() {
                let problem = format!("label {label} of record {i} is not below 10");
                return Err(DataError::malformed(&path, problem));
            }
            labels.push(label);
            pixels.extend((0..PLANE).flat_map(|p| [planes[p], planes[PLANE + p], planes[2 * PLANE + p]]));
        }
    }
    Ok(Store::Memory(Memory { height: SIDE, width: SIDE, channels: 3, pixels, labels }))
}
