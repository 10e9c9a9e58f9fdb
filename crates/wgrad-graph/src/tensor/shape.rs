//! Movement methods.

use super::Tensor;
use crate::ops::{Broadcast, Detach, Pad, Permute, Reshape, Slice};
use wgrad_types::numel;

/// Slices read by one fused kernel.
const QUARTERS: usize = 4;

impl Tensor {
    /// This tensor as a constant: no gradient flows through.
    #[must_use]
    pub fn detach(&self) -> Self {
        self.apply(Detach, &[])
    }

    /// The same elements under another shape of equal size.
    #[track_caller]
    #[must_use]
    pub fn reshape(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { self.apply(Reshape(shape.to_vec()), &[]) }
    }

    /// Merges all axes from `start` on (`torch.flatten`).
    #[track_caller]
    #[must_use]
    pub fn flatten(&self, start: usize) -> Self {
        let shape = self.shape();
        assert!(start <= shape.len(), "flatten: start {start} of {}", self.ty());
        let mut flat = shape[..start].to_vec();
        flat.push(numel(&shape[start..]));
        self.reshape(&flat)
    }

    /// A new axis of extent 1 at `axis`.
    #[track_caller]
    #[must_use]
    pub fn unsqueeze(&self, axis: usize) -> Self {
        let mut shape = self.shape();
        assert!(axis <= shape.len(), "unsqueeze: axis {axis} of {}", self.ty());
        shape.insert(axis, 1);
        self.reshape(&shape)
    }

    /// Drops an axis of extent 1.
    #[track_caller]
    #[must_use]
    pub fn squeeze(&self, axis: usize) -> Self {
        let mut shape = self.shape();
        assert!(axis < shape.len() && shape[axis] == 1, "squeeze: axis {axis} of {}", self.ty());
        shape.remove(axis);
        self.reshape(&shape)
    }

    /// Axes in another order.
    #[track_caller]
    #[must_use]
    pub fn permute(&self, axes: &[usize]) -> Self {
        let identity = axes.iter().enumerate().all(|(d, &a)| d == a) && axes.len() == self.shape().len();
        if identity { self.clone() } else { self.apply(Permute(axes.to_vec()), &[]) }
    }

    /// Swaps two axes.
    #[track_caller]
    #[must_use]
    pub fn transpose(&self, a: usize, b: usize) -> Self {
        let rank = self.shape().len();
        assert!(a < rank && b < rank, "transpose: axes {a} and {b} of {}", self.ty());
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(a, b);
        self.permute(&axes)
    }

    /// Swaps the last two axes.
    #[track_caller]
    #[must_use]
    pub fn t(&self) -> Self {
        let rank = self.shape().len();
        assert!(rank >= 2, "t: needs two axes, got {}", self.ty());
        self.transpose(rank - 2, rank - 1)
    }

    /// Stretches axes of extent 1 to `shape` (`torch.expand`).
    #[track_caller]
    #[must_use]
    pub fn broadcast_to(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { self.apply(Broadcast(shape.to_vec()), &[]) }
    }

    /// A box: `(start, len)` along every axis.
    #[track_caller]
    #[must_use]
    pub fn slice(&self, ranges: &[(usize, usize)]) -> Self {
        let whole =
            ranges.len() == self.shape().len() && ranges.iter().zip(self.shape()).all(|(r, n)| *r == (0, n));
        if whole { self.clone() } else { self.apply(Slice(ranges.to_vec()), &[]) }
    }

    /// `len` elements from `start` along one axis (`torch.narrow`).
    #[track_caller]
    #[must_use]
    pub fn narrow(&self, axis: usize, start: usize, len: usize) -> Self {
        let mut ranges: Vec<_> = self.shape().iter().map(|&n| (0, n)).collect();
        assert!(axis < ranges.len(), "narrow: axis {axis} of {}", self.ty());
        ranges[axis] = (start, len);
        self.slice(&ranges)
    }

    /// Zeros around: `(before, after)` along every axis.
    #[track_caller]
    #[must_use]
    pub fn pad(&self, pads: &[(usize, usize)]) -> Self {
        let none = pads.len() == self.shape().len() && pads.iter().all(|p| *p == (0, 0));
        if none { self.clone() } else { self.apply(Pad(pads.to_vec()), &[]) }
    }

    /// The slices of an axis, removed from the shape (`torch.unbind`). Long axes are cut into quarters
    /// recursively, so that summing the slices' gradients reads each element a logarithmic number of times.
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

    /// Tensors of one shape side by side along a new axis (`torch.stack`).
    #[track_caller]
    #[must_use]
    pub fn stack(parts: &[&Self], axis: usize) -> Self {
        if let Some(first) = parts.first() {
            first.builder().owns("stack", parts.iter().copied());
        }
        let parts: Vec<Self> = parts.iter().map(|p| p.unsqueeze(axis)).collect();
        Self::concat(&parts.iter().collect::<Vec<_>>(), axis)
    }

    /// Tensors joined along an axis (`torch.cat`): a sum of padded operands, so that it fuses. Many are
    /// joined by quarters recursively, so that each element is read a logarithmic number of times.
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
