//! The optimizers' formulas: a parameter, its gradient and state in, their next values out.

use super::OptimizerKind;
use super::muon::orthogonal;
use wgrad_graph::{Builder, Role, Tensor};

/// States with their next values.
type Pairs = Vec<(Tensor, Tensor)>;

/// One parameter's step.
pub(super) struct Rule<'a> {
    pub name: &'a str,
    pub p: &'a Tensor,
    /// The gradient, clipped.
    pub g: Tensor,
    pub decay: f64,
    pub lr_factor: f64,
}

/// Settings of Adam and its kin.
#[derive(Clone, Copy)]
struct Moments {
    betas: (f64, f64),
    eps: f64,
}

impl Rule<'_> {
    /// The parameter's next value, and its states'.
    pub(super) fn step(&self, kind: OptimizerKind) -> (Tensor, Pairs) {
        match kind {
            OptimizerKind::Sgd { momentum, nesterov } => self.sgd(momentum, nesterov),
            OptimizerKind::RmsProp { alpha, eps, momentum, centered } => {
                self.rms_prop(alpha, eps, momentum, centered)
            }
            OptimizerKind::Adagrad { eps, .. } => self.adagrad(eps),
            OptimizerKind::Adadelta { rho, eps } => self.adadelta(rho, eps),
            OptimizerKind::Adam { betas, eps, amsgrad } => {
                self.adam(self.p, &self.decayed(), Moments { betas, eps }, amsgrad)
            }
            OptimizerKind::AdamW { betas, eps } => self.adam_w(Moments { betas, eps }),
            OptimizerKind::Adamax { betas, eps } => self.adamax(Moments { betas, eps }),
            OptimizerKind::NAdam { betas, eps, .. } => self.nadam(Moments { betas, eps }),
            OptimizerKind::RAdam { betas, eps } => self.radam(Moments { betas, eps }),
            OptimizerKind::Lamb { betas, eps } => self.lamb(Moments { betas, eps }),
            OptimizerKind::Lion { betas } => self.lion(betas),
            OptimizerKind::Muon { momentum, betas, eps } => match self.p.shape().len() {
                0 | 1 => self.adam_w(Moments { betas, eps }),
                _ => self.muon(momentum),
            },
        }
    }

    fn builder(&self) -> Builder {
        self.p.builder()
    }

    fn state(&self, what: &str) -> Tensor {
        self.builder().param(&format!("{}.{what}", self.name), &self.p.shape(), Role::State)
    }

    /// A scalar proportional to the learning rate.
    fn rate(&self, name: &str) -> Tensor {
        let rate = self.builder().scalar(name);
        if self.lr_factor == 1.0 { rate } else { rate * self.lr_factor }
    }

    /// The gradient with the L2 penalty's.
    fn decayed(&self) -> Tensor {
        if self.decay == 0.0 { self.g.clone() } else { &self.g + self.p * self.decay }
    }

    /// The parameter shrunk by decoupled weight decay.
    fn shrunk(&self) -> Tensor {
        if self.decay == 0.0 { self.p.clone() } else { self.p * &(1.0 - self.rate("lr") * self.decay) }
    }

    fn sgd(&self, momentum: f64, nesterov: bool) -> (Tensor, Pairs) {
        let (g, lr) = (self.decayed(), self.rate("lr"));
        if momentum == 0.0 {
            return (self.p - g * &lr, Vec::new());
        }
        let buffer = self.state("momentum_buffer");
        let moved = &buffer * momentum + &g;
        let step = if nesterov { g + &moved * momentum } else { moved.clone() };
        (self.p - step * &lr, vec![(buffer, moved)])
    }

    fn rms_prop(&self, alpha: f64, eps: f64, momentum: f64, centered: bool) -> (Tensor, Pairs) {
        let (g, square, lr) = (self.decayed(), self.state("square_avg"), self.rate("lr"));
        let mean_square = &square * alpha + g.square() * (1.0 - alpha);
        let mut pairs = vec![(square, mean_square.clone())];
        let spread = if centered {
            let average = self.state("grad_avg");
            let mean = &average + (&g - &average) * (1.0 - alpha);
            let spread = &mean_square - &mean.square();
            pairs.push((average, mean));
            spread
        } else {
            mean_square
        };
        let step = g / &(spread.sqrt() + eps);
        if momentum == 0.0 {
            return (self.p - step * &lr, pairs);
        }
        let buffer = self.state("momentum_buffer");
        let moved = &buffer * momentum + step;
        let next = self.p - &moved * &lr;
        pairs.push((buffer, moved));
        (next, pairs)
    }

    fn adagrad(&self, eps: f64) -> (Tensor, Pairs) {
        let (g, sum) = (self.decayed(), self.state("sum"));
        let total = &sum + g.square();
        (self.p - g / &(total.sqrt() + eps) * &self.rate("step_size"), vec![(sum, total)])
    }

    fn adadelta(&self, rho: f64, eps: f64) -> (Tensor, Pairs) {
        let (g, square, deltas) = (self.decayed(), self.state("square_avg"), self.state("acc_delta"));
        let mean_square = &square * rho + g.square() * (1.0 - rho);
        let delta = (&deltas + eps).sqrt() / &(&mean_square + eps).sqrt() * &g;
        let mean_delta = &deltas * rho + delta.square() * (1.0 - rho);
        (self.p - delta * &self.rate("lr"), vec![(square, mean_square), (deltas, mean_delta)])
    }

    /// The moments' next values, and the two pairs of states.
    fn moments(&self, g: &Tensor, betas: (f64, f64)) -> (Tensor, Tensor, Pairs) {
        let (first, second) = (self.state("exp_avg"), self.state("exp_avg_sq"));
        let m = &first + (g - &first) * (1.0 - betas.0);
        let v = &second * betas.1 + g.square() * (1.0 - betas.1);
        (m.clone(), v.clone(), vec![(first, m), (second, v)])
    }

    /// `from - step_size * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`, with `step_size = lr / (1 - beta1^t)`.
    fn adam(&self, from: &Tensor, g: &Tensor, at: Moments, amsgrad: bool) -> (Tensor, Pairs) {
        let (m, v, mut pairs) = self.moments(g, at.betas);
        let v = if amsgrad {
            let most = self.state("max_exp_avg_sq");
            let larger = most.maximum(&v);
            pairs.push((most, larger.clone()));
            larger
        } else {
            v
        };
        let spread = self.corrected_root(&v) + at.eps;
        (from - (&m / &spread) * &self.rate("step_size"), pairs)
    }

    /// `sqrt(v / (1 - beta2^t))`.
    fn corrected_root(&self, v: &Tensor) -> Tensor {
        v.sqrt() * &self.builder().scalar("inv_sqrt_bias2")
    }

    fn adam_w(&self, at: Moments) -> (Tensor, Pairs) {
        self.adam(&self.shrunk(), &self.g, at, false)
    }

    fn adamax(&self, at: Moments) -> (Tensor, Pairs) {
        let (g, first, most) = (self.decayed(), self.state("exp_avg"), self.state("exp_inf"));
        let m = &first + (&g - &first) * (1.0 - at.betas.0);
        let larger = (&most * at.betas.1).maximum(&(g.abs() + at.eps));
        (self.p - (&m / &larger) * &self.rate("step_size"), vec![(first, m), (most, larger)])
    }

    fn nadam(&self, at: Moments) -> (Tensor, Pairs) {
        let g = self.decayed();
        let (m, v, pairs) = self.moments(&g, at.betas);
        let spread = self.corrected_root(&v) + at.eps;
        let step = g * &self.rate("grad_size") + m * &self.rate("mean_size");
        (self.p - step / &spread, pairs)
    }

    /// The adaptive part counts once the second moment's variance is known well enough; the host decides by its scalars.
    fn radam(&self, at: Moments) -> (Tensor, Pairs) {
        let (m, v, pairs) = self.moments(&self.decayed(), at.betas);
        let adaptive = (v.sqrt() + at.eps).reciprocal() * &self.rate("adaptive_size");
        (self.p - m * &(adaptive + &self.rate("plain_size")), pairs)
    }

    fn lamb(&self, at: Moments) -> (Tensor, Pairs) {
        let (m, v, pairs) = self.moments(&self.g, at.betas);
        let step = m * &self.builder().scalar("inv_bias1") / &(self.corrected_root(&v) + at.eps);
        let step = if self.decay == 0.0 { step } else { step + self.p * self.decay };
        let norm = |t: &Tensor| t.square().sum_all().sqrt();
        let (own, moved) = (norm(self.p), norm(&step));
        let zero = own.zeros_like();
        let one = own.full_like(1.0);
        let ratio = &own / &moved.gt(&zero).select(&moved, &one);
        let trust = (&own * &moved).gt(&zero).select(&ratio, &one);
        (self.p - step * &(trust * &self.rate("lr")), pairs)
    }

    fn lion(&self, betas: (f64, f64)) -> (Tensor, Pairs) {
        let momentum = self.state("exp_avg");
        let mixed = &momentum * betas.0 + &self.g * (1.0 - betas.0);
        let next = self.shrunk() - mixed.sign() * &self.rate("lr");
        let moved = &momentum * betas.1 + &self.g * (1.0 - betas.1);
        (next, vec![(momentum, moved)])
    }

    fn muon(&self, momentum: f64) -> (Tensor, Pairs) {
        let shape = self.p.shape();
        let buffer = self.state("momentum_buffer");
        let moved = &buffer + (&self.g - &buffer) * (1.0 - momentum);
        let ahead = &self.g + (&moved - &self.g) * momentum;
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let step = orthogonal(&ahead.reshape(&[rows, columns])).reshape(&shape);
        // The step's elements then have the root mean square of AdamW's, about 0.2.
        let scale = 0.2 * (rows.max(columns) as f64).sqrt();
        (self.shrunk() - step * &(self.rate("lr") * scale), vec![(buffer, moved)])
    }
}
