//! What can go wrong, each as one line that says what, where, and what to do.

use std::path::PathBuf;
use wgrad_data::DataError;
use wgrad_device::DeviceError;
use wgrad_models::ModelError;
use wgrad_session::SessionError;

/// A failure of training, evaluation or prediction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting makes no sense.
    #[error("{option}: {why}")]
    Config {
        /// The flag or field.
        option: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The data source.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Plans, tensors, checkpoints.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The loss, a gradient or a weight left the numbers.
    #[error("{what} became {value} at step {step}: lower --lr, or see where with --detect-anomaly{}", earlier(saved.as_ref()))]
    Diverged {
        /// Which of them.
        what: String,
        /// NaN or an infinity.
        value: f32,
        /// The step, from 1.
        step: u64,
        /// Folder of the run and epoch of its best weights, if it keeps such.
        saved: Option<(PathBuf, u64)>,
    },
    /// A step made a value that is no finite number (told where `--detect-anomaly` is set).
    #[error("step {step}: {what}")]
    Anomaly {
        /// The step, from 1.
        step: u64,
        /// Kernel, layer, operands and whose fault it is.
        what: String,
    },
    /// The output folder already holds a run.
    #[error("{out} already holds a run: continue it with --resume, or choose another --out", out = out.display())]
    Exists {
        /// The folder.
        out: PathBuf,
    },
    /// The output folder holds a file of this name that a run would write over.
    #[error("{path} is there already and a run would write over it: choose another --out", path = path.display())]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// Another process trains into the folder.
    #[error("{out}: another run is writing there: wait for it, or choose another --out", out = out.display())]
    Busy {
        /// The folder.
        out: PathBuf,
    },
    /// The checkpoint does not fit what is to be done with it.
    #[error("{path} is of another model: {why}", path = path.display())]
    OtherModel {
        /// The folder.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// An evaluation was ended by the caller.
    #[error("stopped")]
    Stopped,
    /// There is nothing to resume or load.
    #[error("{path}: no checkpoint here ({why}); give the folder that `wgrad train --out` wrote", path = path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
        /// What is missing or broken.
        why: String,
    },
    /// A run's folder lacks what going on needs; its weights may still be of use.
    #[error("{path} cannot be resumed: {why}", path = path.display())]
    CannotResume {
        /// The folder.
        path: PathBuf,
        /// What is missing or broken, and what to do.
        why: String,
    },
    /// The graph cannot be differentiated.
    #[error("this model cannot be trained: {0}")]
    Graph(#[from] wgrad_types::ShapeError),
}

fn earlier(saved: Option<&(PathBuf, u64)>) -> String {
    saved.map_or(String::new(), |(out, epoch)| {
        let out = out.display();
        format!(" (--resume with a lower --lr goes on from the last good checkpoint; the weights of epoch {epoch}, the best so far, are in {out}: --init-from {out} starts from them)")
    })
}

impl TrainError {
    pub(crate) fn config(option: &str, why: impl Into<String>) -> Self {
        Self::Config { option: option.into(), why: why.into() }
    }

    /// Whether the call itself was wrong (exit code 2) rather than something in the world (1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Config { .. } | Self::Exists { .. } | Self::Occupied { .. } | Self::Model(_))
            || matches!(
                self,
                Self::Device(DeviceError::Unknown { .. })
                    | Self::Data(DataError::UnknownSource { .. } | DataError::Invalid { .. })
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_names_best_weights_only_if_there_are_such() {
        let told = |saved| {
            TrainError::Diverged { what: "the loss".into(), value: f32::NAN, step: 7, saved }.to_string()
        };
        assert!(!told(None).contains("--init-from") && !told(None).contains("checkpoint"));
        assert!(
            told(Some(("run".into(), 3))).contains("epoch 3, the best so far, are in run: --init-from run")
        );
    }
}
