//! Convolutions with vectors of pixels, for few output channels: an image is copied into planes, one per
//! channel and phase (row and column modulo the stride), with its padding. Output pixel `(i, j)` is element
//! `q = i * pitch + j` of a flat range, and tap `(c, r, s)` reads element `taps[c, r, s] + q` of the copy.
//! Columns from `ow` to `pitch` are computed and dropped.

use super::planes::Planes;
use super::{Geometry, channel_blocks};
use crate::Kernel;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::{self, Correlate, PANEL, SLACK, pack, whole};
use crate::cpu::vectors::dispatch;
use crate::cpu::{Packed, Reads, map};
use rayon::prelude::*;

/// Words of scratch [`forward`] needs.
pub(super) fn scratch(g: &Geometry) -> usize {
    g.spec.groups * tile::packed(g.o, g.taps())
}

/// A forward convolution made ready.
#[derive(Debug)]
pub(crate) struct Planar {
    g: Geometry,
    planes: Planes,
    taps: Vec<usize>,
}

impl Planar {
    pub(super) fn new(g: Geometry) -> Self {
        let planes = Planes::of_input(&g);
        let taps = planes.taps(&g);
        Self { g, planes, taps }
    }

    /// Output channels per task.
    pub(super) fn block(&self, kernel: &Kernel) -> usize {
        channel_blocks(self.g.o, kernel.shape[0] * self.g.spec.groups)
    }

    /// Elements of a channel's flat range, and the distance between two.
    fn flat(&self) -> (usize, usize) {
        let cols = (self.g.oh - 1) * self.planes.pitch + self.g.ow;
        (cols, whole(cols))
    }

    /// Floats of the copy of an image, and of `rows` output channels.
    pub(super) fn block_floats(&self, rows: usize) -> [usize; 2] {
        [self.planes.len() + SLACK, rows.next_multiple_of(PANEL) * self.flat().1 + SLACK]
    }

    pub(super) fn run(&self, kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) {
        let Self { g, planes, taps } = self;
        let (x, w) = (reads.f32(0), reads.f32(1));
        let (x_group, y_group, w_group) = g.sizes();
        let pixels = g.oh * g.ow;
        let ((cols, pitch), size) = (self.flat(), tile::packed(g.o, taps.len()));
        let weights: &mut [f32] = bytemuck::cast_slice_mut(&mut packed.words[..g.spec.groups * size]);
        let groups = weights.chunks_exact_mut(size.max(1)).enumerate();
        for (group, to) in groups.take(if packed.done { 0 } else { g.spec.groups }) {
            let w = &w[group * w_group..][..w_group];
            pack(g.o, taps.len(), |o, k| w[o * taps.len() + k], to);
        }
        let weights: &[f32] = weights;
        let block = self.block(kernel);
        let part = |at: usize, first: usize, part: &mut [u32]| {
            let rows = part.len() / pixels;
            let panels = rows.next_multiple_of(PANEL);
            with_floats(self.block_floats(rows), |image, flat| {
                planes.fill(g, &x[at * x_group..][..x_group], image);
                let weights = &weights[at % g.spec.groups * size..][..size];
                dispatch(Correlate {
                    weights: &weights[first * taps.len()..][..panels * taps.len()],
                    taps,
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
            map::epilogue(kernel, reads, at * y_group + first * pixels, part);
        };
        out.par_chunks_mut(y_group).enumerate().with_max_len(1).for_each(|(at, y)| {
            let blocks = y.par_chunks_mut(block * pixels).enumerate().with_max_len(1);
            blocks.for_each(|(b, y)| part(at, b * block, y));
        });
    }
}
