//! A run's folder belongs to one run: nothing that stands there is written over, and no two runs write at once.

use crate::TrainError;
use crate::kept::BEST;
use crate::state::{CHECKPOINT, CONFIG, CURVES, LABELS, METRICS};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use wgrad_session::{SessionError, checkpoint};

/// The file that a run holds locked while it lasts.
const LOCK: &str = ".lock";

/// Held while a run lasts; the system lets go of it with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
    path: PathBuf,
    /// Folders made for it, the innermost first.
    made: Vec<PathBuf>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What cannot be removed harms nobody. Folders that hold nothing yet go, too.
        let _ = std::fs::remove_file(&self.path);
        self.made.iter().for_each(|made| {
            let _ = std::fs::remove_dir(made);
        });
    }
}

/// Makes the folder where it is not there, and takes it.
pub(crate) fn lock(out: &Path) -> Result<Lock, TrainError> {
    let io = |source| TrainError::from(SessionError::Io { path: out.into(), source });
    let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made = out.ancestors().take_while(missing).map(Path::to_path_buf).collect();
    std::fs::create_dir_all(out).map_err(io)?;
    let path = out.join(LOCK);
    let file = File::create(&path).map_err(io)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy { out: out.into() }),
        // Some network file systems know no locks: then it is as it was before there was one.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Lock { _file: file, path, made }),
    }
}

/// That a new run writes over nothing; `sheet` is the picture that it writes beside the usual files, if any.
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

/// Takes back what a run has written before its first checkpoint.
pub(crate) fn release(out: &Path) {
    for name in [CONFIG, LABELS] {
        let _ = std::fs::remove_file(out.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_at_a_time_and_nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let held = lock(&out).unwrap();
        assert!(matches!(lock(&out), Err(TrainError::Busy { .. })));
        drop(held);
        assert!(!out.exists(), "a folder made for nothing goes again");
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
