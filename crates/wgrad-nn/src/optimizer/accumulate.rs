//! Gradients summed over several batches, for steps over more samples than fit into memory at once.
//!
//! One plan runs a micro-batch and adds its gradients to sums kept between runs; another, by
//! [`Optimizer::apply`], updates the weights from the sums. Both run over one session (`Session::over`).
//!
//! [`Optimizer::apply`]: super::Optimizer::apply

use super::scaling;
use wgrad_graph::{Role, Tensor, differentiate};
use wgrad_types::ShapeError;

/// Scalar with a micro-batch's share of the step's samples: the loss is a mean over the micro-batch, so with
/// shares adding up to 1 the sum is the gradient of the mean over all samples.
pub const SHARE: &str = "share";

/// Name of a weight's summed gradient.
pub(super) fn sum_name(weight: &str) -> String {
    format!("{weight}.grad")
}

/// Differentiates `loss`, a mean over a micro-batch, with respect to `weights`, and adds the gradients times
/// the scalar [`SHARE`] to their sums, kept as states `NAME.grad`. Weights stay unchanged. `loss_scaling` as
/// in the optimizer of the later update. Returns the micro-batch's gradients, without the loss's scale.
///
/// # Errors
/// If an operation between the loss and a weight has no gradient.
#[track_caller]
pub fn accumulate(
    loss: &Tensor,
    weights: &[(String, Tensor)],
    loss_scaling: bool,
) -> Result<Vec<Tensor>, ShapeError> {
    let builder = loss.builder();
    builder.owns("accumulate", weights.iter().map(|w| &w.1));
    let wrt: Vec<Tensor> = weights.iter().map(|w| w.1.clone()).collect();
    let share = builder.scalar(SHARE);
    let scaled = if loss_scaling { scaling::scaled(loss) } else { loss.clone() };
    let mut gradients = differentiate(&scaled, &wrt)?;
    gradients.iter().for_each(|g| builder.keep(g));
    if loss_scaling {
        gradients = scaling::unscaled(&gradients);
    }
    for ((name, p), gradient) in weights.iter().zip(&gradients) {
        let sum = builder.param(&sum_name(name), &p.shape(), Role::State);
        builder.update(&[(&sum, &(&sum + gradient * &share))]);
    }
    Ok(gradients)
}
