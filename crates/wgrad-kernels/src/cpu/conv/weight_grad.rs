//! The weights' gradient: outer products of channels where they fill vectors ([`outer`]); where they are few, every weight
//! is a product of two flat ranges, the output's gradient and the input a tap further on. There, a task takes a block of
//! output channels and a range of images; partial sums are added in order.

use super::planes::Planes;
use super::{Geometry, outer};
use crate::Step;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::{Contract, SLACK, dispatch, whole};
use crate::cpu::{Reads, map};
use rayon::prelude::*;
use wgrad_graph::ops::ConvSpec;
use wgrad_types::numel;

/// Tasks a weight gradient is cut into, where it is large enough.
const TASKS: usize = 8;
/// Output channels a task takes at least.
const BLOCK: usize = 32;
/// Floats of images and gradients that are summed over before sums leave the registers.
const TOGETHER: usize = 160 << 10;

/// How many ranges of images and blocks of output channels a group's gradient is cut into.
fn cut(images: usize, channels: usize) -> (usize, usize) {
    let blocks = channels.div_ceil(BLOCK).clamp(1, TASKS);
    ((TASKS / blocks).min(images).max(1), channels.div_ceil(blocks).max(1))
}

/// Words of scratch [`weight_grad`] needs.
pub(crate) fn scratch(step: &Step, spec: &ConvSpec) -> usize {
    let (xs, ys) = (&step.operands[0].shape, &step.operands[1].shape);
    let g = Geometry::new(spec, xs, &step.shape, ys);
    if outer::pays(&g) {
        return outer::scratch(&g, xs[0]);
    }
    let (parts, _) = cut(xs[0], g.o);
    if parts == 1 { 0 } else { parts * step.numel() }
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
    let (x_group, y_group, w_group) = g.sizes();
    if out.is_empty() {
        return;
    }
    if outer::pays(&g) {
        return outer::weight_grad(step, &g, images, reads, out, scratch);
    }
    let planes = Planes::of_input(&g);
    let taps = planes.taps(&g);
    let cols = (g.oh.max(1) - 1) * planes.pitch + g.ow;
    let (parts, block) = cut(images, g.o);
    let size = numel(&step.shape);
    let partials: &mut [f32] = match parts {
        1 => bytemuck::cast_slice_mut(&mut *out),
        _ => bytemuck::cast_slice_mut(&mut scratch[..parts * size]),
    };
    let mut tasks = Vec::with_capacity(parts * spec.groups * g.o.div_ceil(block));
    for (part, dw) in partials.chunks_exact_mut(size).enumerate() {
        for (group, dw) in dw.chunks_exact_mut(w_group).enumerate() {
            let blocks = dw.chunks_mut(block * taps.len()).enumerate();
            tasks.extend(blocks.map(|(b, dw)| (part, group, b * block, dw)));
        }
    }
    let pitch = whole(cols);
    tasks.into_par_iter().with_max_len(1).for_each(|(part, group, first, dw)| {
        dw.fill(0.0);
        let rows = dw.len() / taps.len();
        let (x_image, dy_image) = (planes.len() + SLACK, rows * pitch);
        let most = (TOGETHER / (x_image + dy_image)).max(1);
        let (mut n, last) = (part * images / parts, (part + 1) * images / parts);
        while n < last {
            let together = most.min(last - n);
            with_floats([together * x_image, together * dy_image], |xs, dys| {
                for i in 0..together {
                    let at = (n + i) * spec.groups + group;
                    planes.fill(&g, &x[at * x_group..][..x_group], &mut xs[i * x_image..][..x_image]);
                    let dy = &dy[at * y_group..][first * g.oh * g.ow..][..rows * g.oh * g.ow];
                    spread(&g, dy, planes.pitch, pitch, &mut dys[i * dy_image..][..dy_image]);
                }
                dispatch(Contract {
                    dy: dys,
                    rows,
                    dy_pitch: pitch,
                    dy_image,
                    x: xs,
                    taps: &taps,
                    x_image,
                    images: together,
                    cols,
                    out: &mut *dw,
                    pitch: taps.len(),
                });
            });
            n += together;
        }
    });
    if parts > 1 {
        let partials: &[f32] = bytemuck::cast_slice(&scratch[..parts * size]);
        for (i, o) in out.iter_mut().enumerate() {
            *o = (0..parts).map(|p| partials[p * size + i]).sum::<f32>().to_bits();
        }
    }
    map::epilogue(step, reads, 0, out);
}

/// Gradients with the input's pitch, zeros between rows and at the end.
fn spread(g: &Geometry<'_>, dy: &[f32], row: usize, pitch: usize, to: &mut [f32]) {
    for (to, dy) in to.chunks_exact_mut(pitch).zip(dy.chunks_exact(g.oh * g.ow)) {
        let mut done = 0;
        for (to, from) in to.chunks_mut(row).zip(dy.chunks_exact(g.ow)) {
            to[..g.ow].copy_from_slice(from);
            let end = to.len();
            to[g.ow..end].fill(0.0);
            done += end;
        }
        to[done..].fill(0.0);
    }
}
