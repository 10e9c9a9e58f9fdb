//! Optimizers as updates of the training graph, with PyTorch's formulas and order of operations.
//!
//! The graph reads the learning rate and Adam's bias corrections as scalars; [`Optimizer::scalars`] gives their values
//! for each step. Planning merges the updates of all parameters into a few kernels.

use wgrad_graph::{Builder, Role, Tensor, differentiate};
use wgrad_types::ShapeError;

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerKind {
    /// `torch.optim.SGD`.
    Sgd {
        /// Momentum factor; 0 keeps no state.
        momentum: f64,
        /// Nesterov's form.
        nesterov: bool,
    },
    /// `torch.optim.Adam`: weight decay is added to the gradient.
    Adam {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
    },
    /// `torch.optim.AdamW`: weight decay shrinks the parameter.
    AdamW {
        /// Decay of the first and second moments.
        betas: (f64, f64),
        /// Added to the denominator.
        eps: f64,
    },
    /// `torch.optim.RMSprop`.
    RmsProp {
        /// Decay of the mean square.
        alpha: f64,
        /// Added to the denominator.
        eps: f64,
        /// Momentum factor; 0 keeps no buffer.
        momentum: f64,
        /// Whether the mean is taken from the mean square.
        centered: bool,
    },
}

/// A rule and its weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule.
    pub kind: OptimizerKind,
    /// L2 penalty (decoupled in AdamW), on every parameter.
    pub weight_decay: f64,
}

impl Optimizer {
    /// A rule without weight decay.
    pub fn new(kind: OptimizerKind) -> Self {
        Self { kind, weight_decay: 0.0 }
    }

    /// Adam with PyTorch's defaults.
    pub fn adam() -> Self {
        Self::new(OptimizerKind::Adam { betas: (0.9, 0.999), eps: 1e-8 })
    }

    /// Differentiates `loss` with respect to `weights` and adds the updates that end a step. Gives back the gradients.
    ///
    /// # Errors
    /// Where an operation between the loss and a weight has no gradient.
    pub fn minimise(&self, loss: &Tensor, weights: &[(String, Tensor)]) -> Result<Vec<Tensor>, ShapeError> {
        let builder = loss.builder();
        let wrt: Vec<Tensor> = weights.iter().map(|w| w.1.clone()).collect();
        let gradients = differentiate(loss, &wrt)?;
        for ((name, p), g) in weights.iter().zip(&gradients) {
            builder.keep(g);
            self.update(&builder, name, p, g);
        }
        Ok(gradients)
    }

    fn update(&self, b: &Builder, name: &str, p: &Tensor, g: &Tensor) {
        let shape = p.shape();
        let lr = b.scalar("lr");
        let state = |what: &str| b.param(&format!("{name}.{what}"), &shape, Role::State);
        let decayed = || if self.weight_decay == 0.0 { g.clone() } else { g + p * self.weight_decay };
        match self.kind {
            OptimizerKind::Sgd { momentum: 0.0, .. } => b.update(&[(p, &(p - decayed() * &lr))]),
            OptimizerKind::Sgd { momentum, nesterov } => {
                let (g, buffer) = (decayed(), state("momentum_buffer"));
                let moved = &buffer * momentum + &g;
                let step = if nesterov { g + &moved * momentum } else { moved.clone() };
                b.update(&[(p, &(p - step * &lr)), (&buffer, &moved)]);
            }
            OptimizerKind::Adam { betas, eps } => adam(b, (p, p, &decayed()), state, betas, eps),
            OptimizerKind::AdamW { betas, eps } => {
                let shrunk =
                    if self.weight_decay == 0.0 { p.clone() } else { p * &(1.0 - &lr * self.weight_decay) };
                adam(b, (p, &shrunk, g), state, betas, eps);
            }
            OptimizerKind::RmsProp { alpha, eps, momentum, centered } => {
                let (g, square) = (decayed(), state("square_avg"));
                let mean_square = &square * alpha + g.square() * (1.0 - alpha);
                let mut pairs = vec![(square, mean_square.clone())];
                let spread = if centered {
                    let average = state("grad_avg");
                    let mean = &average + (&g - &average) * (1.0 - alpha);
                    let spread = &mean_square - &mean.square();
                    pairs.push((average, mean));
                    spread
                } else {
                    mean_square
                };
                let step = g / &(spread.sqrt() + eps);
                let next = if momentum == 0.0 {
                    p - step * &lr
                } else {
                    let buffer = state("momentum_buffer");
                    let moved = &buffer * momentum + step;
                    let next = p - &moved * &lr;
                    pairs.push((buffer, moved));
                    next
                };
                pairs.push((p.clone(), next));
                b.update(&pairs.iter().map(|(t, v)| (t, v)).collect::<Vec<_>>());
            }
        }
    }

    /// Values of the graph's scalars for step `t` (from 1) at a learning rate, computed in f64.
    pub fn scalars(&self, t: u64, lr: f64) -> Vec<(&'static str, f32)> {
        let mut scalars = vec![("lr", lr as f32)];
        if let OptimizerKind::Adam { betas, .. } | OptimizerKind::AdamW { betas, .. } = self.kind {
            let correction = |beta: f64| 1.0 - beta.powf(t as f64);
            scalars.push(("step_size", (lr / correction(betas.0)) as f32));
            scalars.push(("inv_sqrt_bias2", (1.0 / correction(betas.1).sqrt()) as f32));
        }
        scalars
    }
}

/// `from - step_size * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`, with `step_size = lr / (1 - beta1^t)`.
fn adam(
    b: &Builder,
    (p, from, g): (&Tensor, &Tensor, &Tensor),
    state: impl Fn(&str) -> Tensor,
    betas: (f64, f64),
    eps: f64,
) {
    let (first, second) = (state("exp_avg"), state("exp_avg_sq"));
    let m = &first + (g - &first) * (1.0 - betas.0);
    let v = &second * betas.1 + g.square() * (1.0 - betas.1);
    let spread = v.sqrt() * &b.scalar("inv_sqrt_bias2") + eps;
    let next = from - (&m / &spread) * &b.scalar("step_size");
    b.update(&[(p, &next), (&first, &m), (&second, &v)]);
}
