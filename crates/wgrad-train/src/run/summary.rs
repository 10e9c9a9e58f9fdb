//! Summary of a run.

use crate::evaluation::Evaluation;
use std::path::PathBuf;

/// Summary of a finished or interrupted run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Run folder.
    pub out: PathBuf,
    /// Name of the device.
    pub device: String,
    /// Steps done.
    pub steps: u64,
    /// True if stopped by the caller; the run can be resumed.
    pub interrupted: bool,
    /// Final test: on test images if there are any, else on the monitored split. `None` if interrupted.
    pub evaluation: Option<Evaluation>,
    /// Epoch of the tested weights, and its loss on the monitored split; `None` for the last weights.
    pub best: Option<(u64, f64)>,
    /// Epochs done.
    pub epochs: u64,
    /// Monitored split; its loss selects the best weights.
    pub watched: &'static str,
    /// Seconds spent in training steps during this call, without evaluation and saving.
    pub train_seconds: f64,
    /// Samples trained on during this call.
    pub samples: u64,
    /// Unit of the samples: `images`, `tokens` or `pixels`.
    pub unit: &'static str,
    /// Number of trainable parameters.
    pub parameters: usize,
}
