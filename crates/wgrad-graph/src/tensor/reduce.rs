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

    /// `torch.sum(keepdim=True)` over axes, f32; all of them keep extent 1.
    ///
    /// # Panics
    /// If an axis is not below the rank.
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

    /// `torch.sum` over axes, f32; they go.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(x.sum(&[1]).to_array().data, [3.0, 7.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn sum(&self, axes: &[usize]) -> Self {
        self.sum_keep(axes).drop_axes(axes)
    }

    /// `torch.sum` of all elements, an f32 scalar.
    #[must_use]
    pub fn sum_all(&self) -> Self {
        self.sum(&(0..self.shape().len()).collect::<Vec<_>>())
    }

    /// `torch.mean(keepdim=True)` over axes, f32; all of them keep extent 1. NaN of no elements.
    ///
    /// # Panics
    /// If an axis is not below the rank.
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

    /// `torch.mean` over axes, f32; they go. NaN of no elements.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn mean(&self, axes: &[usize]) -> Self {
        self.mean_keep(axes).drop_axes(axes)
    }

    /// `torch.mean` of all elements, an f32 scalar. NaN of no elements.
    #[must_use]
    pub fn mean_all(&self) -> Self {
        self.mean(&(0..self.shape().len()).collect::<Vec<_>>())
    }

    /// `torch.amax(keepdim=True)` over axes, f32; NaN if any element is. Ties share the gradient.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn amax_keep(&self, axes: &[usize]) -> Self {
        self.reduce(ReduceKind::Max, axes)
    }

    /// `torch.amax` over axes, f32; they go. NaN if any element is.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn amax(&self, axes: &[usize]) -> Self {
        self.amax_keep(axes).drop_axes(axes)
    }

    /// `torch.amin` over axes, f32; they go. NaN if any element is.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn amin(&self, axes: &[usize]) -> Self {
        self.reduce(ReduceKind::Min, axes).drop_axes(axes)
    }

    /// `torch.var` over axes, f32; they go. Two passes, divided by `count - correction` (1 is Bessel's).
    ///
    /// # Panics
    /// If an axis is not below the rank, or there are no more elements than `correction`.
    #[track_caller]
    #[must_use]
    pub fn var(&self, axes: &[usize], correction: usize) -> Self {
        let shape = self.shape();
        let count: usize = axes.iter().map(|&a| shape.get(a).copied().unwrap_or(1)).product();
        assert!(count > correction, "var: {count} elements with correction {correction}");
        let centred = self - &self.mean_keep(axes);
        centred.square().sum(axes) * (1.0 / (count - correction) as f64)
    }

    /// `torch.argmax`: position of the first largest element, or of the first NaN, along `dim` (negative: from the
    /// end); i32.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2, 3], vec![1.0, 5.0, 2.0, 9.0, 0.0, 9.0]));
    /// assert_eq!(x.argmax(-1).to_array().data, [1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If `dim` is not in `-rank..rank`.
    #[track_caller]
    #[must_use]
    pub fn argmax(&self, dim: isize) -> Self {
        let axis = self.axis("argmax", dim);
        self.apply(ArgMax { axis }, &[]).drop_axes(&[axis])
    }

    /// `torch.cumsum`: sums of each element and all before it along `dim`, f32. By doubling shifts: the error grows
    /// with the logarithm of the length.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[4], vec![1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(x.cumsum(0).to_array().data, [1.0, 3.0, 6.0, 10.0]);
    /// ```
    ///
    /// # Panics
    /// If `dim` is not in `-rank..rank`.
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

    /// `torch.Tensor.sum_to_size`: the gradient of a broadcast, summed back to `shape`. f32.
    ///
    /// # Panics
    /// If `shape` does not broadcast to this one.
    #[track_caller]
    #[must_use]
    pub fn sum_to(&self, shape: &[usize]) -> Self {
        let own = self.shape();
        let lead = own.len() - shape.len();
        let axes: Vec<usize> =
            (0..own.len()).filter(|&d| d < lead || (shape[d - lead] == 1 && own[d] != 1)).collect();
        self.sum_keep(&axes).reshape(shape)
    }

    /// `torch.logsumexp(keepdim=True)` over axes, f32: `log(sum(e^x))`, shifted by the largest element, so that it
    /// does not overflow. An infinite largest element shifts nothing: it is the result.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn logsumexp_keep(&self, axes: &[usize]) -> Self {
        let top = self.amax_keep(axes).detach();
        let zero = top.zeros_like();
        let top = top.finite().gt(&zero).select(&top, &zero);
        (self - &top).exp().sum_keep(axes).log() + top
    }

    /// `torch.logsumexp` along `dim`, f32; it goes. See [`Tensor::logsumexp_keep`].
    ///
    /// # Panics
    /// If `dim` is not in `-rank..rank`.
    #[track_caller]
    #[must_use]
    pub fn logsumexp(&self, dim: isize) -> Self {
        let axis = self.axis("logsumexp", dim);
        self.logsumexp_keep(&[axis]).drop_axes(&[axis])
    }

    /// `torch.softmax` along `dim`, f32: `e^x / sum(e^x)`.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2], vec![7.0, 7.0]));
    /// assert_eq!(x.softmax(-1).to_array().data, [0.5, 0.5]);
    /// ```
    ///
    /// # Panics
    /// If `dim` is not in `-rank..rank`.
    #[track_caller]
    #[must_use]
    pub fn softmax(&self, dim: isize) -> Self {
        let axis = self.axis("softmax", dim);
        let e = (self - &self.amax_keep(&[axis]).detach()).exp();
        &e / &e.sum_keep(&[axis])
    }

    /// `torch.log_softmax` along `dim`, f32: `x - log(sum(e^x))`.
    ///
    /// # Panics
    /// If `dim` is not in `-rank..rank`.
    #[track_caller]
    #[must_use]
    pub fn log_softmax(&self, dim: isize) -> Self {
        let axis = self.axis("log_softmax", dim);
        let shifted = self - &self.amax_keep(&[axis]).detach();
        &shifted - &shifted.exp().sum_keep(&[axis]).log()
    }
}
