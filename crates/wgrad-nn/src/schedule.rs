//! Learning-rate schedules: a pure function of the step.

use std::f64::consts::PI;

/// Learning rate schedule from step 0 to the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Always the base rate.
    Constant,
    /// Multiplied by `gamma` after every `every` share of the run (0.3: at 30 %, 60 %, 90 %); `torch.optim.lr_scheduler.StepLR`.
    Step {
        /// Share of the run between drops.
        every: f64,
        /// Factor of a drop.
        gamma: f64,
    },
    /// Half a cosine from the base rate to 0; `CosineAnnealingLR`.
    Cosine,
    /// Up from 1/25 of the base rate over the first 30 % of steps, then down to 1/250,000, both by half a
    /// cosine; `OneCycleLR` with its defaults, except for the momentum: it stays constant.
    OneCycle,
    /// Linear from 0 over the first `share` of steps, then half a cosine to 0.
    LinearWarmup {
        /// Share of the run for the warm-up.
        share: f64,
    },
}

impl Schedule {
    /// The rate of step `step` (from 0) of `total`.
    pub fn rate(self, base: f64, step: u64, total: u64) -> f64 {
        let last = total.saturating_sub(1).max(1) as f64;
        let at = (step as f64 / last).min(1.0);
        let cosine = |from: f64, to: f64, t: f64| to + (from - to) * 0.5 * (1.0 + (PI * t).cos());
        match self {
            Self::Constant => base,
            Self::Step { every, gamma } => {
                base * gamma.powf((step as f64 / total.max(1) as f64 / every).floor())
            }
            Self::Cosine => cosine(base, 0.0, step as f64 / total.max(1) as f64),
            Self::OneCycle => {
                let (start, end) = (base / 25.0, base / 25.0 / 1e4);
                // PyTorch's phases end at steps 0.3 * total - 1 and total - 1.
                let peak = (0.3 * total as f64 - 1.0).max(1.0);
                match step as f64 {
                    s if s <= peak => cosine(start, base, s / peak),
                    s => cosine(base, end, ((s - peak) / (last - peak).max(1.0)).min(1.0)),
                }
            }
            Self::LinearWarmup { share } => match at {
                t if t < share => base * (step + 1) as f64 / (share * last).max(1.0).max((step + 1) as f64),
                t => cosine(base, 0.0, (t - share) / (1.0 - share).max(1e-9)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula of torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=10), worked by hand.
    #[test]
    fn schedule_one_cycle_matches_pytorch() {
        let torch = [
            0.004,
            0.052,
            0.1,
            0.095_048_469,
            0.081_174_550,
            0.061_126_190,
            0.038_874_210,
            0.018_825_850,
            0.004_951_931,
            4e-7,
        ];
        for (i, want) in torch.iter().enumerate() {
            let got = Schedule::OneCycle.rate(0.1, i as u64, 10);
            assert!((got - want).abs() < 1e-6, "step {i}: {got} for {want}");
        }
    }

    #[test]
    fn schedule_ends_match_definition() {
        assert_eq!(Schedule::Constant.rate(0.1, 7, 10), 0.1);
        assert!((Schedule::Cosine.rate(0.1, 5, 10) - 0.05).abs() < 1e-12);
        let step = Schedule::Step { every: 0.5, gamma: 0.1 };
        assert_eq!((step.rate(1.0, 4, 10), step.rate(1.0, 5, 10)), (1.0, 0.1));
        let warm = Schedule::LinearWarmup { share: 0.2 };
        assert!(warm.rate(1.0, 0, 101) < 0.06 && (warm.rate(1.0, 20, 101) - 1.0).abs() < 1e-9);
        assert!(warm.rate(1.0, 100, 101) < 1e-9);
    }
}
