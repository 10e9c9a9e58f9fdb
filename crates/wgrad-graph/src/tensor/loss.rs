//! Losses as PyTorch's functional forms, each a mean over the batch.

use super::Tensor;
use wgrad_types::{DType, numel};

/// Smallest argument of the logarithm: the smallest normal number, since devices may flush smaller ones to 0.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

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
    /// `torch.nn.functional.cross_entropy`: mean over the rows of logits `[N, C]` against labels `[N]` (i32); 0 if
    /// every label is ignored.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// use wgrad_graph::CrossEntropy;
    /// use wgrad_types::DType;
    /// let logits = b.literal(&Array::zeros(&[1, 4]));
    /// let label = b.literal(&Array::new(&[1], vec![2.0])).cast(DType::I32);
    /// let loss = logits.cross_entropy(&label, CrossEntropy::default());
    /// assert!((loss.to_array().data[0] - 4f64.ln()).abs() < 1e-6);
    /// ```
    ///
    /// # Panics
    /// If the rank is not 2, or `labels` is not i32 `[N]`.
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
        self.builder().owns(op, [target]);
        assert!(self.ty() == target.ty(), "{op}: {} against {}", self.ty(), target.ty());
    }

    /// `torch.nn.functional.mse_loss`: mean of squared differences, a scalar.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2], vec![1.0, 5.0]));
    /// assert_eq!(x.mse_loss(&b.full(&[2], 3.0)).to_array().data, [4.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn mse_loss(&self, target: &Self) -> Self {
        self.same_as("mse_loss", target);
        (self - target).square().mean_all()
    }

    /// `torch.nn.functional.l1_loss`: mean of absolute differences, a scalar.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn l1_loss(&self, target: &Self) -> Self {
        self.same_as("l1_loss", target);
        (self - target).abs().mean_all()
    }

    /// `torch.nn.functional.huber_loss`: half the square below `delta`, linear above it, averaged to a scalar.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn huber_loss(&self, target: &Self, delta: f64) -> Self {
        self.same_as("huber_loss", target);
        let d = (self - target).abs();
        let (near, far) = (d.square() * 0.5, (&d - 0.5 * delta) * delta);
        d.le(&d.full_like(delta)).select(&near, &far).mean_all()
    }

    /// `torch.nn.functional.binary_cross_entropy` of probabilities, a mean. Logarithms are held at -100, and the
    /// gradient `(p - y) / (p (1 - p))` has a denominator of 1e-12 at least. It cannot be differentiated twice.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn bce_loss(&self, target: &Self) -> Self {
        self.same_as("bce_loss", target);
        let (p, floor) = (self.detach(), self.full_like(-100.0));
        let (yes, no) = (p.log().maximum(&floor), (-&p).log1p().maximum(&floor));
        let loss = -(target * &yes + (1.0 - target) * &no);
        let y = target.detach();
        let slope = (&p - &y) / &(&p * &(1.0 - &p)).maximum(&p.full_like(1e-12));
        // Adds nothing but the gradient.
        (loss + (self - &p) * &slope.detach()).mean_all()
    }

    /// `torch.nn.functional.binary_cross_entropy_with_logits`: mean of `max(x, 0) - x y + log(1 + e^-|x|)`.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn bce_with_logits_loss(&self, target: &Self) -> Self {
        self.same_as("bce_with_logits_loss", target);
        (self.softplus() - self * target).mean_all()
    }

    /// `torch.nn.functional.nll_loss`: mean of `-x[label]` over log-probabilities `[N, C]` and labels `[N]` (i32); 0
    /// if every label is ignored.
    ///
    /// # Panics
    /// If the rank is not 2, or `labels` is not i32 `[N]`.
    #[track_caller]
    #[must_use]
    pub fn nll_loss(&self, labels: &Self, ignore_index: i32) -> Self {
        let (s, l) = (self.shape(), labels.ty());
        assert!(
            s.len() == 2 && l.shape == [s[0]] && l.dtype == DType::I32,
            "nll_loss: log-probabilities {} with labels {l}",
            self.ty()
        );
        let at = labels.reshape(&[s[0], 1]);
        let picked = self.gather(1, &at);
        let counted = at.ne(&at.full_like(f64::from(ignore_index)));
        let total = counted.select(&-&picked, &picked.zeros_like()).sum_all();
        total / &counted.to_f32().sum_all().maximum(&self.builder().full(&[], 1.0))
    }

    /// `torch.nn.functional.kl_div(reduction="batchmean")` of log-probabilities from probabilities `target`: summed
    /// over all axes but the first, averaged over that. A target of 0 adds 0.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn kl_div(&self, target: &Self) -> Self {
        self.same_as("kl_div", target);
        let batch = self.shape().first().copied().unwrap_or(1).max(1);
        let log = target.maximum(&target.full_like(LEAST)).log();
        (target * &(log - self)).sum_all().shared_among(batch)
    }

    /// Hinge loss of a support vector machine: mean of `max(0, 1 - y x)` for targets -1 and 1. PyTorch has no such
    /// function.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn hinge_loss(&self, target: &Self) -> Self {
        self.same_as("hinge_loss", target);
        (1.0 - self * target).relu().mean_all()
    }

    /// `torch.nn.functional.multi_margin_loss`: mean over rows of `sum of max(0, 1 - x[label] + x[class]) / C` over
    /// the other classes; scores `[N, C]`, labels `[N]` (i32).
    ///
    /// # Panics
    /// If the rank is not 2, or `labels` is not i32 `[N]`.
    #[track_caller]
    #[must_use]
    pub fn multi_margin_loss(&self, labels: &Self) -> Self {
        let (s, l) = (self.shape(), labels.ty());
        assert!(
            s.len() == 2 && l.shape == [s[0]] && l.dtype == DType::I32,
            "multi_margin_loss: scores {} with labels {l}",
            self.ty()
        );
        let picked = self.gather(1, &labels.reshape(&[s[0], 1]));
        // The label's own term is always 1, with gradient 0.
        let margins = (self - &picked + 1.0).relu().sum(&[1]) - 1.0;
        margins.mean_all() * (1.0 / s[1] as f64)
    }

    /// `torchvision.ops.sigmoid_focal_loss(reduction="mean")` of logits against targets in [0, 1] (Lin et al., 2017):
    /// `alpha_t (1 - p_t)^gamma` times binary cross-entropy, `p_t` the probability of the target.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn sigmoid_focal_loss(&self, target: &Self, alpha: f64, gamma: f64) -> Self {
        self.same_as("sigmoid_focal_loss", target);
        let p = self.sigmoid();
        let entropy = self.softplus() - self * target;
        // 1 - p_t, kept above 0 for the power's gradient.
        let missed = &p * &(1.0 - target) + (1.0 - &p) * target;
        let missed = missed.maximum(&missed.full_like(1e-12));
        let weight = target * alpha + (1.0 - target) * (1.0 - alpha);
        (entropy * &missed.powf(gamma) * &weight).mean_all()
    }

    /// Dice loss: 1 less the Dice coefficient of probabilities and targets, per sample over all axes but the first,
    /// averaged (Milletari et al., 2016, with `smooth` added above and below). PyTorch has no such function.
    ///
    /// # Panics
    /// If the shapes or dtypes differ, or the tensors are of two graphs.
    #[track_caller]
    #[must_use]
    pub fn dice_loss(&self, target: &Self, smooth: f64) -> Self {
        self.same_as("dice_loss", target);
        let axes: Vec<usize> = (1..self.shape().len()).collect();
        let shared = (self * target).sum(&axes) * 2.0 + smooth;
        let both = (self + target).sum(&axes) + smooth;
        1.0 - (shared / &both).mean_all()
    }

    /// Number of rows of logits `[N, C]` with their first maximum at the label `[N]` (i32): an f32 scalar, for
    /// accuracy.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// use wgrad_types::DType;
    /// let logits = b.literal(&Array::new(&[2, 2], vec![0.1, 0.9, 0.8, 0.2]));
    /// let labels = b.literal(&Array::new(&[2], vec![1.0, 1.0])).cast(DType::I32);
    /// assert_eq!(logits.correct(&labels).to_array().data, [1.0]);
    /// ```
    ///
    /// # Panics
    /// If the rank is not 2, or `labels` is not i32 `[N]`.
    #[track_caller]
    #[must_use]
    pub fn correct(&self, labels: &Self) -> Self {
        self.argmax(-1).eq(labels).to_f32().sum_all()
    }

    /// `torch.numel`: number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.shape())
    }
}
