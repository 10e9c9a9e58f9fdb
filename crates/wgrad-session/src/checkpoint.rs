//! Checkpoints: a folder with `model.safetensors` (weights and buffers under PyTorch's names),
//! `optimizer.safetensors` (its state, if there is any) and further small files, replaced as a whole.
//!
//! A checkpoint is written beside its place, synced, and renamed into it; the one before is gone only after that. A
//! full disk or a power cut leaves the old one.

use crate::{NamedTensor, SessionError, Tensors};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use wgrad_graph::Role;
use wgrad_types::{DType, HostTensor, Type};

/// Weights and buffers.
pub const MODEL_FILE: &str = "model.safetensors";
/// Optimizer state.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> SessionError + '_ {
    move |source| SessionError::Io { path: path.into(), source }
}

/// Writes a file under a temporary name, syncs it, renames it into place.
///
/// # Errors
/// If the disk refuses; the old file stays.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), SessionError> {
    let temporary = suffixed(path, "tmp");
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        SessionError::Io { path: path.into(), source }
    })
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    // Without a trailing slash: beside the folder, not inside.
    let mut name = path.components().as_path().as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// A tensor's bytes as safetensors keeps them.
struct Raw<'t>(&'t HostTensor);

impl safetensors::View for Raw<'_> {
    fn dtype(&self) -> Dtype {
        if self.0.ty.dtype == DType::F32 { Dtype::F32 } else { Dtype::I32 }
    }
    fn shape(&self) -> &[usize] {
        &self.0.ty.shape
    }
    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.0.words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>().into()
    }
    fn data_len(&self) -> usize {
        self.0.words.len() * 4
    }
}

/// Tensors as a safetensors file.
pub fn encode(tensors: &[(&str, &HostTensor)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, tensor)| (*name, Raw(tensor)));
    safetensors::serialize(views, None).expect("shapes and bytes agree by construction")
}

/// The f32 and i32 tensors of a safetensors file (i64 narrows to i32).
///
/// # Errors
/// If the file is no safetensors file, or holds another dtype.
pub fn decode(path: &Path, bytes: &[u8]) -> Result<Vec<(String, HostTensor)>, SessionError> {
    let corrupt = |why: String| SessionError::Corrupt { path: path.into(), why };
    let file = SafeTensors::deserialize(bytes).map_err(|e| corrupt(e.to_string()))?;
    let tensor = |(name, view): (String, TensorView<'_>)| {
        let data = view.data();
        let (dtype, words): (DType, Vec<u32>) = match view.dtype() {
            Dtype::F32 => {
                (DType::F32, data.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect())
            }
            Dtype::I32 => {
                (DType::I32, data.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect())
            }
            Dtype::I64 => {
                (DType::I32, data.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as u32).collect())
            }
            other => return Err(corrupt(format!("{name} has dtype {other:?}"))),
        };
        Ok((name, HostTensor { ty: Type::new(dtype, view.shape()), words }))
    };
    let mut tensors: Vec<_> = file.tensors().into_iter().map(tensor).collect::<Result<_, _>>()?;
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tensors)
}

/// The tensors of one safetensors file, for [`crate::Session::load`].
///
/// # Errors
/// If it cannot be read, or [`decode`] refuses it.
pub fn read(path: &Path) -> Result<Vec<(String, HostTensor)>, SessionError> {
    decode(path, &fs::read(path).map_err(io(path))?)
}

/// Error if something other than a checkpoint stands at `dir`: replacing it would delete a user's files.
fn check_replaceable(dir: &Path) -> Result<(), SessionError> {
    let corrupt = |why: String| SessionError::Corrupt { path: dir.into(), why };
    if dir.file_name().is_none() {
        return Err(corrupt("a checkpoint is a folder with a name of its own".into()));
    }
    if !dir.exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(io(dir))?;
    let folder = entries.iter().find(|e| e.path().is_dir());
    let is_checkpoint = entries.is_empty() || entries.iter().any(|e| e.file_name() == MODEL_FILE);
    let Some(foreign) = folder.or_else(|| entries.first().filter(|_| !is_checkpoint)) else { return Ok(()) };
    let name = foreign.file_name().display().to_string();
    let why = format!("it holds {name}, and saving would delete that; choose a folder of its own");
    Err(corrupt(why))
}

/// Replaces the checkpoint `dir`: tensors and further files by name.
///
/// # Errors
/// If the disk refuses, or `dir` is a file or a folder other than a checkpoint; what was there stays.
pub fn save(dir: &Path, tensors: &Tensors, files: &[(&str, Vec<u8>)]) -> Result<(), SessionError> {
    check_replaceable(dir)?;
    let (temporary, old) = (suffixed(dir, "tmp"), suffixed(dir, "old"));
    let pick = |states: bool| -> Vec<(&str, &HostTensor)> {
        let of_kind = tensors.iter().filter(|t| (t.role == Role::State) == states);
        of_kind.map(|t| (t.name.as_str(), &t.value)).collect()
    };
    let write = || -> std::io::Result<()> {
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        fs::create_dir_all(&temporary)?;
        write_synced(&temporary.join(MODEL_FILE), &encode(&pick(false)))?;
        let states = pick(true);
        if !states.is_empty() {
            write_synced(&temporary.join(OPTIMIZER_FILE), &encode(&states))?;
        }
        for (name, bytes) in files {
            write_synced(&temporary.join(name), bytes)?;
        }
        sync_folder(&temporary)?;
        if dir.exists() {
            if old.exists() {
                fs::remove_dir_all(&old)?;
            }
            fs::rename(dir, &old)?;
        }
        fs::rename(&temporary, dir)?;
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        if old.exists() {
            fs::remove_dir_all(&old)?;
        }
        Ok(())
    };
    write().map_err(|source| {
        let _ = fs::remove_dir_all(&temporary);
        SessionError::Io { path: dir.into(), source }
    })?;
    tracing::info!(tensors = tensors.len(), path = %dir.display(), "checkpoint saved");
    Ok(())
}

/// Makes renames in a folder durable, if the system can sync folders.
fn sync_folder(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Folder to read for checkpoint `dir`: itself, or the one before if a replacement was cut off half-way.
pub fn newest(dir: &Path) -> PathBuf {
    let old = suffixed(dir, "old");
    if !dir.exists() && old.exists() { old } else { dir.into() }
}

/// A file of a checkpoint.
///
/// # Errors
/// If it cannot be read.
pub fn read_file(dir: &Path, name: &str) -> Result<Vec<u8>, SessionError> {
    let path = newest(dir).join(name);
    fs::read(&path).map_err(io(&path))
}

/// Tensors of a checkpoint. `role` tells weights from buffers by name. A checkpoint without an optimizer file has no states:
/// inference needs none.
///
/// # Errors
/// If the model file is missing, or a file is no safetensors file.
pub fn load(dir: &Path, role: impl Fn(&str) -> Role) -> Result<Tensors, SessionError> {
    let mut tensors = Tensors::new();
    for (name, states) in [(MODEL_FILE, false), (OPTIMIZER_FILE, true)] {
        let path = newest(dir).join(name);
        let bytes = match fs::read(&path) {
            Err(e) if states && e.kind() == std::io::ErrorKind::NotFound => continue,
            found => found.map_err(io(&path))?,
        };
        for (name, tensor) in decode(&path, &bytes)? {
            let role = if states { Role::State } else { role(&name) };
            tensors.push(NamedTensor::new(role, name, tensor));
        }
    }
    tracing::info!(tensors = tensors.len(), path = %dir.display(), "checkpoint loaded");
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(v: f32) -> Tensors {
        vec![
            NamedTensor::new(Role::Weight, "fc.weight", HostTensor::f32(&[2, 2], &[v, 2.0, 3.0, -4.0])),
            NamedTensor::new(Role::Buffer, "bn.running_mean", HostTensor::f32(&[1], &[0.5])),
            NamedTensor::new(Role::State, "fc.weight.exp_avg", HostTensor::f32(&[2, 2], &[0.1, 0.2, 0.3, v])),
        ]
    }

    fn role(name: &str) -> Role {
        if name.contains("running") { Role::Buffer } else { Role::Weight }
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("checkpoint");
        for v in [1.0, 7.0] {
            save(&dir, &tensors(v), &[("state.json", b"{}".to_vec())]).expect("saved");
            let mut back = load(&dir, role).expect("loaded");
            let mut want = tensors(v);
            back.sort_by(|a, b| a.name.cmp(&b.name));
            want.sort_by(|a, b| a.name.cmp(&b.name));
            assert_eq!(back, want);
        }
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1, "nothing temporary stays");
    }

    #[test]
    fn save_over_foreign_files_is_refused_and_leaves_them() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| root.path().join(name);
        let refused = |dir: &Path| save(dir, &tensors(1.0), &[]).expect_err("refused").to_string();
        fs::write(at("notes"), "mine").expect("written");
        assert!(refused(&at("notes")).ends_with("a file stands where a folder should be"));
        assert_eq!(fs::read(at("notes")).expect("still there"), b"mine");
        let want = format!("{} is not a usable checkpoint: it holds notes, ", root.path().display());
        assert!(refused(root.path()).starts_with(&want));
        fs::remove_file(at("notes")).expect("removed");
        save(&at("run"), &tensors(1.0), &[]).expect("saved");
        save(&at("run/best"), &tensors(1.0), &[]).expect("saved inside");
        assert!(refused(&at("run")).contains("it holds best, "));
        assert!(load(&at("run/best"), role).is_ok());
        for none in ["", ".", "..", "/"] {
            assert!(refused(Path::new(none)).ends_with("a folder with a name of its own"), "{none:?}");
        }
    }

    #[test]
    fn save_with_trailing_slash_replaces_the_folder() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("checkpoint/");
        for v in [1.0, 7.0] {
            save(&dir, &tensors(v), &[]).expect("saved");
        }
        assert_eq!(load(&dir, role).expect("loaded").len(), 3);
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1, "nothing temporary stays");
    }

    #[test]
    fn a_failed_save_leaves_the_old_one() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("checkpoint");
        save(&dir, &tensors(1.0), &[]).expect("saved");
        // A file in the temporary folder's place cannot be replaced by a folder.
        let failed = save(&dir, &tensors(2.0), &[("no/such/folder", vec![])]);
        assert!(matches!(failed, Err(SessionError::Io { .. })));
        assert_eq!(load(&dir, role).expect("loaded").len(), 3);
    }

    #[test]
    fn a_replacement_cut_off_is_recovered() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("checkpoint");
        save(&dir, &tensors(1.0), &[]).expect("saved");
        fs::rename(&dir, suffixed(&dir, "old")).expect("renamed");
        assert_eq!(load(&dir, role).expect("loaded").len(), 3);
    }

    #[test]
    fn load_without_optimizer_file_gives_the_model() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let dir = root.path().join("checkpoint");
        save(&dir, &tensors(1.0), &[]).expect("saved");
        fs::remove_file(dir.join(OPTIMIZER_FILE)).expect("removed");
        assert_eq!(load(&dir, role).expect("loaded").len(), 2);
        let model: Tensors = tensors(1.0).into_iter().filter(|t| t.role != Role::State).collect();
        save(&dir, &model, &[]).expect("saved");
        assert!(!dir.join(OPTIMIZER_FILE).exists(), "nothing to keep, no file");
        fs::remove_file(dir.join(MODEL_FILE)).expect("removed");
        assert!(matches!(load(&dir, role), Err(SessionError::Io { .. })), "the model is needed");
    }

    #[test]
    fn garbage_is_named() {
        let e = decode(Path::new("m.safetensors"), b"not a file").expect_err("garbage").to_string();
        assert!(e.starts_with("m.safetensors is not a usable checkpoint: "), "{e}");
    }
}
