//! Losses by name; the mathematics is in `Tensor`.

use wgrad_graph::{CrossEntropy, Tensor};

/// Training losses: means over the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Logits `[.., C]` against labels `[..]` i32, a mean over all labels.
    CrossEntropy {
        /// Share of the target spread over all classes.
        label_smoothing: f64,
    },
    /// Squared differences of equal shapes.
    Mse,
    /// Absolute differences of equal shapes.
    L1,
    /// Half the square below `delta`, linear above.
    Huber {
        /// Point of the transition to linear.
        delta: f64,
    },
    /// Log-probabilities `[N, C]` against labels `[N]` i32.
    Nll,
    /// Log-probabilities against probabilities, equal shapes: a sum over each sample.
    KlDiv,
    /// Scores against -1 and 1, equal shapes.
    Hinge,
    /// Scores `[N, C]` against labels `[N]` i32.
    MultiMargin,
    /// Logits against targets in [0, 1], equal shapes, hard ones weighted up.
    Focal {
        /// Weight of targets that are 1.
        alpha: f64,
        /// Exponent reducing the weight of easy elements.
        gamma: f64,
    },
    /// Probabilities against targets in [0, 1], equal shapes: overlap of each sample.
    Dice {
        /// Added above and below.
        smooth: f64,
    },
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
                let (classes, rows) = (*prediction.shape().last().unwrap_or(&1), target.numel());
                let options = CrossEntropy { label_smoothing, ..CrossEntropy::default() };
                prediction.reshape(&[rows, classes]).cross_entropy(&target.reshape(&[rows]), options)
            }
            Self::Mse => prediction.mse_loss(target),
            Self::L1 => prediction.l1_loss(target),
            Self::Huber { delta } => prediction.huber_loss(target, delta),
            Self::Nll => prediction.nll_loss(target, CrossEntropy::default().ignore_index),
            Self::KlDiv => prediction.kl_div(target),
            Self::Hinge => prediction.hinge_loss(target),
            Self::MultiMargin => prediction.multi_margin_loss(target),
            Self::Focal { alpha, gamma } => prediction.sigmoid_focal_loss(target, alpha, gamma),
            Self::Dice { smooth } => prediction.dice_loss(target, smooth),
            Self::Bce => prediction.bce_loss(target),
            Self::BceWithLogits => prediction.bce_with_logits_loss(target),
        }
    }
}
