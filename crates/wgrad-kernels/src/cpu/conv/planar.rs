//! Convolutions with vectors of pixels, for few output channels: an image is copied into planes, one a channel and phase (row
//! and column modulo the stride), with its padding. Output pixel `(i, j)` is element `q = i * pitch + j` of a flat range,
//! and tap `(c, r, s)` reads element `taps[c, r, s] + q` of the copy. Columns from `ow` to `pitch` are computed and dropped.

use super::planes::Planes;
use super::{Geometry, channel_blocks};
use crate::Step;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::{self, Correlate, PANEL, SLACK, dispatch, pack, whole};
use crate::cpu::{Packed, Reads, map};
use rayon::prelude::*;

/// Words of scratch [`forward`] needs.
pub(super) fn scratch(g: &Geometry<'_>) -> usize {
    g.spec.groups * tile::packed(g.o, g.taps())
}

pub(super) fn forward(step: &Step, g: &Geometry<'_>, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) {
    let (x, w) = (reads.f32(0), reads.f32(1));
    let (x_group, y_group, w_group) = g.sizes();
    let (planes, pixels) = (Planes::of_input(g), g.oh * g.ow);
    let taps = planes.taps(g);
    let (cols, size) = ((g.oh - 1) * planes.pitch + g.ow, tile::packed(g.o, taps.len()));
    let weights: &mut [f32] = bytemuck::cast_slice_mut(&mut packed.words[..g.spec.groups * size]);
    let groups = weights.chunks_exact_mut(size.max(1)).enumerate();
    for (group, to) in groups.take(if packed.done { 0 } else { g.spec.groups }) {
        let w = &w[group * w_group..][..w_group];
        pack(g.o, taps.len(), |o, k| w[o * taps.len() + k], to);
    }
    let weights: &[f32] = weights;
    let block = channel_blocks(g.o, step.shape[0] * g.spec.groups);
    let mut tasks = Vec::with_capacity(out.len() / (pixels * block) + 1);
    for (at, y) in out.chunks_mut(y_group).enumerate() {
        tasks.extend(y.chunks_mut(block * pixels).enumerate().map(|(b, part)| (at, b * block, part)));
    }
    tasks.into_par_iter().with_max_len(1).for_each(|(at, first, part)| {
        let (rows, pitch) = (part.len() / pixels, whole(cols));
        let panels = rows.next_multiple_of(PANEL);
        with_floats([planes.len() + SLACK, panels * pitch + SLACK], |image, flat| {
            planes.fill(g, &x[at * x_group..][..x_group], image);
            let weights = &weights[at % g.spec.groups * size..][..size];
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
        map::epilogue(step, reads, at * y_group + first * pixels, part);
    });
}
