//! Failures of sessions, trainers and checkpoints.

use std::path::PathBuf;
use wgrad_device::DeviceError;
use wgrad_plan::PlanError;
use wgrad_types::ShapeError;

/// A failure of a session or checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// An operation of the graph has no gradient.
    #[error(transparent)]
    Shape(#[from] ShapeError),
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
        /// The fault.
        why: String,
    },
    /// A runner stepped with the memory of another session.
    #[error(
        "this runner belongs to another session; step it with the session it was made with, or make one by session.runner(&graph)"
    )]
    OtherSession,
    /// Mixed precision on an adapter without f16.
    #[error("f16: {device} has none in its shaders; train in f32 or on another device")]
    NoF16 {
        /// The device.
        device: String,
    },
    /// The network has no weights, or `TrainerOptions::trainable` accepts none of them.
    #[error("no weight to train: the network has none, or `trainable` accepts none of their names")]
    NothingToTrain,
    /// Results were awaited, and no step is under way.
    #[error("no step is under way; submit one first")]
    NothingSubmitted,
    /// A tensor to load does not fit the model.
    #[error("{name}: {why}")]
    Tensor {
        /// The tensor.
        name: String,
        /// The mismatch.
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
    /// A damaged or foreign file.
    #[error("{path} is not a usable checkpoint: {why}", path = path.display())]
    Corrupt {
        /// The file or folder.
        path: PathBuf,
        /// The fault.
        why: String,
    },
}

/// Advice on the system's refusal, if there is any.
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
