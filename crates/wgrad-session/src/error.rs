//! What can go wrong with a session.

use std::path::PathBuf;
use wgrad_device::DeviceError;
use wgrad_plan::PlanError;

/// A failure of a session or checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The graph has no plan on this device.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A step was given the wrong inputs or scalars.
    #[error("input {name}: {why}")]
    Input {
        /// The input or scalar.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A step over the memory of a session that the runner was not made for.
    #[error(
        "this runner belongs to another session; step it with the session it was made with, or make one by session.runner(&graph)"
    )]
    OtherSession,
    /// A tensor to load does not fit the model.
    #[error("{name}: {why}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}{advice}", path = path.display(), advice = advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is not a usable checkpoint: {why}", path = path.display())]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What to do about the system's refusal, where it is known.
fn advice(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "; free some space and call again: what was there is untouched"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder that may be written to"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "; a file stands where a folder should be",
        _ => "",
    }
}
