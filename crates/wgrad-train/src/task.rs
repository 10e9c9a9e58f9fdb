//! Task of a run as seen by the training loop: data, graphs and evaluation.

use crate::TrainError;
use crate::evaluate::Evaluation;
use crate::state::Card;
use std::sync::atomic::AtomicBool;
use wgrad_graph::{Graph, Tensor};
use wgrad_nn::{Net, Optimizer, accumulate};
use wgrad_session::{Runner, Session};
use wgrad_types::HostTensor;

/// Inputs of one training step.
pub(crate) struct Feed {
    pub x: HostTensor,
    pub y: HostTensor,
    /// Number of rows: of a full batch, or of the shorter one at the end of an epoch.
    pub rows: usize,
}

/// Output of a training step: the largest magnitude of the first weight's gradient (or of the first one small enough). The
/// backward pass ends there, so a NaN or an infinity propagated by any layer reaches it; one in a later weight's gradient
/// alone shows in the next loss.
pub(crate) const GRADIENT: &str = "gradient";

/// Maximum number of elements of the gradient checked in every step, as the check reads it once more.
const LOOKED_AT: usize = 1 << 20;

/// Use of the gradients of a training step.
#[derive(Clone, Copy)]
pub(crate) enum Gradients<'a> {
    /// Update of the weights.
    Update(&'a Optimizer),
    /// Accumulation for a later update.
    Sum {
        /// Loss scaling, as in the optimizer.
        loss_scaling: bool,
    },
}

impl Gradients<'_> {
    /// Adds the gradients of a loss, and their use, to the graph for the trainable weights.
    pub(crate) fn of(self, loss: &Tensor, weights: &[(String, Tensor)]) -> Result<(), TrainError> {
        let (gradients, loss_scaling) = match self {
            Self::Update(optimizer) => (optimizer.minimise(loss, weights)?, optimizer.loss_scaling),
            Self::Sum { loss_scaling } => (accumulate(loss, weights, loss_scaling)?, loss_scaling),
        };
        // With loss scaling, a step with overflow is skipped and is no error.
        let small = gradients.iter().find(|g| g.numel() <= LOOKED_AT);
        if let Some(gradient) = small.filter(|_| !loss_scaling) {
            let axes: Vec<usize> = (0..gradient.shape().len()).collect();
            loss.builder().output(GRADIENT, &gradient.abs().amax_keep(&axes));
        }
        Ok(())
    }
}

/// Batches of an epoch.
pub(crate) type Feeds<'a> = Box<dyn Iterator<Item = Result<Feed, TrainError>> + 'a>;

/// Number of samples per split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Training samples.
    pub train: usize,
    /// Validation samples.
    pub validation: usize,
    /// Test samples.
    pub test: usize,
}

/// Model with its data.
pub(crate) trait Task {
    /// Sizes of the data set.
    fn sizes(&self) -> Sizes;
    /// Fraction of the training data held out for validation.
    fn val_split(&self) -> Option<f64>;
    /// Description of the model and its input preparation, as stored in checkpoints.
    fn card(&self) -> Card;
    /// Unit of loss and accuracy: `images`, `tokens` or `pixels`.
    fn unit(&self) -> &'static str;
    /// Name of the score shown beside the loss.
    fn score(&self) -> &'static str {
        "accuracy"
    }
    /// True if a lower loss on the monitored split means better weights.
    fn ranks(&self) -> bool {
        true
    }
    /// Training samples per class; empty if classes are unused.
    fn class_counts(&self) -> Vec<u64> {
        Vec::new()
    }
    /// Vocabulary size of a text.
    fn vocabulary(&self) -> Option<usize> {
        None
    }
    /// Rows of a training batch, and of a shorter one at the end of an epoch.
    fn batch_sizes(&self) -> (usize, Option<usize>);
    /// Network of a training step on `rows` rows: inputs `x` and `y`, outputs `loss` (mean over labels other than padding)
    /// and `correct` (count).
    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError>;
    /// Graph of a GAN's generator step, run after each discriminator step, without inputs; `None` for other models.
    fn answer(&self, _rows: usize, _optimizer: &Optimizer) -> Result<Option<Graph>, TrainError> {
        Ok(None)
    }
    /// Graph of an evaluation batch; with `averaged`, over the moving averages of the weights.
    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError>;
    /// Batches of an epoch.
    fn batches_per_epoch(&self) -> usize;
    /// Batches of an epoch, from batch `from` on.
    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_>;
    /// Monitored split, evaluated after every epoch: `validation`, `test` or `training`.
    fn watched(&self) -> &'static str;
    /// Evaluates the monitored split or, for the final test, the test split if there is one; `stop` ends it with
    /// [`TrainError::Stopped`].
    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        final_test: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError>;
    /// PNG file of the last evaluation's images, with its name; returned once.
    fn picture(&self) -> Option<(&'static str, Vec<u8>)> {
        None
    }
    /// Warnings from the preparation of batches; each returned once.
    fn take_warnings(&self) -> Vec<String>;
}
