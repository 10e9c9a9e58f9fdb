//! Errors, each one line naming the failure, its place and the remedy.
//!
//! Settings, arguments and items of this crate are in backticks; the command line puts its flags and commands there.

use std::path::PathBuf;
use wgrad_data::DataError;
use wgrad_device::DeviceError;
use wgrad_models::ModelError;
use wgrad_session::SessionError;

/// Failure of training, evaluation or prediction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Invalid setting.
    #[error("`{setting}`: {why}")]
    Config {
        /// Field of [`crate::Config`] or [`crate::Sampling`], or argument.
        setting: String,
        /// Reason and remedy. Other settings are in backticks.
        why: String,
    },
    /// Invalid settings file, or a picture that cannot be made.
    #[error("{name}: {why}")]
    File {
        /// File.
        name: String,
        /// Reason.
        why: String,
    },
    /// Failure of the data source.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Failure to build the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Failure of the device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Failure of plans, tensors or checkpoints.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Non-finite loss, gradient or weight.
    #[error("{what} became {value} at step {step}: lower `lr`, or locate the cause with `detect_anomaly`{}", earlier(saved.as_ref()))]
    Diverged {
        /// Name of the value.
        what: String,
        /// NaN or an infinity.
        value: f32,
        /// Step, from 1.
        step: u64,
        /// Folder of the run and epoch of its best weights, if any.
        saved: Option<(PathBuf, u64)>,
    },
    /// Non-finite value with its origin (with `detect_anomaly`).
    #[error("step {step}: {what}")]
    Anomaly {
        /// Step, from 1.
        step: u64,
        /// Kernel, layer, operands and cause.
        what: String,
    },
    /// The output folder already holds a run.
    #[error("{out} already holds a run: continue it with `resume`, or choose another `out`", out = out.display())]
    Exists {
        /// Folder.
        out: PathBuf,
    },
    /// A file in the output folder would be overwritten.
    #[error("{path} exists already and would be overwritten: choose another `out`", path = path.display())]
    Occupied {
        /// File.
        path: PathBuf,
    },
    /// Another process is training in the output folder.
    #[error("{out}: another run is writing to this folder: wait for it, or choose another `out`", out = out.display())]
    Busy {
        /// Folder.
        out: PathBuf,
    },
    /// The checkpoint is of another model.
    #[error("{path} is of another model: {why}", path = path.display())]
    OtherModel {
        /// Folder.
        path: PathBuf,
        /// Difference between the models.
        why: String,
    },
    /// A newer program has written the checkpoint.
    #[error("{path}: written by a newer wgrad (format {format}, this program reads up to {known}): update wgrad", path = path.display())]
    Newer {
        /// Folder.
        path: PathBuf,
        /// Number of its format.
        format: u64,
        /// Newest format known.
        known: u64,
    },
    /// The caller stopped the evaluation.
    #[error("stopped")]
    Stopped,
    /// There is nothing to resume or load.
    #[error("{path}: no checkpoint here ({why}); give a run folder written by `train`", path = path.display())]
    NoCheckpoint {
        /// Folder.
        path: PathBuf,
        /// Missing or damaged file.
        why: String,
    },
    /// The run folder lacks files needed to resume; its weights may still be usable.
    #[error("{path} cannot be resumed: {why}", path = path.display())]
    CannotResume {
        /// Folder.
        path: PathBuf,
        /// Missing or damaged file, and the remedy.
        why: String,
    },
    /// The graph cannot be differentiated.
    #[error("this model cannot be trained: {0}")]
    Graph(#[from] wgrad_types::ShapeError),
}

fn earlier(saved: Option<&(PathBuf, u64)>) -> String {
    saved.map_or(String::new(), |(out, epoch)| {
        let out = out.display();
        format!(" (`resume` with a lower `lr` continues from the last good checkpoint; the weights of epoch {epoch}, the best so far, are in {out}: `init_from` {out} starts from them)")
    })
}

impl TrainError {
    pub(crate) fn config(setting: &str, why: impl Into<String>) -> Self {
        Self::Config { setting: setting.into(), why: why.into() }
    }

    pub(crate) fn file(name: &str, why: impl Into<String>) -> Self {
        Self::File { name: name.into(), why: why.into() }
    }

    /// True for an error of usage (exit code 2), not of the environment (1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config { .. } | Self::File { .. } | Self::Model(_))
            || matches!(
                self,
                Self::Exists { .. }
                    | Self::Occupied { .. }
                    | Self::Device(DeviceError::Unknown { .. })
                    | Self::Data(DataError::UnknownSource { .. } | DataError::Invalid { .. })
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_error_names_best_weights_if_any() {
        let told = |saved| {
            TrainError::Diverged { what: "the loss".into(), value: f32::NAN, step: 7, saved }.to_string()
        };
        assert!(!told(None).contains("init_from") && !told(None).contains("checkpoint"));
        assert!(
            told(Some(("run".into(), 3))).contains("epoch 3, the best so far, are in run: `init_from` run")
        );
    }
}
