//! Errors of a device, as values.

/// Names of devices, in words.
pub const DEVICES: &str = "auto, gpu, gpu:N, software or cpu";

/// A failure of a device or of the search for one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is no device.
    #[error("unknown device {name:?}: use {} (see `adapters`)", DEVICES)]
    Unknown {
        /// The requested name.
        name: String,
    },
    /// No adapter fits the request.
    #[error("no {wanted} found: {hint}")]
    NotFound {
        /// The requested device.
        wanted: String,
        /// The remedy.
        hint: String,
    },
    /// The driver refused to open the adapter.
    #[error("{adapter} could not be opened: {why}")]
    Open {
        /// The adapter.
        adapter: String,
        /// The driver's reason.
        why: String,
    },
    /// A kernel was rejected.
    #[error("kernel {kernel} was rejected: {why}")]
    Kernel {
        /// Kernel and layer.
        kernel: String,
        /// The compiler's reason, first line.
        why: String,
    },
    /// A user's operation failed while it ran.
    #[error("{kernel} failed: {why}")]
    Failed {
        /// Kernel and layer.
        kernel: String,
        /// The driver's reason.
        why: String,
    },
    /// Memory ran out.
    #[error("out of memory: {what}; use a smaller batch or a narrower model")]
    OutOfMemory {
        /// The allocation, with its size.
        what: String,
    },
    /// The device is gone: reset, unplugged, or killed by a watchdog.
    #[error("the device was lost: {why}")]
    Lost {
        /// The driver's reason.
        why: String,
    },
    /// wgpu reported a validation error: a bug in wgrad.
    #[error("the GPU rejected a step (a bug in wgrad, please report): {why}")]
    Validation {
        /// wgpu's reason.
        why: String,
    },
}
