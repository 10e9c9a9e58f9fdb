//! Scalars of a step's updates: learning rate, bias corrections, rectification, computed in f64 on the host.

use super::{Optimizer, OptimizerKind};

impl Optimizer {
    /// Values of the graph's scalars for step `t` (from 1) at a learning rate.
    pub fn scalars(&self, t: u64, lr: f64) -> Vec<(&'static str, f32)> {
        self.exact_scalars(t, lr).into_iter().map(|(name, v)| (name, v as f32)).collect()
    }

    /// [`Optimizer::scalars`] without rounding, for the f64 interpreter.
    pub fn exact_scalars(&self, t: u64, lr: f64) -> Vec<(&'static str, f64)> {
        let mut scalars = vec![("lr", lr)];
        let correction = |beta: f64| 1.0 - beta.powf(t as f64);
        let root = |beta: f64| 1.0 / correction(beta).sqrt();
        match self.kind {
            OptimizerKind::Sgd { .. }
            | OptimizerKind::RmsProp { .. }
            | OptimizerKind::Adadelta { .. }
            | OptimizerKind::Lion { .. } => {}
            OptimizerKind::Adagrad { lr_decay, .. } => {
                scalars.push(("step_size", lr / (1.0 + t.saturating_sub(1) as f64 * lr_decay)));
            }
            OptimizerKind::Adam { betas, .. }
            | OptimizerKind::AdamW { betas, .. }
            | OptimizerKind::Muon { betas, .. } => {
                scalars.push(("step_size", lr / correction(betas.0)));
                scalars.push(("inv_sqrt_bias2", root(betas.1)));
            }
            OptimizerKind::Adamax { betas, .. } => scalars.push(("step_size", lr / correction(betas.0))),
            OptimizerKind::NAdam { betas, momentum_decay, .. } => {
                let (product, next) = nadam_momentum(betas.0, momentum_decay, t);
                let mu = nadam_factor(betas.0, momentum_decay, t);
                scalars.push(("grad_size", lr * (1.0 - mu) / (1.0 - product)));
                scalars.push(("mean_size", lr * next / (1.0 - product * next)));
                scalars.push(("inv_sqrt_bias2", root(betas.1)));
            }
            OptimizerKind::RAdam { betas, .. } => {
                let (plain, adaptive) = radam_sizes(betas, t);
                scalars.push(("plain_size", lr * plain));
                scalars.push(("adaptive_size", lr * adaptive));
            }
            OptimizerKind::Lamb { betas, .. } => {
                scalars.push(("inv_bias1", 1.0 / correction(betas.0)));
                scalars.push(("inv_sqrt_bias2", root(betas.1)));
            }
        }
        if let Some(decay) = self.ema {
            // The average begins as the first step's weights and lengthens up to the decay asked for.
            scalars.push(("ema_rate", (1.0 - decay).max(10.0 / (9.0 + t.max(1) as f64))));
        }
        scalars
    }
}

/// NAdam's momentum at step `t`.
fn nadam_factor(beta: f64, decay: f64, t: u64) -> f64 {
    beta * (1.0 - 0.5 * 0.96f64.powf(t as f64 * decay))
}

/// The product of NAdam's momenta up to step `t`, and the next one.
fn nadam_momentum(beta: f64, decay: f64, t: u64) -> (f64, f64) {
    let mut product = 1.0;
    for i in 1..=t {
        product *= nadam_factor(beta, decay, i);
        if product < 1e-20 {
            // 1 less this is 1: the rest of the product changes nothing.
            break;
        }
    }
    (product, nadam_factor(beta, decay, t + 1))
}

/// RAdam's factors on `lr * m` (plain) and on `lr * m / (sqrt(v) + eps)` (adaptive); one of them is 0.
fn radam_sizes(betas: (f64, f64), t: u64) -> (f64, f64) {
    let (t, decayed) = (t as f64, betas.1.powf(t as f64));
    let (bias1, bias2) = (1.0 - betas.0.powf(t), 1.0 - decayed);
    let longest = 2.0 / (1.0 - betas.1) - 1.0;
    let length = longest - 2.0 * t * decayed / bias2;
    if length <= 5.0 {
        return (1.0 / bias1, 0.0);
    }
    let rectified = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
    (0.0, rectified.sqrt() * bias2.sqrt() / bias1)
}

#[cfg(test)]
mod tests {
    use super::super::OPTIMIZERS;
    use super::*;

    #[test]
    fn optimizer_scalars_stay_finite_over_long_runs() {
        for (name, kind) in OPTIMIZERS {
            let optimizer = Optimizer { ema: Some(0.999), ..Optimizer::new(*kind) };
            for t in [1, 2, 7, 1_000, 10_000_000] {
                for (scalar, value) in optimizer.scalars(t, 0.1) {
                    assert!(value.is_finite() && value >= 0.0, "{name}: {scalar} of step {t} is {value}");
                }
            }
        }
    }

    #[test]
    fn ema_starts_with_first_weights() {
        let optimizer = Optimizer { ema: Some(0.99), ..Optimizer::adam() };
        let rate = |t| optimizer.scalars(t, 0.1).into_iter().find(|s| s.0 == "ema_rate").expect("a rate").1;
        assert_eq!(rate(1), 1.0);
        assert!((rate(11) - 0.5).abs() < 1e-6 && (rate(100_000) - 0.01).abs() < 1e-7);
    }

    #[test]
    fn radam_is_adaptive_from_step_six() {
        let adaptive: Vec<bool> = (1..=8).map(|t| radam_sizes((0.9, 0.999), t).1 > 0.0).collect();
        assert_eq!(adaptive, [false, false, false, false, false, true, true, true]);
    }
}
