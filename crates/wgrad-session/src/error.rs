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
    /// A tensor to load does not fit the model.
    #[error("{name}: {why}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What does not fit.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
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
