//! Max pooling and its gradient, row by row in vectors: a row is split by column modulo the stride, so that tap `s` of
//! all windows of a row is one contiguous run.
//!
//! As in PyTorch the first of equal maxima takes the gradient, and a NaN in a window is its maximum.

use super::Reads;
use super::pool::{planes, span};
use super::scratch::with_floats;
use super::tile::dispatch;
use crate::Step;
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
    /// Columns of a padded row, split by phase: floats of each phase.
    fn phase(&self) -> usize {
        self.ow + self.w.kernel[1].div_ceil(self.w.stride[1])
    }

    /// Where tap `s` of every window of a split row begins.
    fn tap(&self, s: usize) -> usize {
        s % self.w.stride[1] * self.phase() + s / self.w.stride[1]
    }

    /// Splits a row, padding it with what no maximum is.
    #[inline(always)]
    fn split(&self, row: &[f32], to: &mut [f32]) {
        let (stride, padding) = (self.w.stride[1], self.w.padding[1]);
        if padding == 0 && stride == 2 {
            let (even, odd) = to.split_at_mut(self.phase());
            let n = (row.len() / 2).min(even.len());
            for ((pair, even), odd) in row.as_chunks::<2>().0[..n].iter().zip(&mut *even).zip(&mut *odd) {
                (*even, *odd) = (pair[0], pair[1]);
            }
            for (j, (even, odd)) in even.iter_mut().zip(odd).enumerate().skip(n) {
                *even = row.get(2 * j).copied().unwrap_or(f32::NEG_INFINITY);
                *odd = row.get(2 * j + 1).copied().unwrap_or(f32::NEG_INFINITY);
            }
            return;
        }
        for (b, phase) in to.chunks_exact_mut(self.phase()).enumerate().take(stride) {
            for (j, v) in phase.iter_mut().enumerate() {
                let at = (j * stride + b).checked_sub(padding);
                *v = at.and_then(|at| row.get(at)).copied().unwrap_or(f32::NEG_INFINITY);
            }
        }
    }
}

/// Whether `v` takes the place of the maximum so far.
#[inline(always)]
fn above(v: f32, best: f32) -> bool {
    v > best || v.is_nan()
}

struct Max<'a> {
    plane: Plane<'a>,
    x: &'a [f32],
    y: &'a mut [f32],
    tall: &'a mut [f32],
    split: &'a mut [f32],
}

impl WithSimd for Max<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { plane, x, y, tall, split } = self;
        for (i, y) in y.chunks_exact_mut(plane.ow).enumerate() {
            let mut rows = span(plane.w, 0, i, plane.h);
            let first = rows.next().unwrap_or(0);
            tall.copy_from_slice(&x[first * plane.width..][..plane.width]);
            for r in rows {
                for (best, &v) in tall.iter_mut().zip(&x[r * plane.width..][..plane.width]) {
                    *best = if above(v, *best) { v } else { *best };
                }
            }
            plane.split(tall, split);
            y.copy_from_slice(&split[..plane.ow]);
            for s in 1..plane.w.kernel[1] {
                for (best, &v) in y.iter_mut().zip(&split[plane.tap(s)..][..plane.ow]) {
                    *best = if above(v, *best) { v } else { *best };
                }
            }
        }
    }
}

struct MaxGrad<'a> {
    plane: Plane<'a>,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
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
        let Self { plane, x, dy, dx, split, best, at } = self;
        let (stride, padding) = (plane.w.stride[1], plane.w.padding[1]);
        dx.fill(0.0);
        for (i, dy) in dy.chunks_exact(plane.ow).enumerate() {
            best.fill(f32::NEG_INFINITY);
            at.fill(NONE);
            let rows = span(plane.w, 0, i, plane.h);
            for r in rows.clone() {
                plane.split(&x[r * plane.width..][..plane.width], split);
                for s in 0..plane.w.kernel[1] {
                    let row = &split[plane.tap(s)..][..plane.ow];
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

pub(super) fn max(step: &Step, w: &Window, reads: Reads<'_>, out: &mut [u32]) {
    let (x, shape) = (reads.f32(0), &step.operands[0].shape);
    let plane = Plane { w, h: shape[2], width: shape[3], ow: step.shape[3] };
    let size = plane.h * plane.width;
    planes(step, reads, out, |p, y| {
        with_floats([plane.width, plane.phase() * w.stride[1]], |tall, split| {
            dispatch(Max { plane, x: &x[p * size..][..size], y, tall, split });
        });
    });
}

pub(super) fn max_grad(step: &Step, w: &Window, reads: Reads<'_>, out: &mut [u32]) {
    let (x, dy, pooled) = (reads.f32(0), reads.f32(1), &step.operands[1].shape);
    let plane = Plane { w, h: step.shape[2], width: step.shape[3], ow: pooled[3] };
    let (size, outputs) = (plane.h * plane.width, pooled[2] * pooled[3]);
    planes(step, reads, out, |p, dx| {
        with_floats([plane.phase() * w.stride[1], 2 * plane.ow], |split, rows| {
            let (best, at) = rows.split_at_mut(plane.ow);
            let (x, dy) = (&x[p * size..][..size], &dy[p * outputs..][..outputs]);
            dispatch(MaxGrad { plane, x, dy, dx, split, best, at: bytemuck::cast_slice_mut(at) });
        });
    });
}
