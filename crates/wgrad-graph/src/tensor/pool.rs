//! Pooling of images. Large windows go axis by axis.

use super::Tensor;
use crate::ops::{AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Window};
use wgrad_types::Array;

/// Elements of a window above which each axis is pooled by itself: one result is too much work for one
/// invocation.
const LARGE: usize = 1 << 14;

impl Window {
    /// The window along each axis, rows first, if it is large. The first maximum in row-major order is the
    /// first maximum of the first row containing it, so the gradients are the same.
    fn by_axis(self) -> Option<[Self; 2]> {
        let [kh, kw] = self.kernel;
        (kh * kw > LARGE && kh > 1 && kw > 1).then(|| {
            let along = |d: usize, v: usize, none: usize| if d == 0 { [v, none] } else { [none, v] };
            [1, 0].map(|d| Self {
                kernel: along(d, self.kernel[d], 1),
                stride: along(d, self.stride[d], 1),
                padding: along(d, self.padding[d], 0),
            })
        })
    }
}

impl Tensor {
    /// `torch.nn.functional.max_pool2d`: the largest element of each window, NaN if any is. `[N, C, H, W] -> [N, C,
    /// H', W']` with `H' = (H + 2 * padding - kernel) / stride + 1`, rounded down. Padding never wins; ties give the
    /// gradient to the first element.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Type;
    /// # let b = Builder::new();
    /// use wgrad_graph::ops::Window;
    /// let x = b.input("x", Type::f32(&[8, 16, 28, 28]));
    /// assert_eq!(x.max_pool2d(Window::new(2, 2, 0)).shape(), [8, 16, 14, 14]);
    /// ```
    ///
    /// # Panics
    /// If the tensor is not f32 `[N, C, H, W]`, padding exceeds half the window, or the window exceeds the padded
    /// input.
    #[track_caller]
    #[must_use]
    pub fn max_pool2d(&self, window: Window) -> Self {
        match window.by_axis() {
            Some([rows, columns]) => self.max_pool2d(rows).max_pool2d(columns),
            None => self.apply(MaxPool2d(window), &[]),
        }
    }

    /// Gradient of [`Tensor::max_pool2d`] for its input; `self` is the input, `dy` `[N, C, H', W']`.
    ///
    /// # Panics
    /// If the tensor is not f32 `[N, C, H, W]`, padding exceeds half the window, or the window exceeds the padded
    /// input.
    #[track_caller]
    #[must_use]
    pub fn max_pool2d_grad(&self, dy: &Self, window: Window) -> Self {
        self.apply(MaxPool2dGrad(window), &[dy])
    }

    /// Elements of `other` at the positions of this tensor's `max_pool2d` maxima, for second derivatives.
    #[track_caller]
    #[must_use]
    pub(crate) fn max_pool2d_of(&self, other: &Self, window: Window) -> Self {
        let x = self.detach();
        let s = x.shape();
        let out = x.max_pool2d(window).shape();
        let tap = |of: &Self, r: usize, q: usize| of.strided(window, [r, q], [out[2], out[3]]);
        let none = self.builder().full(&out, 0.0);
        let (mut best, mut found, mut picked) =
            (none.full_like(f64::NEG_INFINITY), none.clone(), none.clone());
        for r in 0..window.kernel[0] {
            for q in 0..window.kernel[1] {
                let inside = |o: usize| {
                    let at = [(o / out[3], r), (o % out[3], q)];
                    let within = |d: usize| {
                        let i = at[d].0 * window.stride[d] + at[d].1;
                        i >= window.padding[d] && i - window.padding[d] < s[2 + d]
                    };
                    f64::from(u8::from(within(0) && within(1)))
                };
                let inside = self.builder().literal(&Array::from_fn(&[1, 1, out[2], out[3]], inside));
                let v = tap(&x, r, q);
                // The first element, a larger one, NaN.
                let better = (1.0 - &found) + v.gt(&best).to_f32() + v.ne(&v).to_f32();
                let wins = (better * &inside).gt(&none);
                best = wins.select(&v, &best);
                picked = wins.select(&tap(other, r, q), &picked);
                found = wins.select(&none.full_like(1.0), &found);
            }
        }
        picked
    }

    /// Tap `at` of every window of an image, with zeros in the padding: `[N, C, H, W]` to `[N, C, out]`.
    fn strided(&self, window: Window, at: [usize; 2], out: [usize; 2]) -> Self {
        let s = self.shape();
        let reach = |d: usize| at[d] + out[d] * window.stride[d];
        let behind = |d: usize| reach(d).saturating_sub(window.padding[d] + s[2 + d]);
        let pads = [(0, 0), (0, 0), (window.padding[0], behind(0)), (window.padding[1], behind(1))];
        let part = [(0, s[0]), (0, s[1]), (at[0], reach(0) - at[0]), (at[1], reach(1) - at[1])];
        let cut = self.pad(&pads).slice(&part);
        let split = cut.reshape(&[s[0], s[1], out[0], window.stride[0], out[1], window.stride[1]]);
        split.narrow(3, 0, 1).narrow(5, 0, 1).reshape(&[s[0], s[1], out[0], out[1]])
    }

    /// `torch.nn.functional.avg_pool2d`: the mean of each window, padding counted as zeros; shapes as
    /// [`Tensor::max_pool2d`].
    ///
    /// # Panics
    /// If the tensor is not f32 `[N, C, H, W]`, padding exceeds half the window, or the window exceeds the padded
    /// input.
    #[track_caller]
    #[must_use]
    pub fn avg_pool2d(&self, window: Window) -> Self {
        match window.by_axis() {
            Some([rows, columns]) => self.avg_pool2d(rows).avg_pool2d(columns),
            None => self.apply(AvgPool2d(window), &[]),
        }
    }

    /// Gradient of [`Tensor::avg_pool2d`] for an input of height and width `size`; `self` is the result's gradient.
    ///
    /// # Panics
    /// If the tensor is not f32 `[N, C, H, W]`, padding exceeds half the window, or the window exceeds the padded
    /// input.
    #[track_caller]
    #[must_use]
    pub fn avg_pool2d_grad(&self, window: Window, size: [usize; 2]) -> Self {
        self.apply(AvgPool2dGrad { window, size }, &[])
    }

    /// `torch.nn.functional.adaptive_avg_pool2d`: means over a grid of `size` cells, `[N, C, H, W] -> [N, C, size[0],
    /// size[1]]`; cell `i` spans `floor(i * n / size) .. ceil((i + 1) * n / size)`. f32.
    ///
    /// # Panics
    /// If the rank is not 4, or an extent of `size` is 0.
    #[track_caller]
    #[must_use]
    pub fn adaptive_avg_pool2d(&self, size: [usize; 2]) -> Self {
        let s = self.shape();
        assert!(s.len() == 4 && size[0] > 0 && size[1] > 0, "adaptive_avg_pool2d: {size:?} of {}", self.ty());
        if [s[2], s[3]] == size {
            return self.clone();
        }
        if s[2].is_multiple_of(size[0]) && s[3].is_multiple_of(size[1]) {
            let kernel = [s[2] / size[0], s[3] / size[1]];
            return self.avg_pool2d(Window { kernel, stride: kernel, padding: [0; 2] });
        }
        self.cells(3, size[1]).cells(2, size[0])
    }

    /// Means over uneven cells of an axis: sums over all of it, of which a cell takes its own part. Not a product
    /// with an averaging matrix, whose zeros would carry a NaN into every cell.
    fn cells(&self, axis: usize, cells: usize) -> Self {
        let s = self.shape();
        let n = s[axis];
        let span = |cell: usize| (cell * n / cells, ((cell + 1) * n).div_ceil(cells));
        let mut along = vec![1; s.len() + 1];
        (along[axis], along[axis + 1]) = (cells, n);
        let share = self.builder().literal(&Array::from_fn(&along, |i| {
            let ((lo, hi), at) = (span(i / n), i % n);
            if (lo..hi).contains(&at) { 1.0 / (hi - lo) as f64 } else { 0.0 }
        }));
        let wide = self.unsqueeze(axis);
        let own = share.gt(&share.zeros_like()).select(&(&wide * &share), &share.zeros_like());
        own.sum(&[axis + 1])
    }
}
