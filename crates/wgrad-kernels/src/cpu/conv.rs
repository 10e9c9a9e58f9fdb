//! Convolutions as matrix products over blocks of an unrolled image that fit the second-level cache.
//!
//! Per image and group the patch matrix has a row a weight element `(c, r, s)` and a column an output pixel. It is
//! never made whole: a block of columns at a time, in a thread's own scratch. Pointwise convolutions need none.

use super::gemm::{Mat, product};
use super::{Reads, map};
use crate::Step;
use rayon::prelude::*;
use std::cell::RefCell;
use wgrad_graph::ops::ConvSpec;
use wgrad_types::numel;

/// Floats of the patch matrix made at a time: 256 KiB.
const BLOCK: usize = 64 << 10;
/// Partial sums of a weight gradient; images are dealt to them in order, so the bits do not depend on threads.
const PARTS: usize = 8;

thread_local! {
    static PATCHES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn with_patches<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    PATCHES.with_borrow_mut(|p| {
        if p.len() < len {
            p.resize(len, 0.0);
        }
        f(&mut p[..len])
    })
}

/// Extents of one group of a convolution.
struct Geometry<'s> {
    spec: &'s ConvSpec,
    /// Channels, height and width of the input seen by one group, and of its output.
    c: usize,
    h: usize,
    w: usize,
    o: usize,
    oh: usize,
    ow: usize,
    kh: usize,
    kw: usize,
}

impl<'s> Geometry<'s> {
    fn new(spec: &'s ConvSpec, x: &[usize], w: &[usize], y: &[usize]) -> Self {
        let o = w[0] / spec.groups;
        Self { spec, c: w[1], h: x[2], w: x[3], o, oh: y[2], ow: y[3], kh: w[2], kw: w[3] }
    }

    fn taps(&self) -> usize {
        self.c * self.kh * self.kw
    }

    fn pixels(&self) -> usize {
        self.oh * self.ow
    }

    /// Whether the patch matrix is the image itself.
    fn pointwise(&self) -> bool {
        self.kh == 1 && self.kw == 1 && self.spec.stride == [1; 2] && self.spec.padding == [0; 2]
    }

    /// Output rows whose patches fill a block.
    fn rows(&self) -> usize {
        (BLOCK / (self.taps() * self.ow).max(1)).clamp(1, self.oh)
    }

    /// Calls `f(patch column, image element, stride, len)` for the taps of row `(c, r, s)` inside the image, over output
    /// rows `first .. first + rows`.
    fn tap(
        &self,
        c: usize,
        r: usize,
        s: usize,
        first: usize,
        rows: usize,
        mut f: impl FnMut(usize, usize, usize, usize),
    ) {
        let ([sh, sw], [ph, pw], [dh, dw]) = (self.spec.stride, self.spec.padding, self.spec.dilation);
        // Columns j with 0 <= j * sw + s * dw - pw < w.
        let shift = s * dw;
        let lo = pw.saturating_sub(shift).div_ceil(sw).min(self.ow);
        let hi = (self.w + pw).saturating_sub(shift).div_ceil(sw).min(self.ow).max(lo);
        if hi == lo {
            return;
        }
        for i in 0..rows {
            let row = (first + i) * sh + r * dh;
            if row < ph || row - ph >= self.h {
                continue;
            }
            let from = (c * self.h + row - ph) * self.w + lo * sw + shift - pw;
            f(i * self.ow + lo, from, sw, hi - lo);
        }
    }

    fn each_tap(&self, mut f: impl FnMut(usize, usize, usize, usize)) {
        for c in 0..self.c {
            for r in 0..self.kh {
                for s in 0..self.kw {
                    f((c * self.kh + r) * self.kw + s, c, r, s);
                }
            }
        }
    }

    /// Patches of output rows `first .. first + rows`: `[taps, rows * ow]`.
    fn unroll(&self, image: &[f32], first: usize, rows: usize, patches: &mut [f32]) {
        let cols = rows * self.ow;
        self.each_tap(|k, c, r, s| {
            let line = &mut patches[k * cols..(k + 1) * cols];
            line.fill(0.0);
            self.tap(c, r, s, first, rows, |to, from, stride, len| {
                let line = &mut line[to..to + len];
                if stride == 1 {
                    line.copy_from_slice(&image[from..from + len]);
                } else {
                    for (v, x) in line.iter_mut().zip(image[from..].iter().step_by(stride)) {
                        *v = *x;
                    }
                }
            });
        });
    }

    /// Adds patches back into the image they came from.
    fn fold(&self, patches: &[f32], first: usize, rows: usize, image: &mut [f32]) {
        let cols = rows * self.ow;
        self.each_tap(|k, c, r, s| {
            let line = &patches[k * cols..(k + 1) * cols];
            self.tap(c, r, s, first, rows, |to, from, stride, len| {
                for (x, v) in image[from..].iter_mut().step_by(stride).zip(&line[to..to + len]) {
                    *x += *v;
                }
            });
        });
    }
}

/// Columns `first row ..` of a matrix of output pixels.
fn pixels_of<'a>(data: &'a [f32], g: &Geometry<'_>, first: usize, rows: usize) -> Mat<'a> {
    Mat { data, offset: first * g.ow, rows: g.o, cols: rows * g.ow, row_stride: g.pixels(), col_stride: 1 }
}

pub(crate) fn forward(step: &Step, spec: &ConvSpec, reads: Reads<'_>, out: &mut [u32]) {
    let (xs, ws) = (&step.operands[0].shape, &step.operands[1].shape);
    let g = Geometry::new(spec, xs, ws, &step.shape);
    let (x, w, code) = (reads.f32(0), reads.f32(1), map::code(step));
    let (x_group, y_group, w_group) = (g.c * g.h * g.w, g.o * g.pixels(), g.o * g.taps());
    out.par_chunks_mut((y_group * spec.groups).max(1)).enumerate().for_each(|(n, part)| {
        let y: &mut [f32] = bytemuck::cast_slice_mut(part);
        for (group, y) in y.chunks_mut(y_group).enumerate() {
            let at = (n * spec.groups + group) * x_group;
            let image = &x[at..at + x_group];
            let weight = Mat::new(&w[group * w_group..(group + 1) * w_group], g.o, g.taps());
            if g.pointwise() {
                product(y, g.pixels(), weight, Mat::new(image, g.c, g.pixels()), false);
                continue;
            }
            for first in (0..g.oh).step_by(g.rows()) {
                let rows = g.rows().min(g.oh - first);
                with_patches(g.taps() * rows * g.ow, |patches| {
                    g.unroll(image, first, rows, patches);
                    let to = &mut y[first * g.ow..];
                    product(to, g.pixels(), weight, Mat::new(patches, g.taps(), rows * g.ow), false);
                });
            }
        }
        map::epilogue(step, &code, reads, n * y_group * spec.groups, part);
    });
}

pub(crate) fn input_grad(step: &Step, spec: &ConvSpec, reads: Reads<'_>, out: &mut [u32]) {
    let (ys, ws) = (&step.operands[0].shape, &step.operands[1].shape);
    let g = Geometry::new(spec, &step.shape, ws, ys);
    let (dy, w, code) = (reads.f32(0), reads.f32(1), map::code(step));
    let (x_group, y_group, w_group) = (g.c * g.h * g.w, g.o * g.pixels(), g.o * g.taps());
    out.par_chunks_mut((x_group * spec.groups).max(1)).enumerate().for_each(|(n, part)| {
        let dx: &mut [f32] = bytemuck::cast_slice_mut(part);
        for (group, dx) in dx.chunks_mut(x_group).enumerate() {
            let at = (n * spec.groups + group) * y_group;
            let dy = &dy[at..at + y_group];
            let weight = Mat::new(&w[group * w_group..(group + 1) * w_group], g.o, g.taps()).t();
            if g.pointwise() {
                product(dx, g.pixels(), weight, Mat::new(dy, g.o, g.pixels()), false);
                continue;
            }
            dx.fill(0.0);
            for first in (0..g.oh).step_by(g.rows()) {
                let rows = g.rows().min(g.oh - first);
                with_patches(g.taps() * rows * g.ow, |patches| {
                    product(patches, rows * g.ow, weight, pixels_of(dy, &g, first, rows), false);
                    g.fold(patches, first, rows, dx);
                });
            }
        }
        map::epilogue(step, &code, reads, n * x_group * spec.groups, part);
    });
}

/// Words of scratch [`weight_grad`] needs.
pub(crate) fn weight_grad_scratch(step: &Step) -> usize {
    PARTS.min(step.operands[0].shape[0].max(1)) * step.numel()
}

pub(crate) fn weight_grad(
    step: &Step,
    spec: &ConvSpec,
    reads: Reads<'_>,
    out: &mut [u32],
    scratch: &mut [u32],
) {
    let (xs, ys) = (&step.operands[0].shape, &step.operands[1].shape);
    let g = Geometry::new(spec, xs, &step.shape, ys);
    let (x, dy, images) = (reads.f32(0), reads.f32(1), xs[0]);
    let (x_group, y_group, w_group) = (g.c * g.h * g.w, g.o * g.pixels(), g.o * g.taps());
    let (size, parts) = (numel(&step.shape), PARTS.min(images.max(1)));
    let partials: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..parts * size]);
    partials.par_chunks_mut(size.max(1)).enumerate().for_each(|(p, dw)| {
        dw.fill(0.0);
        for n in p * images / parts..(p + 1) * images / parts {
            for (group, dw) in dw.chunks_mut(w_group).enumerate() {
                let at = n * spec.groups + group;
                let (image, dy) = (&x[at * x_group..][..x_group], &dy[at * y_group..][..y_group]);
                if g.pointwise() {
                    let patches = Mat::new(image, g.c, g.pixels()).t();
                    product(dw, g.taps(), Mat::new(dy, g.o, g.pixels()), patches, true);
                    continue;
                }
                for first in (0..g.oh).step_by(g.rows()) {
                    let rows = g.rows().min(g.oh - first);
                    with_patches(g.taps() * rows * g.ow, |patches| {
                        g.unroll(image, first, rows, patches);
                        let patches = Mat::new(patches, g.taps(), rows * g.ow).t();
                        product(dw, g.taps(), pixels_of(dy, &g, first, rows), patches, true);
                    });
                }
            }
        }
    });
    for (i, o) in out.iter_mut().enumerate() {
        *o = (0..parts).map(|p| partials[p * size + i]).sum::<f32>().to_bits();
    }
    map::epilogue(step, &map::code(step), reads, 0, out);
}
