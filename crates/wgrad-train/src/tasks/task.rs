//! Task of a run as seen by the training loop: data, graphs and evaluation.

use super::gradients::Gradients;
use crate::TrainError;
use crate::evaluation::Evaluation;
use crate::saved::card::Card;
use std::sync::atomic::AtomicBool;
use wgrad_graph::Graph;
use wgrad_nn::{Mode, Net, Optimizer};
use wgrad_session::{Runner, Session};
use wgrad_types::HostTensor;

/// Inputs of one training step.
pub struct Feed {
    /// Input `x`.
    pub x: HostTensor,
    /// Input `y`: labels.
    pub y: HostTensor,
    /// Number of rows: of a full batch, or of the shorter one at the end of an epoch.
    pub rows: usize,
}

/// Network of an evaluation batch during training; with `averaged`, over the moving averages of the weights.
pub(crate) fn evaluation_net(averaged: bool) -> Net {
    if averaged { Net::averaged() } else { Net::new(Mode::Eval) }
}

/// Batches of an epoch.
pub type Feeds<'a> = Box<dyn Iterator<Item = Result<Feed, TrainError>> + 'a>;

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
pub trait Task {
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
