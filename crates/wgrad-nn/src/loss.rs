//! Losses by name; the mathematics is in `Tensor`.

use wgrad_graph::{CrossEntropy, Tensor};

/// What training minimises: a mean over the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Logits `[N, C]` against labels `[N]` i32.
    CrossEntropy {
        /// Share of the target spread over all classes.
        label_smoothing: f64,
    },
    /// Squared differences of equal shapes.
    Mse,
    /// Probabilities against targets in [0, 1], equal shapes.
    Bce,
    /// Logits against targets in [0, 1], equal shapes.
    BceWithLogits,
}

impl Loss {
    /// The loss, a scalar.
    #[track_caller]
    pub fn of(self, prediction: &Tensor, target: &Tensor) -> Tensor {
        match self {
            Self::CrossEntropy { label_smoothing } => {
                prediction.cross_entropy(target, CrossEntropy { label_smoothing, ..CrossEntropy::default() })
            }
            Self::Mse => prediction.mse_loss(target),
            Self::Bce => prediction.bce_loss(target),
            Self::BceWithLogits => prediction.bce_with_logits_loss(target),
        }
    }
}
