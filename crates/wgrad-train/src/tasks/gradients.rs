//! Use of a training step's gradients: an update, or a sum over micro-batches.

use crate::TrainError;
use wgrad_graph::Tensor;
use wgrad_nn::{Optimizer, accumulate};

/// Output of a training step: the largest magnitude of the first weight's gradient (or of the first one small enough). The
/// backward pass ends there, so a NaN or an infinity propagated by any layer reaches it; one in a later weight's gradient
/// alone shows in the next loss.
pub(crate) const GRADIENT: &str = "gradient";

/// Maximum number of elements of the gradient checked in every step, as the check reads it once more.
const LOOKED_AT: usize = 1 << 20;

/// Use of the gradients of a training step.
#[derive(Clone, Copy)]
pub enum Gradients<'a> {
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
    ///
    /// # Errors
    /// If the loss cannot be differentiated.
    pub fn of(self, loss: &Tensor, weights: &[(String, Tensor)]) -> Result<(), TrainError> {
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
