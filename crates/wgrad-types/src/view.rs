//! Strided, masked views of a contiguous buffer: how movement operations are read without being run.
//!
//! A view maps coordinates of its `shape` to `offset + sum(coordinate * stride)` in the buffer. With a
//! `mask`, coordinates outside its half-open ranges read padding instead. Applying a movement never touches
//! data.

use crate::{numel, strides_of};

/// An affine window on a buffer; see the module's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Extents of the view's own axes.
    pub shape: Vec<usize>,
    /// Strides in elements along each axis (0 if broadcast).
    pub strides: Vec<isize>,
    /// Buffer element at coordinate zero (may be negative if masked).
    pub offset: isize,
    /// Half-open range `[lo, hi)` inside the buffer, per axis; `None` if nothing is masked.
    pub mask: Option<Vec<(usize, usize)>>,
}

impl View {
    /// The whole of a row-major buffer.
    pub fn contiguous(shape: &[usize]) -> Self {
        let strides = strides_of(shape).into_iter().map(|s| s as isize).collect();
        Self { shape: shape.to_vec(), strides, offset: 0, mask: None }
    }

    /// True if linear index `i` of the view is element `i` of the buffer, for every `i`.
    pub fn is_contiguous(&self) -> bool {
        let mut expect = 1isize;
        for d in (0..self.shape.len()).rev() {
            if self.shape[d] != 1 {
                if self.strides[d] != expect {
                    return false;
                }
                expect *= self.shape[d] as isize;
            }
        }
        self.offset == 0 && self.mask.is_none()
    }

    /// True if every coordinate reads the same element.
    pub fn is_uniform(&self) -> bool {
        self.mask.is_none() && self.shape.iter().zip(&self.strides).all(|(&n, &s)| n == 1 || s == 0)
    }

    /// Number of coordinates.
    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// The buffer's element at these coordinates, or `None` in the padding.
    pub fn index(&self, at: &[usize]) -> Option<usize> {
        if let Some(mask) = &self.mask
            && at.iter().zip(mask).any(|(&i, &(lo, hi))| i < lo || i >= hi)
        {
            return None;
        }
        let linear = self.offset + at.iter().zip(&self.strides).map(|(&i, &s)| i as isize * s).sum::<isize>();
        Some(linear as usize)
    }

    /// Reorders axes: axis `d` of the result is axis `axes[d]` of this view.
    #[must_use]
    pub fn permute(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&a| self.shape[a]).collect(),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
            mask: self.mask.as_ref().map(|m| axes.iter().map(|&a| m[a]).collect()),
        }
    }

    /// Stretches axes of extent 1 (and adds leading axes) to `shape`, by NumPy's rule.
    #[must_use]
    pub fn broadcast(&self, shape: &[usize]) -> Self {
        let lead = shape.len() - self.shape.len();
        let stretched = |d: usize| d < lead || self.shape[d - lead] != shape[d];
        let strides =
            (0..shape.len()).map(|d| if stretched(d) { 0 } else { self.strides[d - lead] }).collect();
        let mask = self.mask.as_ref().map(|mask| {
            let full = |d: usize| match d < lead {
                true => (0, shape[d]),
                false if self.shape[d - lead] != shape[d] => match mask[d - lead] {
                    (0, 1) => (0, shape[d]),
                    _ => (0, 0),
                },
                false => mask[d - lead],
            };
            (0..shape.len()).map(full).collect()
        });
        Self { shape: shape.to_vec(), strides, offset: self.offset, mask }
    }

    /// Keeps `start, start + step, ..` (`len` of them) along every axis; one `(start, step, len)` an axis.
    #[must_use]
    pub fn slice(&self, ranges: &[(usize, usize, usize)]) -> Self {
        let moved: isize = ranges.iter().zip(&self.strides).map(|(r, &s)| r.0 as isize * s).sum();
        let cut = |(&(lo, hi), &(start, step, len)): (&(usize, usize), &(usize, usize, usize))| {
            let first = lo.saturating_sub(start).div_ceil(step).min(len);
            let end = hi.saturating_sub(start).div_ceil(step).min(len);
            (first, end.max(first))
        };
        Self {
            shape: ranges.iter().map(|r| r.2).collect(),
            strides: ranges.iter().zip(&self.strides).map(|(r, &s)| s * r.1 as isize).collect(),
            offset: self.offset + moved,
            mask: self.mask.as_ref().map(|m| m.iter().zip(ranges).map(cut).collect()),
        }
    }

    /// Adds `(before, after)` coordinates of padding to every axis.
    #[must_use]
    pub fn pad(&self, pads: &[(usize, usize)]) -> Self {
        let moved: isize = pads.iter().zip(&self.strides).map(|(p, &s)| p.0 as isize * s).sum();
        let inside = |d: usize| {
            let (lo, hi) = self.mask.as_ref().map_or((0, self.shape[d]), |m| m[d]);
            (lo + pads[d].0, hi + pads[d].0)
        };
        let mask: Vec<_> = (0..self.shape.len()).map(inside).collect();
        let shape: Vec<_> = self.shape.iter().zip(pads).map(|(n, p)| n + p.0 + p.1).collect();
        let whole = mask.iter().zip(&shape).all(|(m, &n)| *m == (0, n));
        Self {
            strides: self.strides.clone(),
            offset: self.offset - moved,
            mask: (!whole).then_some(mask),
            shape,
        }
    }

    /// The same elements in the same order under another shape; `None` if strides cannot express it.
    pub fn reshape(&self, shape: &[usize]) -> Option<Self> {
        if numel(shape) != self.numel() {
            return None;
        }
        if self.shape == shape {
            return Some(self.clone());
        }
        if self.numel() == 0 {
            return Some(Self::contiguous(shape));
        }
        // Axes of extent 1 carry no order; drop them, then match groups of axes with equal products.
        let mask_at = |d: usize| self.mask.as_ref().map_or((0, self.shape[d]), |m| m[d]);
        if (0..self.shape.len()).any(|d| self.shape[d] == 1 && mask_at(d) != (0, 1)) {
            return None;
        }
        let old: Vec<usize> = (0..self.shape.len()).filter(|&d| self.shape[d] != 1).collect();
        let mut strides = vec![0isize; shape.len()];
        let mut mask: Vec<(usize, usize)> = shape.iter().map(|&n| (0, n)).collect();
        let (mut o, mut n) = (0, 0);
        while o < old.len() {
            while n < shape.len() && shape[n] == 1 {
                n += 1;
            }
            let (o0, n0) = (o, n);
            let (mut po, mut pn) = (self.shape[old[o]], *shape.get(n)?);
            (o, n) = (o + 1, n + 1);
            while po != pn {
                if po < pn {
                    po *= self.shape[*old.get(o)?];
                    o += 1;
                } else {
                    pn *= *shape.get(n)?;
                    n += 1;
                }
            }
            let group = &old[o0..o];
            let masked = group.iter().any(|&d| mask_at(d) != (0, self.shape[d]));
            if masked {
                // A masked axis may be renamed, not split or merged (extents of 1 aside).
                let real: Vec<usize> = (n0..n).filter(|&d| shape[d] != 1).collect();
                if group.len() != 1 || real.len() != 1 {
                    return None;
                }
                mask[real[0]] = mask_at(group[0]);
            }
            for w in group.windows(2) {
                if self.strides[w[0]] != self.strides[w[1]] * self.shape[w[1]] as isize {
                    return None;
                }
            }
            let mut stride = self.strides[group[group.len() - 1]];
            for d in (n0..n).rev() {
                strides[d] = stride;
                stride *= shape[d] as isize;
            }
        }
        let whole = mask.iter().zip(shape).all(|(m, &n)| *m == (0, n));
        Some(Self { shape: shape.to_vec(), strides, offset: self.offset, mask: (!whole).then_some(mask) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinates;

    /// Every coordinate's buffer element, row-major.
    fn elements(v: &View) -> Vec<Option<usize>> {
        (0..v.numel()).map(|i| v.index(&coordinates(i, &v.shape))).collect()
    }

    #[test]
    fn view_movements_compose() {
        let v = View::contiguous(&[2, 3]).permute(&[1, 0]);
        assert_eq!(elements(&v), [0, 3, 1, 4, 2, 5].map(Some));
        assert!(v.reshape(&[6]).is_none(), "a transposed matrix is not a flat range");
        let padded = View::contiguous(&[3]).pad(&[(1, 2)]);
        assert_eq!(elements(&padded), [None, Some(0), Some(1), Some(2), None, None]);
        assert_eq!(elements(&padded.slice(&[(1, 2, 3)])), [Some(0), Some(2), None]);
        let row = View::contiguous(&[3]).broadcast(&[2, 3]);
        assert_eq!(elements(&row), [0, 1, 2, 0, 1, 2].map(Some));
    }

    #[test]
    fn view_reshape_keeps_order() {
        for (from, to) in [
            (vec![2, 3, 4], vec![6, 4]),
            (vec![6, 1, 4], vec![2, 3, 1, 4]),
            (vec![1, 5], vec![5, 1, 1]),
            (vec![1], vec![]),
        ] {
            let v = View::contiguous(&from).reshape(&to).expect("contiguous views always reshape");
            assert_eq!(elements(&v), (0..numel(&to)).map(Some).collect::<Vec<_>>());
        }
        let v = View::contiguous(&[4, 3]).slice(&[(1, 1, 2), (0, 1, 3)]);
        assert_eq!(
            elements(&v.reshape(&[6]).expect("whole rows are flat")),
            (3..9).map(Some).collect::<Vec<_>>()
        );
        let masked = View::contiguous(&[2, 3]).pad(&[(0, 0), (1, 0)]);
        assert!(masked.reshape(&[8]).is_none());
        assert_eq!(elements(&masked.reshape(&[2, 1, 4]).expect("only a 1 is added")), elements(&masked));
    }
}
