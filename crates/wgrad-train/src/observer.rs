//! What a run tells those who watch it.

use crate::state::Card;
use crate::task::Sizes;

/// What is about to run, before the first step.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// The device's name.
    pub device: String,
    /// Images or tokens there are.
    pub sizes: Sizes,
    /// The split evaluated after every epoch: `validation`, `test` or `training`.
    pub watched: &'static str,
    /// Training images, or pixels, of each class; none if the data has no classes.
    pub class_counts: Vec<u64>,
    /// The model, what it sees and what it tells apart.
    pub card: Card,
    /// What the loss and accuracy are over: `images`, `tokens` or `pixels`.
    pub unit: &'static str,
    /// What the score is that is shown beside the loss: `accuracy`, or what an autoencoder or DCGAN has.
    pub score: &'static str,
    /// Different tokens of a language model.
    pub vocabulary: Option<usize>,
    /// Trainable numbers.
    pub parameters: usize,
    /// Totals of the training step's plan.
    pub plan: wgrad_plan::Summary,
    /// Steps done before this call and in all.
    pub step: (u64, u64),
    /// Epochs in all.
    pub epochs: u64,
}

/// Progress after a step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Epoch under way, from 1, and how many there are.
    pub epoch: (u64, u64),
    /// Steps done and in all.
    pub step: (u64, u64),
    /// Mean loss of the epoch so far.
    pub loss: f64,
    /// Accuracy of the epoch so far, on training samples as seen.
    pub accuracy: f64,
    /// Training samples (images or tokens) a second, over this epoch.
    pub per_second: f64,
}

/// Progress after an evaluation.
#[derive(Clone, Debug)]
pub struct EvalReport {
    /// Epochs done and in all.
    pub epoch: (u64, u64),
    /// Steps done.
    pub step: u64,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Accuracy of the epoch, on training samples as seen.
    pub train_accuracy: f64,
    /// Loss on the split watched.
    pub val_loss: f64,
    /// Accuracy on it.
    pub val_accuracy: f64,
    /// A language model's perplexity on it.
    pub perplexity: Option<f64>,
    /// Training samples (images or tokens) a second.
    pub per_second: f64,
}

/// Who watches a run.
pub trait Observer {
    /// Something worth saying once.
    fn note(&mut self, line: &str);
    /// Everything is ready; the first step comes next.
    fn started(&mut self, _: &StartReport) {}
    /// A step is done.
    fn step(&mut self, report: &StepReport);
    /// An evaluation is done.
    fn evaluated(&mut self, report: &EvalReport);
}
