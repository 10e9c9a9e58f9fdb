//! Max pooling and its gradient, row by row in vectors: a row is split by column modulo the stride, so that
//! tap `s` of all windows of a row is one contiguous run.
//!
//! As in PyTorch the first of equal maxima takes the gradient, and a NaN in a window is its maximum.

use super::Reads;
use super::pool::{planes, span};
use super::scratch::with_floats;
use super::tile::whole;
use super::vectors::dispatch;
use crate::Kernel;
use pulp::{Simd, WithSimd};
use wgrad_graph::ops::Window;

/// Extents of one plane's pooling.
#[derive(Clone, Copy)]
struct Plane<'w> {
    w: &'w Window,
    h: usize,
    width: usize,
    ow: usize,
}

impl Plane<'_> {
    /// True for 2x2 windows side by side from the first element on.
    fn pairs(&self, oh: usize) -> bool {
        let two = self.w.kernel == [2, 2] && self.w.stride == [2, 2] && self.w.padding == [0, 0];
        two && [oh, self.ow] == [self.h / 2, self.width / 2]
    }

    /// Floats per row of outputs, and per phase of a split row: whole vectors.
    fn row_floats(&self) -> usize {
        whole(self.ow + self.w.kernel[1].div_ceil(self.w.stride[1]))
    }

    /// Floats per padded row.
    fn padded(&self) -> usize {
        whole((self.row_floats() * self.w.stride[1]).max(self.w.padding[1] + self.width))
    }

    /// Offset of tap `s` of the windows in a split row.
    fn tap(&self, s: usize) -> usize {
        s % self.w.stride[1] * self.row_floats() + s / self.w.stride[1]
    }

    /// Floats per split row; taps may run over by a vector.
    fn split_len(&self) -> usize {
        self.row_floats() * (self.w.stride[1] + 1)
    }

    /// Floats of two padded rows and a split one.
    fn rows(&self) -> [usize; 2] {
        [2 * self.padded(), self.split_len()]
    }

    /// Floats of a padded row and a split one, and of the windows' maxima and their positions.
    fn grad_rows(&self) -> [usize; 2] {
        [self.padded() + self.split_len(), 2 * self.row_floats()]
    }

    /// Copies a row between paddings smaller than any maximum.
    #[inline(always)]
    fn pad(&self, row: &[f32], to: &mut [f32]) {
        let left = self.w.padding[1];
        to[..left].fill(f32::NEG_INFINITY);
        to[left..left + row.len()].copy_from_slice(row);
        to[left + row.len()..].fill(f32::NEG_INFINITY);
    }

    /// Splits a padded row.
    #[inline(always)]
    fn split(&self, padded: &[f32], to: &mut [f32]) {
        let stride = self.w.stride[1];
        if stride == 2 {
            let (even, odd) = to.split_at_mut(self.row_floats());
            for ((pair, even), odd) in padded.as_chunks::<2>().0.iter().zip(even).zip(odd) {
                (*even, *odd) = (pair[0], pair[1]);
            }
            return;
        }
        for (b, phase) in to.chunks_exact_mut(self.row_floats()).enumerate().take(stride) {
            for (v, x) in phase.iter_mut().zip(padded[b..].iter().step_by(stride)) {
                *v = *x;
            }
        }
    }
}

/// True if `v` replaces the maximum so far.
#[inline(always)]
fn above(v: f32, best: f32) -> bool {
    v > best || v.is_nan()
}

struct Max<'a> {
    plane: Plane<'a>,
    x: &'a [f32],
    y: &'a mut [f32],
    /// Two padded rows.
    rows: &'a mut [f32],
    split: &'a mut [f32],
}

impl WithSimd for Max<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plane, x, y, rows, split } = self;
        for (i, y) in y.chunks_exact_mut(plane.ow).enumerate() {
            let (tall, row) = rows.split_at_mut(plane.padded());
            for (n, r) in span(plane.w, 0, i, plane.h).enumerate() {
                let from = &x[r * plane.width..][..plane.width];
                if n == 0 {
                    plane.pad(from, tall);
                    continue;
                }
                plane.pad(from, row);
                for (best, &v) in tall.iter_mut().zip(&*row) {
                    *best = if above(v, *best) { v } else { *best };
                }
            }
            plane.split(tall, split);
            let best = &mut row[..plane.row_floats()];
            best.copy_from_slice(&split[..plane.row_floats()]);
            for s in 1..plane.w.kernel[1] {
                for (best, &v) in best.iter_mut().zip(&split[plane.tap(s)..][..plane.row_floats()]) {
                    *best = if above(v, *best) { v } else { *best };
                }
            }
            y.copy_from_slice(&best[..plane.ow]);
        }
    }
}

struct MaxGrad<'a> {
    plane: Plane<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    /// A padded row.
    row: &'a mut [f32],
    split: &'a mut [f32],
    best: &'a mut [f32],
    /// The element of each window's maximum.
    at: &'a mut [u32],
}

/// No element yet: every one so far is negative infinity.
const NONE: u32 = u32::MAX;

impl WithSimd for MaxGrad<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plane, x, dy, dx, row, split, best, at } = self;
        let (stride, padding) = (plane.w.stride[1], plane.w.padding[1]);
        dx.fill(0.0);
        for (i, dy) in dy.chunks_exact(plane.ow).enumerate() {
            best.fill(f32::NEG_INFINITY);
            at.fill(NONE);
            let rows = span(plane.w, 0, i, plane.h);
            for r in rows.clone() {
                plane.pad(&x[r * plane.width..][..plane.width], row);
                plane.split(row, split);
                for s in 0..plane.w.kernel[1] {
                    let row = &split[plane.tap(s)..][..plane.row_floats()];
                    let tap = (r * plane.width + s) as u32;
                    for ((best, at), &v) in best.iter_mut().zip(at.iter_mut()).zip(row) {
                        let taken = above(v, *best);
                        *best = if taken { v } else { *best };
                        *at = if taken { tap } else { *at };
                    }
                }
            }
            for (j, (&at, &dy)) in at.iter().zip(dy).enumerate() {
                let to = match at {
                    NONE => rows.start * plane.width + span(plane.w, 1, j, plane.width).start,
                    _ => at as usize + j * stride - padding,
                };
                dx[to] += dy;
            }
        }
    }
}

/// Windows two by two, side by side.
struct MaxPairs<'a> {
    plane: Plane<'a>,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for MaxPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plane: Plane { width, ow, .. }, x, y } = self;
        for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(ow)) {
            let (top, bottom) = x.split_at(width);
            for ((t, b), y) in top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0).zip(y) {
                let best = if above(t[1], t[0]) { t[1] } else { t[0] };
                let best = if above(b[0], best) { b[0] } else { best };
                *y = if above(b[1], best) { b[1] } else { best };
            }
        }
    }
}

/// The gradient of windows two by two, side by side: each element is in one window at most.
struct MaxGradPairs<'a> {
    plane: Plane<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl WithSimd for MaxGradPairs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plane: Plane { width, ow, .. }, x, dy, dx } = self;
        let whole = dy.len() / ow * 2 * width;
        dx[whole..].fill(0.0);
        let rows = x[..whole].chunks_exact(2 * width).zip(dx[..whole].chunks_exact_mut(2 * width));
        for ((x, dx), dy) in rows.zip(dy.chunks_exact(ow)) {
            let ((top, bottom), (dtop, dbottom)) = (x.split_at(width), dx.split_at_mut(width));
            let (top, bottom) = (top.as_chunks::<2>().0, bottom.as_chunks::<2>().0);
            let (dtop, rest) = dtop.as_chunks_mut::<2>();
            let (dbottom, below) = dbottom.as_chunks_mut::<2>();
            rest.fill(0.0);
            below.fill(0.0);
            for ((((t, b), dt), db), &dy) in top.iter().zip(bottom).zip(dtop).zip(dbottom).zip(dy) {
                // A tap above all before it; the last such one takes the gradient.
                let second = above(t[1], t[0]);
                let best = if second { t[1] } else { t[0] };
                let third = above(b[0], best);
                let fourth = above(b[1], if third { b[0] } else { best });
                let one = |mine: bool| if mine { dy } else { 0.0 };
                *dt = [one(!second & !third & !fourth), one(second & !third & !fourth)];
                *db = [one(third & !fourth), one(fourth)];
            }
        }
    }
}

/// Floats of a thread's two blocks in [`max`].
pub(super) fn block_floats(kernel: &Kernel, w: &Window) -> [usize; 2] {
    let shape = &kernel.operands[0].shape;
    Plane { w, h: shape[2], width: shape[3], ow: kernel.shape[3] }.rows()
}

/// The same in [`max_grad`].
pub(super) fn grad_room(kernel: &Kernel, w: &Window) -> [usize; 2] {
    let pooled = &kernel.operands[1].shape;
    Plane { w, h: kernel.shape[2], width: kernel.shape[3], ow: pooled[3] }.grad_rows()
}

pub(super) fn max(kernel: &Kernel, w: &Window, reads: Reads<'_>, out: &mut [u32]) {
    let (x, shape) = (reads.f32(0), &kernel.operands[0].shape);
    let plane = Plane { w, h: shape[2], width: shape[3], ow: kernel.shape[3] };
    let size = plane.h * plane.width;
    if plane.pairs(kernel.shape[2]) {
        return planes(kernel, reads, out, |p, y| {
            dispatch(MaxPairs { plane, x: &x[p * size..][..size], y });
        });
    }
    planes(kernel, reads, out, |p, y| {
        with_floats(plane.rows(), |rows, split| {
            dispatch(Max { plane, x: &x[p * size..][..size], y, rows, split });
        });
    });
}

pub(super) fn max_grad(kernel: &Kernel, w: &Window, reads: Reads<'_>, out: &mut [u32]) {
    let (x, dy, pooled) = (reads.f32(0), reads.f32(1), &kernel.operands[1].shape);
    let plane = Plane { w, h: kernel.shape[2], width: kernel.shape[3], ow: pooled[3] };
    let (size, outputs) = (plane.h * plane.width, pooled[2] * pooled[3]);
    if plane.pairs(pooled[2]) {
        return planes(kernel, reads, out, |p, dx| {
            let (x, dy) = (&x[p * size..][..size], &dy[p * outputs..][..outputs]);
            dispatch(MaxGradPairs { plane, x, dy, dx });
        });
    }
    planes(kernel, reads, out, |p, dx| {
        with_floats(plane.grad_rows(), |rows, windows| {
            let (row, split) = rows.split_at_mut(plane.padded());
            let (best, at) = windows.split_at_mut(plane.row_floats());
            let (x, dy) = (&x[p * size..][..size], &dy[p * outputs..][..outputs]);
            dispatch(MaxGrad { plane, x, dy, dx, row, split, best, at: bytemuck::cast_slice_mut(at) });
        });
    });
}
