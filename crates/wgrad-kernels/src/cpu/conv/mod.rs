//! Convolutions without patch matrices: strides and padding are taken out of the image once, and after that every tap
//! of the kernel is the same image a constant offset further on.
//!
//! An image is copied into planes, one a channel and phase (row and column modulo the stride), with its padding. Output
//! pixel `(i, j)` is element `q = i * pitch + j` of a flat range, and tap `(c, r, s)` reads element `taps[c, r, s] + q` of
//! the copy: whole vectors along `q`, for any stride, padding and dilation. Columns from `ow` to `pitch` are computed
//! and dropped. Sums are in a fixed order, and work is cut by shape alone.

mod input_grad;
mod planes;
mod weight_grad;

pub(crate) use input_grad::{input_grad, scratch as input_grad_scratch};
pub(crate) use weight_grad::{scratch as weight_grad_scratch, weight_grad};

use super::scratch::with_floats;
use super::tile::{Correlate, PANEL, SLACK, dispatch, pack, packed, whole};
use super::{Reads, map};
use crate::Step;
use planes::Planes;
use rayon::prelude::*;
use wgrad_graph::ops::ConvSpec;

/// Tasks a step is cut into where it has fewer images.
const TASKS: usize = 8;

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

    /// Weights of an output channel.
    fn taps(&self) -> usize {
        self.c * self.kh * self.kw
    }

    /// Elements of an image's input and output in one group, and of its weights.
    fn sizes(&self) -> (usize, usize, usize) {
        (self.c * self.h * self.w, self.o * self.oh * self.ow, self.o * self.taps())
    }
}

/// Ranges of `n` channels, a task each, whole panels: few where there are images enough.
fn channel_blocks(n: usize, images: usize) -> usize {
    let blocks = TASKS.div_ceil(images.max(1)).min(n.div_ceil(PANEL)).max(1);
    n.div_ceil(blocks).next_multiple_of(PANEL)
}

/// Words of scratch [`forward`] needs.
pub(crate) fn scratch(step: &Step, spec: &ConvSpec) -> usize {
    let w = &step.operands[1].shape;
    spec.groups * packed(w[0] / spec.groups, w[1..].iter().product())
}

pub(crate) fn forward(step: &Step, spec: &ConvSpec, reads: Reads<'_>, out: &mut [u32], scratch: &mut [u32]) {
    let (xs, ws) = (&step.operands[0].shape, &step.operands[1].shape);
    let g = Geometry::new(spec, xs, ws, &step.shape);
    let (x, w, code) = (reads.f32(0), reads.f32(1), map::code(step));
    let (x_group, y_group, w_group) = g.sizes();
    if out.is_empty() {
        return;
    }
    let (planes, pixels) = (Planes::of_input(&g), g.oh * g.ow);
    let taps = planes.taps(&g);
    let (cols, size) = ((g.oh - 1) * planes.pitch + g.ow, packed(g.o, taps.len()));
    let weights: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..spec.groups * size]);
    for (group, to) in weights.chunks_exact_mut(size.max(1)).enumerate() {
        let w = &w[group * w_group..][..w_group];
        pack(g.o, taps.len(), |o, k| w[o * taps.len() + k], to);
    }
    let weights: &[f32] = weights;
    let block = channel_blocks(g.o, xs[0] * spec.groups);
    let mut tasks = Vec::with_capacity(out.len() / (pixels * block) + 1);
    for (at, y) in out.chunks_mut(y_group).enumerate() {
        tasks.extend(y.chunks_mut(block * pixels).enumerate().map(|(b, part)| (at, b * block, part)));
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(at, first, part)| {
        let (rows, pitch) = (part.len() / pixels, whole(cols));
        let panels = rows.next_multiple_of(PANEL);
        with_floats([planes.len() + SLACK, panels * pitch + SLACK], |image, flat| {
            planes.fill(&g, &x[at * x_group..][..x_group], image);
            let weights = &weights[at % spec.groups * size..][..size];
            dispatch(Correlate {
                weights: &weights[first * taps.len()..][..panels * taps.len()],
                taps: &taps,
                x: image,
                out: flat,
                pitch,
                cols,
                spread: planes.channel() / (g.kh * g.kw),
            });
            let y: &mut [f32] = bytemuck::cast_slice_mut(part);
            for (y, flat) in y.chunks_exact_mut(pixels).zip(flat.chunks_exact(pitch)) {
                for (row, from) in y.chunks_exact_mut(g.ow).zip(flat.chunks(planes.pitch)) {
                    row.copy_from_slice(&from[..g.ow]);
                }
            }
        });
        map::epilogue(step, &code, reads, at * y_group + first * pixels, part);
    });
}
