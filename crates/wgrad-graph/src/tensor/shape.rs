//! Movement methods.

use super::Tensor;
use crate::ops::{Broadcast, Detach, Pad, Permute, Reshape, Slice};
use wgrad_types::numel;

/// Slices read by one fused kernel.
const QUARTERS: usize = 4;

impl Tensor {
    /// `torch.Tensor.detach`: this tensor as a constant; no gradient flows through.
    ///
    /// ```
    /// # use wgrad_graph::{Builder, differentiate};
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[1], vec![3.0]));
    /// let y = (&x * &x.detach()).sum_all();
    /// // Without `detach` it would be 6.
    /// assert_eq!(differentiate(&y, &[x])?[0].to_array().data, [3.0]);
    /// # Ok::<(), wgrad_types::ShapeError>(())
    /// ```
    #[must_use]
    pub fn detach(&self) -> Self {
        self.apply(Detach, &[])
    }

    /// `torch.reshape`: the same elements, row by row, under another shape of equal size.
    ///
    /// # Panics
    /// If the sizes differ.
    #[track_caller]
    #[must_use]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { self.apply(Reshape(shape.to_vec()), &[]) }
    }

    /// `torch.flatten(start_dim)`: all axes from `start` on merged into one.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Type;
    /// # let b = Builder::new();
    /// let x = b.input("x", Type::f32(&[8, 16, 5, 5]));
    /// assert_eq!(x.flatten(1).shape(), [8, 400]);
    /// ```
    ///
    /// # Panics
    /// If `start` is above the rank.
    #[track_caller]
    #[must_use]
    pub fn flatten(&self, start: usize) -> Self {
        let shape = self.shape();
        assert!(start <= shape.len(), "flatten: start {start} of {}", self.ty());
        let mut flat = shape[..start].to_vec();
        flat.push(numel(&shape[start..]));
        self.reshape(&flat)
    }

    /// `torch.unsqueeze`: a new axis of extent 1 at `axis`.
    ///
    /// # Panics
    /// If `axis` is above the rank.
    #[track_caller]
    #[must_use]
    pub fn unsqueeze(&self, axis: usize) -> Self {
        let mut shape = self.shape();
        assert!(axis <= shape.len(), "unsqueeze: axis {axis} of {}", self.ty());
        shape.insert(axis, 1);
        self.reshape(&shape)
    }

    /// `torch.squeeze(dim)`: without an axis of extent 1.
    ///
    /// # Panics
    /// If the axis is missing or longer.
    #[track_caller]
    #[must_use]
    pub fn squeeze(&self, axis: usize) -> Self {
        let mut shape = self.shape();
        assert!(axis < shape.len() && shape[axis] == 1, "squeeze: axis {axis} of {}", self.ty());
        shape.remove(axis);
        self.reshape(&shape)
    }

    /// `torch.permute`: axes in another order.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Type;
    /// # let b = Builder::new();
    /// let x = b.input("x", Type::f32(&[2, 3, 4]));
    /// assert_eq!(x.permute(&[2, 0, 1]).shape(), [4, 2, 3]);
    /// ```
    ///
    /// # Panics
    /// If `axes` is no permutation of the axes.
    #[track_caller]
    #[must_use]
    pub fn permute(&self, axes: &[usize]) -> Self {
        let identity = axes.iter().enumerate().all(|(d, &a)| d == a) && axes.len() == self.shape().len();
        if identity { self.clone() } else { self.apply(Permute(axes.to_vec()), &[]) }
    }

    /// `torch.transpose`: two axes swapped.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn transpose(&self, a: usize, b: usize) -> Self {
        let rank = self.shape().len();
        assert!(a < rank && b < rank, "transpose: axes {a} and {b} of {}", self.ty());
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(a, b);
        self.permute(&axes)
    }

    /// `torch.Tensor.mT`: the last two axes swapped.
    ///
    /// # Panics
    /// If the rank is below 2.
    #[track_caller]
    #[must_use]
    pub fn t(&self) -> Self {
        let rank = self.shape().len();
        assert!(rank >= 2, "t: needs two axes, got {}", self.ty());
        self.transpose(rank - 2, rank - 1)
    }

    /// `torch.broadcast_to`: axes of extent 1 stretched, leading axes added.
    ///
    /// # Panics
    /// If this shape does not broadcast to `shape`.
    #[track_caller]
    #[must_use]
    pub fn broadcast_to(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { self.apply(Broadcast(shape.to_vec()), &[]) }
    }

    /// Indexing `x[a:b, ..]`: a box, `(start, len)` along every axis.
    ///
    /// # Panics
    /// If a range leaves its axis, or an axis has none.
    #[track_caller]
    #[must_use]
    pub fn slice(&self, ranges: &[(usize, usize)]) -> Self {
        let whole =
            ranges.len() == self.shape().len() && ranges.iter().zip(self.shape()).all(|(r, n)| *r == (0, n));
        if whole { self.clone() } else { self.apply(Slice(ranges.to_vec()), &[]) }
    }

    /// `torch.narrow`: `len` elements from `start` along one axis.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[4], vec![1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(x.narrow(0, 1, 2).to_array().data, [2.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis is missing or too short.
    #[track_caller]
    #[must_use]
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Self {
        let mut ranges: Vec<_> = self.shape().iter().map(|&n| (0, n)).collect();
        assert!(axis < ranges.len(), "narrow: axis {axis} of {}", self.ty());
        ranges[axis] = (start, len);
        self.slice(&ranges)
    }

    /// `torch.nn.functional.pad` with zeros: `(before, after)` along every axis, the first axis first.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2], vec![1.0, 2.0]));
    /// assert_eq!(x.pad(&[(1, 2)]).to_array().data, [0.0, 1.0, 2.0, 0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If there are not as many pairs as axes.
    #[track_caller]
    #[must_use]
    pub fn pad(&self, pads: &[(usize, usize)]) -> Self {
        let none = pads.len() == self.shape().len() && pads.iter().all(|p| *p == (0, 0));
        if none { self.clone() } else { self.apply(Pad(pads.to_vec()), &[]) }
    }

    /// `torch.unbind`: the slices of an axis, each without it. Long axes are cut in quarters again and again, so that
    /// adding up the gradients of the slices reads each element a logarithmic number of times.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    #[must_use]
    pub fn unbind(&self, axis: usize) -> Vec<Self> {
        let shape = self.shape();
        assert!(axis < shape.len(), "unbind: axis {axis} of {}", self.ty());
        match shape[axis] {
            0 => Vec::new(),
            1 => vec![self.squeeze(axis)],
            n => {
                let size = n.div_ceil(QUARTERS);
                let starts = (0..n).step_by(size);
                starts.flat_map(|at| self.narrow(axis, at, size.min(n - at)).unbind(axis)).collect()
            }
        }
    }

    /// `torch.stack`: tensors of one shape side by side along a new axis.
    ///
    /// # Panics
    /// If there are none, or their types differ.
    #[track_caller]
    #[must_use]
    pub fn stack(parts: &[&Self], axis: usize) -> Self {
        if let Some(first) = parts.first() {
            first.builder().owns("stack", parts.iter().copied());
        }
        let parts: Vec<Self> = parts.iter().map(|p| p.unsqueeze(axis)).collect();
        Self::concat(&parts.iter().collect::<Vec<_>>(), axis)
    }

    /// `torch.cat`: tensors one after another along an axis, as a fusable sum of padded operands. Many are joined in
    /// quarters, so that each element is read a logarithmic number of times.
    ///
    /// ```
    /// # use wgrad_graph::{Builder, Tensor};
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2], vec![1.0, 2.0]));
    /// let y = b.full(&[1], 9.0);
    /// assert_eq!(Tensor::concat(&[&x, &y], 0).to_array().data, [1.0, 2.0, 9.0]);
    /// ```
    ///
    /// # Panics
    /// If there are none, or they differ in dtype or along another axis.
    #[track_caller]
    #[must_use]
    pub fn concat(parts: &[&Self], axis: usize) -> Self {
        assert!(!parts.is_empty(), "concat: needs a tensor");
        parts[0].builder().owns("concat", parts.iter().copied());
        if parts.len() > QUARTERS {
            let joined: Vec<Self> =
                parts.chunks(parts.len().div_ceil(QUARTERS)).map(|chunk| Self::concat(chunk, axis)).collect();
            return Self::concat(&joined.iter().collect::<Vec<_>>(), axis);
        }
        let total: usize = parts.iter().map(|p| p.shape().get(axis).copied().unwrap_or(0)).sum();
        let mut at = 0;
        let mut sum: Option<Self> = None;
        for part in parts {
            let shape = part.shape();
            assert!(axis < shape.len(), "concat: axis {axis} of {}", part.ty());
            let mut pads = vec![(0, 0); shape.len()];
            pads[axis] = (at, total - at - shape[axis]);
            at += shape[axis];
            let padded = part.pad(&pads);
            assert!(
                sum.as_ref().is_none_or(|s| s.ty() == padded.ty()),
                "concat: {} does not line up along axis {axis}",
                part.ty()
            );
            sum = Some(sum.map_or(padded.clone(), |s| s + padded));
        }
        sum.expect("parts is not empty")
    }
}
