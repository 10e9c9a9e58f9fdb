//! Run folder: belongs to one run. Existing files are never overwritten, and only one process writes at a time.

use crate::TrainError;
use crate::saved::files::{BEST, CHECKPOINT, CONFIG, CURVES, LABELS, METRICS};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use wgrad_session::{SessionError, checkpoint};

/// Lock file, held by a run until it ends.
const LOCK: &str = ".lock";

/// Lock on a run folder; the operating system releases it when the process ends for any reason.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    path: PathBuf,
    /// Folders created for the run, innermost first.
    made: Vec<PathBuf>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Failures are harmless. Empty folders are removed, too.
        let _ = std::fs::remove_file(&self.path);
        self.made.iter().for_each(|made| {
            let _ = std::fs::remove_dir(made);
        });
    }
}

/// Creates the folder if necessary and locks it.
pub(crate) fn lock(out: &Path) -> Result<Lock, TrainError> {
    let io = |source| TrainError::from(SessionError::Io { path: out.into(), source });
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made = out.ancestors().take_while(missing).map(Path::to_path_buf).collect();
    std::fs::create_dir_all(out).map_err(io)?;
    let path = out.join(LOCK);
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy { out: out.into() }),
        // Some network file systems have no locks: the run then goes unprotected.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Lock { _file: file, path, made }),
    }
}

/// Error if a new run would overwrite a file; `sheet` is the image written beside the usual files, if any.
pub(crate) fn check_free(out: &Path, sheet: Option<&str>) -> Result<(), TrainError> {
    if checkpoint::newest(&out.join(CHECKPOINT)).exists() || out.join(CONFIG).exists() {
        return Err(TrainError::Exists { out: out.into() });
    }
    let written = [LABELS, METRICS, CURVES, BEST].into_iter().chain(sheet);
    match written.map(|name| out.join(name)).find(|path| path.exists()) {
        Some(path) => Err(TrainError::Occupied { path }),
        None => Ok(()),
    }
}

/// Error if the output folder lies inside the data folder or contains it.
pub(crate) fn check_apart(out: &Path, spec: &str) -> Result<(), TrainError> {
    let Some((_, data)) = spec.split_once(':').filter(|(kind, _)| *kind != "text") else { return Ok(()) };
    let Ok(data) = std::fs::canonicalize(data) else { return Ok(()) };
    // The folder may not exist yet: only the existing part of its path is free of links.
    let whole = std::path::absolute(out).unwrap_or_else(|_| out.into());
    let real = whole.ancestors().find_map(|there| {
        let rest = whole.strip_prefix(there).ok()?;
        let there = std::fs::canonicalize(there).ok()?;
        Some(if rest.as_os_str().is_empty() { there } else { there.join(rest) })
    });
    let real = real.unwrap_or(whole);
    if !real.starts_with(&data) && !data.starts_with(&real) {
        return Ok(());
    }
    let why = format!(
        "{} and the data folder {} contain one another: choose a separate folder",
        out.display(),
        data.display()
    );
    Err(TrainError::config("out", why))
}

/// Removes the files written by a run before its first checkpoint.
pub(crate) fn release(out: &Path) {
    for name in [CONFIG, LABELS] {
        let _ = std::fs::remove_file(out.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_folder_inside_or_around_the_data_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("photos");
        std::fs::create_dir_all(&data).unwrap();
        let spec = format!("folder:{}", data.display());
        let apart = |out: &Path| check_apart(out, &spec);
        for out in [data.clone(), data.join("new/run"), dir.path().into()] {
            let told = apart(&out).unwrap_err().to_string();
            assert!(told.starts_with("`out`: "), "{told}");
        }
        apart(&dir.path().join("photos-run")).unwrap();
        check_apart(&data, "fashion-mini").unwrap();
    }

    #[test]
    fn run_folder_is_locked_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let held = lock(&out).unwrap();
        assert!(matches!(lock(&out), Err(TrainError::Busy { .. })));
        drop(held);
        assert!(!out.exists(), "an unused new folder is removed");
        drop(lock(&out).unwrap());
        std::fs::create_dir_all(&out).unwrap();
        check_free(&out, None).unwrap();
        std::fs::write(out.join(LABELS), "mine").unwrap();
        let error = check_free(&out, None).unwrap_err().to_string();
        assert!(error.contains("labels.txt"), "{error}");
        std::fs::write(out.join(CONFIG), "").unwrap();
        assert!(matches!(check_free(&out, None), Err(TrainError::Exists { .. })));
        release(&out);
        check_free(&out, None).unwrap();
    }
}
