//! Result of an evaluation: loss, accuracy, confusion matrix.

use crate::TrainError;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_nn::ConfusionMatrix;

/// Result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy, in nats; mean squared difference of an autoencoder.
    pub loss: f64,
    /// Description of the evaluated samples.
    pub split: String,
    /// Scores.
    pub scores: Scores,
}

/// Scores of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Scores {
    /// Scores of a classifier.
    Classes {
        /// Class names.
        names: Vec<String>,
        /// Confusion matrix of labels and predictions.
        confusion: ConfusionMatrix,
        /// True if counts are of pixels, not images.
        pixels: bool,
    },
    /// Scores of a generative image model.
    Pictures {
        /// Number of evaluated images.
        count: u64,
        /// Fraction of variance explained by an autoencoder, or of real and generated images recognised by a discriminator.
        share: f64,
        /// Name of the score.
        what: &'static str,
    },
    /// Scores of a language model.
    Tokens {
        /// Number of predicted tokens.
        count: u64,
        /// Number of correct predictions.
        correct: u64,
    },
}

impl Evaluation {
    /// Fraction of correct predictions (see [`Scores::Pictures`] for generative models); 0 without samples.
    pub fn accuracy(&self) -> f64 {
        match &self.scores {
            Scores::Classes { confusion, .. } => confusion.accuracy(),
            Scores::Pictures { share, .. } => *share,
            Scores::Tokens { count, correct } => *correct as f64 / (*count).max(1) as f64,
        }
    }

    /// Number of evaluated samples.
    pub fn count(&self) -> u64 {
        match &self.scores {
            Scores::Classes { confusion, .. } => confusion.total(),
            Scores::Pictures { count, .. } | Scores::Tokens { count, .. } => *count,
        }
    }

    /// Perplexity of a language model: e to the loss.
    pub fn perplexity(&self) -> Option<f64> {
        matches!(self.scores, Scores::Tokens { .. }).then(|| self.loss.exp())
    }
}

/// [`TrainError::Stopped`] if the caller has requested a stop.
pub(crate) fn check(stop: &AtomicBool) -> Result<(), TrainError> {
    if stop.load(Ordering::Relaxed) { Err(TrainError::Stopped) } else { Ok(()) }
}

/// Stop flag of uninterruptible evaluations.
pub(crate) static GO_ON: AtomicBool = AtomicBool::new(false);
