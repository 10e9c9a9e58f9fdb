//! Gradients summed over several batches, so that a step sees more samples than memory holds at once.
//!
//! One plan runs a part of a batch and adds its gradients to sums kept between steps; another, by [`Optimizer::apply`],
//! updates the weights from the sums. Both run over one session (`Session::over`).
//!
//! [`Optimizer::apply`]: super::Optimizer::apply

use super::scaling;
use wgrad_graph::{Role, Tensor, differentiate};
use wgrad_types::ShapeError;

/// The scalar that says which share of the step's samples a part has: the loss being a mean over the part, shares that add
/// up to 1 make the sum the gradient of the mean over all.
pub const SHARE: &str = "share";

/// The name under which a weight's summed gradient is kept.
pub(super) fn sum_name(weight: &str) -> String {
    format!("{weight}.grad")
}

/// Differentiates `loss`, a mean over a part of a step's samples, with respect to `weights`, and adds the gradients times
/// the scalar [`SHARE`] to their sums, kept as states `NAME.grad`. No weight moves. `loss_scaling` as in the optimizer
/// of the later update. Returns the part's gradients, without the loss's scale.
///
/// # Errors
/// Where an operation between the loss and a weight has no gradient.
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
