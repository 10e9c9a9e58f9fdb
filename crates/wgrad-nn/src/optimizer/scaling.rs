//! Dynamic loss scaling for f16, like `torch.amp.GradScaler`, with its state on the device: the loss is
//! scaled up so that small gradients do not vanish, gradients are scaled back, and a step with a NaN or
//! infinite gradient changes no weight and halves the scale. No step waits for the host.
//!
//! States begin at 0, meaning the initial scale. The inverse is kept beside the scale; both are exact powers
//! of two. Bias corrections of Adam and its kin count skipped steps, too: the host does not know of them.

use wgrad_graph::{Builder, Role, Tensor};

/// The initial scale, its factor after a number of finite steps, and its factor after a non-finite one.
const INITIAL: f64 = 65536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
const INTERVAL: f64 = 2000.0;

/// States' names.
const SCALE: &str = "loss_scale";
const INVERSE: &str = "loss_scale.inverse";
const GOOD_STEPS: &str = "loss_scale.good_steps";

fn state(builder: &Builder, name: &str) -> Tensor {
    builder.param(name, &[1], Role::State)
}

/// A state, or its initial value.
fn begun(builder: &Builder, name: &str, initial: f64) -> Tensor {
    let state = state(builder, name);
    state.eq(&state.zeros_like()).select(&state.full_like(initial), &state)
}

/// The loss times the scale.
pub(super) fn scaled(loss: &Tensor) -> Tensor {
    loss * &begun(&loss.builder(), SCALE, INITIAL).reshape(&loss.shape())
}

/// The gradients of a scaled loss, scaled back.
pub(super) fn unscaled(gradients: &[Tensor]) -> Vec<Tensor> {
    let Some(first) = gradients.first() else { return Vec::new() };
    // Kept, because updates read it and another update overwrites it.
    let inverse = begun(&first.builder(), INVERSE, 1.0 / INITIAL);
    first.builder().keep(&inverse);
    gradients.iter().map(|g| g * &inverse).collect()
}

/// One truth value: whether every element of the gradients is finite. Adds the scale's own update.
pub(super) fn all_finite(builder: &Builder, gradients: &[Tensor]) -> Option<Tensor> {
    let bad = |g: &Tensor| (1.0 - g.finite()).sum_all().reshape(&[1]);
    let bad = gradients.iter().map(bad).reduce(|a, b| a + b)?;
    builder.keep(&bad);
    let ok = bad.eq(&bad.zeros_like());
    let (scale, inverse) = (begun(builder, SCALE, INITIAL), begun(builder, INVERSE, 1.0 / INITIAL));
    let count = state(builder, GOOD_STEPS) + 1.0;
    let grown = count.ge(&count.full_like(INTERVAL));
    let next =
        |now: &Tensor, grow: f64, shrink: f64| ok.select(&grown.select(&(now * grow), now), &(now * shrink));
    let (scaled, inverted) = (next(&scale, GROWTH, BACKOFF), next(&inverse, 1.0 / GROWTH, 1.0 / BACKOFF));
    let zero = count.zeros_like();
    let counted = ok.select(&grown.select(&zero, &count), &zero);
    builder.update(&[
        (&state(builder, SCALE), &scaled),
        (&state(builder, INVERSE), &inverted),
        (&state(builder, GOOD_STEPS), &counted),
    ]);
    Some(ok)
}
