//! Progress reports of a run and their receiver.

use crate::saved::card::Card;
use crate::tasks::task::Sizes;

/// Report before the first step.
#[derive(Clone, Debug)]
pub struct StartReport {
    /// Name of the device.
    pub device: String,
    /// Number of images or tokens per split.
    pub sizes: Sizes,
    /// Monitored split, evaluated after every epoch: `validation`, `test` or `training`.
    pub watched: &'static str,
    /// Training images, or pixels, per class; empty if the data has no classes.
    pub class_counts: Vec<u64>,
    /// Model, with its input shape and classes or vocabulary.
    pub card: Card,
    /// Unit of loss and accuracy: `images`, `tokens` or `pixels`.
    pub unit: &'static str,
    /// Name of the score: `accuracy`, `explained variance` (autoencoder) or `discriminator accuracy` (DCGAN).
    pub score: &'static str,
    /// Vocabulary size of a language model.
    pub vocabulary: Option<usize>,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Plan totals of the training step.
    pub plan: wgrad_plan::Summary,
    /// Steps done before this call, and in total.
    pub step: (u64, u64),
    /// Total number of epochs.
    pub epochs: u64,
}

/// Report after a step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Current epoch, from 1, and the total number.
    pub epoch: (u64, u64),
    /// Steps done and in total.
    pub step: (u64, u64),
    /// Mean loss of the epoch so far.
    pub loss: f64,
    /// Accuracy of the epoch so far, on training samples with augmentation.
    pub accuracy: f64,
    /// Training samples (images or tokens) per second, over this epoch.
    pub per_second: f64,
}

/// Report after an evaluation.
#[derive(Clone, Debug)]
pub struct EvalReport {
    /// Epochs done and in total.
    pub epoch: (u64, u64),
    /// Steps done.
    pub step: u64,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Accuracy of the epoch, on training samples with augmentation.
    pub train_accuracy: f64,
    /// Loss on the monitored split.
    pub val_loss: f64,
    /// Accuracy on the monitored split.
    pub val_accuracy: f64,
    /// Perplexity of a language model on the monitored split.
    pub perplexity: Option<f64>,
    /// Training samples (images or tokens) per second.
    pub per_second: f64,
}

/// Receiver of a run's progress reports.
pub trait Observer {
    /// Message reported once.
    fn note(&mut self, line: &str);
    /// Called before the first step.
    fn started(&mut self, _: &StartReport) {}
    /// Called after each step.
    fn step(&mut self, report: &StepReport);
    /// Called after each evaluation.
    fn evaluated(&mut self, report: &EvalReport);
}
