//! Reductions, and softmax and its kin composed of them.

use super::Tensor;
use crate::ops::{ArgMax, Reduce, ReduceKind};

impl Tensor {
    #[track_caller]
    fn reduce(&self, kind: ReduceKind, axes: &[usize]) -> Self {
        let mut axes = axes.to_vec();
        axes.sort_unstable();
        axes.dedup();
        self.apply(Reduce { kind, axes }, &[])
    }

    /// Sum over axes, kept with extent 1.
    #[track_caller]
    #[must_use]
    pub fn sum_keep(&self, axes: &[usize]) -> Self {
        if axes.is_empty() { self.clone() } else { self.reduce(ReduceKind::Sum, axes) }
    }

    #[track_caller]
    fn drop_axes(&self, axes: &[usize]) -> Self {
        let shape = self.shape();
        let kept: Vec<usize> = (0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).collect();
        self.reshape(&kept)
    }

    /// Sum over axes, removed from the shape.
    #[track_caller]
    #[must_use]
    pub fn sum(&self, axes: &[usize]) -> Self {
        self.sum_keep(axes).drop_axes(axes)
    }

    /// Sum of everything, a scalar.
    #[must_use]
    pub fn sum_all(&self) -> Self {
        self.sum(&(0..self.shape().len()).collect::<Vec<_>>())
    }

    /// Mean over axes, kept with extent 1; NaN if there are no elements.
    #[track_caller]
    #[must_use]
    pub fn mean_keep(&self, axes: &[usize]) -> Self {
        let shape = self.shape();
        let count: usize = axes.iter().map(|&a| shape.get(a).copied().unwrap_or(1)).product();
        self.sum_keep(axes).shared_among(count)
    }

    /// A sum as a mean of so many; NaN of none.
    pub(crate) fn shared_among(self, count: usize) -> Self {
        // A product of 0 and infinity is left to no driver.
        if count == 0 { self + f64::NAN } else { self * (1.0 / count as f64) }
    }

    /// Mean over axes, removed from the shape.
    #[track_caller]
    #[must_use]
    pub fn mean(&self, axes: &[usize]) -> Self {
        self.mean_keep(axes).drop_axes(axes)
    }

    /// Mean of everything, a scalar.
    #[must_use]
    pub fn mean_all(&self) -> Self {
        self.mean(&(0..self.shape().len()).collect::<Vec<_>>())
    }

    /// Largest over axes, kept with extent 1; NaN if any is.
    #[track_caller]
    #[must_use]
    pub fn amax_keep(&self, axes: &[usize]) -> Self {
        self.reduce(ReduceKind::Max, axes)
    }

    /// Largest over axes, removed from the shape; NaN if any is (`torch.amax`).
    #[track_caller]
    #[must_use]
    pub fn amax(&self, axes: &[usize]) -> Self {
        self.amax_keep(axes).drop_axes(axes)
    }

    /// Smallest over axes, removed from the shape; NaN if any is (`torch.amin`).
    #[track_caller]
    #[must_use]
    pub fn amin(&self, axes: &[usize]) -> Self {
        self.reduce(ReduceKind::Min, axes).drop_axes(axes)
    }

    /// Variance over axes, removed from the shape: two passes, divided by `count - correction` (`torch.var`;
    /// 1 is Bessel's).
    #[track_caller]
    #[must_use]
    pub fn var(&self, axes: &[usize], correction: usize) -> Self {
        let shape = self.shape();
        let count: usize = axes.iter().map(|&a| shape.get(a).copied().unwrap_or(1)).product();
        assert!(count > correction, "var: {count} elements with correction {correction}");
        let centred = self - &self.mean_keep(axes);
        centred.square().sum(axes) * (1.0 / (count - correction) as f64)
    }

    /// Position of the first largest, or of the first NaN, along `dim` (negative counts from the end),
    /// removed from the shape; i32.
    #[track_caller]
    #[must_use]
    pub fn argmax(&self, dim: isize) -> Self {
        let axis = self.axis("argmax", dim);
        self.apply(ArgMax { axis }, &[]).drop_axes(&[axis])
    }

    /// Sums of each element and all before it along `dim` (`torch.cumsum`): doubling shifts, so the error grows with the
    /// logarithm of the length.
    #[track_caller]
    #[must_use]
    pub fn cumsum(&self, dim: isize) -> Self {
        let axis = self.axis("cumsum", dim);
        let shape = self.shape();
        let (mut sum, mut shift) = (self.clone(), 1);
        while shift < shape[axis] {
            let mut pads = vec![(0, 0); shape.len()];
            pads[axis] = (shift, 0);
            let before = sum.narrow(axis, 0, shape[axis] - shift).pad(&pads);
            sum = sum + before;
            shift *= 2;
        }
        sum
    }

    /// Sums a stretched gradient back to `shape`.
    #[track_caller]
    #[must_use]
    pub fn sum_to(&self, shape: &[usize]) -> Self {
        let own = self.shape();
        let lead = own.len() - shape.len();
        let axes: Vec<usize> =
            (0..own.len()).filter(|&d| d < lead || (shape[d - lead] == 1 && own[d] != 1)).collect();
        self.sum_keep(&axes).reshape(shape)
    }

    /// `log(sum(e^x))` along axes, kept with extent 1; shifted by the largest, so it does not overflow. An
    /// infinite largest is the result itself, without a shift.
    #[track_caller]
    #[must_use]
    pub fn logsumexp_keep(&self, axes: &[usize]) -> Self {
        let top = self.amax_keep(axes).detach();
        let zero = top.zeros_like();
        let top = top.finite().gt(&zero).select(&top, &zero);
        (self - &top).exp().sum_keep(axes).log() + top
    }

    /// `log(sum(e^x))` along `dim`, removed from the shape.
    #[track_caller]
    #[must_use]
    pub fn logsumexp(&self, dim: isize) -> Self {
        let axis = self.axis("logsumexp", dim);
        self.logsumexp_keep(&[axis]).drop_axes(&[axis])
    }

    /// `e^x / sum(e^x)` along `dim`.
    #[track_caller]
    #[must_use]
    pub fn softmax(&self, dim: isize) -> Self {
        let axis = self.axis("softmax", dim);
        let e = (self - &self.amax_keep(&[axis]).detach()).exp();
        &e / &e.sum_keep(&[axis])
    }

    /// `x - log(sum(e^x))` along `dim`.
    #[track_caller]
    #[must_use]
    pub fn log_softmax(&self, dim: isize) -> Self {
        let axis = self.axis("log_softmax", dim);
        let shifted = self - &self.amax_keep(&[axis]).detach();
        &shifted - &shifted.exp().sum_keep(&[axis]).log()
    }
}
