//! What a run trains on and how it is judged, as the training loop sees it: images or text.

use crate::TrainError;
use crate::evaluate::Evaluation;
use crate::state::Card;
use std::sync::atomic::AtomicBool;
use wgrad_graph::{Graph, Tensor};
use wgrad_nn::{Net, Optimizer, accumulate};
use wgrad_session::{Runner, Session};
use wgrad_types::HostTensor;

/// One batch as a training plan takes it.
pub(crate) struct Feed {
    pub x: HostTensor,
    pub y: HostTensor,
    /// Rows: a full batch's, or those of the shorter one at an epoch's end.
    pub rows: usize,
}

/// Output of a training step: the largest magnitude of the first weight's gradient, or of the first that is not large. The
/// backward pass ends there, so a NaN or an infinity of any layer behind arrives; that of a later one is in the next loss.
pub(crate) const GRADIENT: &str = "gradient";

/// Elements of a gradient that is looked at in every step, at most: it is read once more for that.
const LOOKED_AT: usize = 1 << 20;

/// What a training step does with its gradients.
#[derive(Clone, Copy)]
pub(crate) enum Gradients<'a> {
    /// Moves the weights by them.
    Update(&'a Optimizer),
    /// Adds them to sums for an update to come.
    Sum {
        /// As the optimizer's.
        loss_scaling: bool,
    },
}

impl Gradients<'_> {
    /// Adds what is to be done for a loss and the weights that move.
    pub(crate) fn of(self, loss: &Tensor, weights: &[(String, Tensor)]) -> Result<(), TrainError> {
        let (gradients, loss_scaling) = match self {
            Self::Update(optimizer) => (optimizer.minimise(loss, weights)?, optimizer.loss_scaling),
            Self::Sum { loss_scaling } => (accumulate(loss, weights, loss_scaling)?, loss_scaling),
        };
        // A bad step of scaled losses moves nothing and is no news.
        let small = gradients.iter().find(|g| g.numel() <= LOOKED_AT);
        if let Some(gradient) = small.filter(|_| !loss_scaling) {
            let axes: Vec<usize> = (0..gradient.shape().len()).collect();
            loss.builder().output(GRADIENT, &gradient.abs().amax_keep(&axes));
        }
        Ok(())
    }
}

/// The batches of an epoch.
pub(crate) type Feeds<'a> = Box<dyn Iterator<Item = Result<Feed, TrainError>> + 'a>;

/// How many samples a data set holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Samples trained on.
    pub train: usize,
    /// Samples held out for validation.
    pub validation: usize,
    /// Samples for the last word.
    pub test: usize,
}

/// A model with its data.
pub(crate) trait Task {
    /// What the data holds.
    fn sizes(&self) -> Sizes;
    /// The share of the training data held out for validation.
    fn val_split(&self) -> Option<f64>;
    /// The model and how to feed it, as a checkpoint keeps it.
    fn card(&self) -> Card;
    /// What the loss and accuracy are over: `images`, `tokens` or `pixels`.
    fn unit(&self) -> &'static str;
    /// What the score shown beside the loss is.
    fn score(&self) -> &'static str {
        "accuracy"
    }
    /// Whether a lower loss on the split watched means better weights.
    fn ranks(&self) -> bool {
        true
    }
    /// Training samples of each class; none if classes do not matter.
    fn class_counts(&self) -> Vec<u64> {
        Vec::new()
    }
    /// Different tokens of a text.
    fn vocabulary(&self) -> Option<usize> {
        None
    }
    /// Rows of a training batch, and of a shorter one at an epoch's end.
    fn batch_sizes(&self) -> (usize, Option<usize>);
    /// A training step on so many rows: inputs `x` and `y`, outputs `loss` (mean over labels that are not padding) and
    /// `correct` (count).
    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError>;
    /// What follows each training step where the model has a second player: its step, without inputs.
    fn answer(&self, _rows: usize, _optimizer: &Optimizer) -> Result<Option<Graph>, TrainError> {
        Ok(None)
    }
    /// An evaluation batch, over averaged weights where the session keeps such.
    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError>;
    /// Batches of an epoch.
    fn batches_per_epoch(&self) -> usize;
    /// The batches of an epoch from one on.
    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_>;
    /// The split evaluated after every epoch: `validation`, `test` or `training`.
    fn watched(&self) -> &'static str;
    /// Evaluates the split watched or, as the run's last word, the test split where there is one; `stop` ends it with
    /// [`TrainError::Stopped`].
    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        final_test: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError>;
    /// A PNG file that shows what the last judgement saw, with its name, once.
    fn picture(&self) -> Option<(&'static str, Vec<u8>)> {
        None
    }
    /// What came up while batches were made, said once.
    fn take_warnings(&self) -> Vec<String>;
}
