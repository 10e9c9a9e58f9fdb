//! Losses as PyTorch's functional forms, each a mean over the batch.

use super::Tensor;
use wgrad_types::{DType, numel};

/// Options of [`Tensor::cross_entropy`].
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Share of the target spread evenly over all classes.
    pub label_smoothing: f64,
    /// Rows with this label count for nothing, neither in the sum nor in the mean.
    pub ignore_index: i32,
}

impl Default for CrossEntropy {
    fn default() -> Self {
        Self { label_smoothing: 0.0, ignore_index: -100 }
    }
}

impl Tensor {
    /// Mean cross-entropy of logits `[N, C]` against labels `[N]` (i32). NaN-free where every label is ignored: 0.
    #[track_caller]
    #[must_use]
    pub fn cross_entropy(&self, labels: &Self, options: CrossEntropy) -> Self {
        let (s, l) = (self.shape(), labels.ty());
        assert!(
            s.len() == 2 && l.shape == [s[0]] && l.dtype == DType::I32,
            "cross_entropy: logits {} with labels {l}",
            self.ty()
        );
        let logp = self.log_softmax(1);
        let at = labels.reshape(&[s[0], 1]);
        let picked = logp.gather(1, &at);
        let eps = options.label_smoothing;
        let row = if eps == 0.0 { -picked } else { picked * (eps - 1.0) - logp.mean_keep(&[1]) * eps };
        let counted = at.ne(&at.full_like(f64::from(options.ignore_index)));
        let total = counted.select(&row, &row.zeros_like()).sum_all();
        total / &counted.to_f32().sum_all().maximum(&self.builder().full(&[], 1.0))
    }

    #[track_caller]
    fn same_as(&self, op: &str, target: &Self) {
        assert!(self.ty() == target.ty(), "{op}: {} against {}", self.ty(), target.ty());
    }

    /// Mean of squared differences.
    #[track_caller]
    #[must_use]
    pub fn mse_loss(&self, target: &Self) -> Self {
        self.same_as("mse_loss", target);
        (self - target).square().mean_all()
    }

    /// Mean of absolute differences.
    #[track_caller]
    #[must_use]
    pub fn l1_loss(&self, target: &Self) -> Self {
        self.same_as("l1_loss", target);
        (self - target).abs().mean_all()
    }

    /// Half the square below `delta`, linear above it, averaged.
    #[track_caller]
    #[must_use]
    pub fn huber_loss(&self, target: &Self, delta: f64) -> Self {
        self.same_as("huber_loss", target);
        let d = (self - target).abs();
        let (near, far) = (d.square() * 0.5, (&d - 0.5 * delta) * delta);
        d.le(&d.full_like(delta)).select(&near, &far).mean_all()
    }

    /// Mean binary cross-entropy of probabilities; logarithms are held at -100 as PyTorch does.
    #[track_caller]
    #[must_use]
    pub fn bce_loss(&self, target: &Self) -> Self {
        self.same_as("bce_loss", target);
        let floor = |p: &Self| p.maximum(&p.full_like(1e-38)).log().maximum(&p.full_like(-100.0));
        let (yes, no) = (target * &floor(self), (1.0 - target) * &floor(&(1.0 - self)));
        -(yes + no).mean_all()
    }

    /// Mean binary cross-entropy of logits: `max(x, 0) - x y + log(1 + e^-|x|)`.
    #[track_caller]
    #[must_use]
    pub fn bce_with_logits_loss(&self, target: &Self) -> Self {
        self.same_as("bce_with_logits_loss", target);
        (self.softplus() - self * target).mean_all()
    }

    /// How many rows of logits `[N, C]` have their first maximum at the label `[N]`; f32 scalar.
    #[track_caller]
    #[must_use]
    pub fn correct(&self, labels: &Self) -> Self {
        self.argmax(-1).eq(labels).to_f32().sum_all()
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.shape())
    }
}
