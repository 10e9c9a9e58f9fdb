//! Convolutions as products of pixels and filters: eight output pixels times up to three vectors of output channels stay
//! in registers over all taps and channels. The image has its channels side by side and is read in place.

use super::TASKS;
use super::interleaved::Interleaved;
use crate::Kernel;
use crate::cpu::output::Shared;
use crate::cpu::pack::{WIDE, transpose};
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::PANEL;
use crate::cpu::vectors::dispatch;
use crate::cpu::{Packed, Reads, map};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Output channels packed together: the widest vector.
const VECTOR: usize = 16;
/// Vectors of a register tile.
const VECTORS: usize = 3;

/// True if vectors of output channels are full enough.
pub(super) fn pays(channels: usize) -> bool {
    4 * channels >= 3 * channels.next_multiple_of(VECTOR)
}

/// Pixels of a pass: rows of `cols`, from `first` on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub cols: usize,
    pub first: usize,
    /// Distance between rows, and between pixels.
    pub steps: [usize; 2],
}

impl Places {
    /// Places of eight pixels from `first` on; pixels beyond `last` take its place.
    #[inline(always)]
    fn eight(&self, first: usize, last: usize) -> [usize; PANEL] {
        let (row, mut col) = (first / self.cols, first % self.cols);
        let mut at = self.first + row * self.steps[0] + col * self.steps[1];
        let mut places = [at; PANEL];
        for (i, place) in places.iter_mut().enumerate().skip(1) {
            if first + i <= last {
                col += 1;
                at += self.steps[1];
                if col == self.cols {
                    col = 0;
                    at = at + self.steps[0] - self.cols * self.steps[1];
                }
            }
            *place = at;
        }
        places
    }
}

/// Output pixels with the same taps.
#[derive(Debug)]
pub(super) struct Pass {
    pub pixels: usize,
    /// Place of each pixel's first tap in the copy, and of the pixel in its plane.
    pub from: Places,
    pub to: Places,
    /// Offset in the copy and position in the filter of each tap, ascending offsets.
    pub taps: Vec<(usize, usize)>,
    /// [`runs`] of them, and how far they reach.
    runs: Vec<Range<usize>>,
    reach: usize,
}

impl Pass {
    /// Over a copy of so many `channels`.
    pub(super) fn new(
        pixels: usize,
        [from, to]: [Places; 2],
        taps: impl Iterator<Item = (usize, usize)>,
        channels: usize,
    ) -> Self {
        let taps: Vec<(usize, usize)> = taps.collect();
        let runs = runs(&taps, channels);
        let reach = runs.iter().map(|run| run.end).max().unwrap_or(0);
        Self { pixels, from, to, taps, runs, reach }
    }
}

/// A correlation of images with filters, prepared once for all runs of a kernel.
#[derive(Debug)]
pub(crate) struct Correlation {
    source: Interleaved,
    groups: usize,
    /// Output channels per group, and pixels of each.
    channels: usize,
    pixels: usize,
    passes: Vec<Pass>,
    /// [`panels`] of the output channels.
    panels: Vec<Range<usize>>,
    /// Distance between the weights of neighbouring output channels, and of neighbouring input channels.
    strides: [usize; 2],
}

/// Words of scratch: every weight once, in panels.
pub(super) fn scratch(groups: usize, channels: usize, terms: usize) -> usize {
    groups * channels.next_multiple_of(VECTOR) * terms
}

/// Ranges of vectors, nearly equally wide: the panels of so many output channels.
fn panels(channels: usize) -> Vec<Range<usize>> {
    let vectors = channels.div_ceil(VECTOR);
    let count = vectors.div_ceil(VECTORS);
    (0..count).map(|p| p * vectors / count..(p + 1) * vectors / count).collect()
}

/// Neighbouring taps as one: ranges of the copy.
fn runs(taps: &[(usize, usize)], channels: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &(at, _) in taps {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += channels,
            _ => runs.push(at..at + channels),
        }
    }
    runs
}

impl Correlation {
    pub(super) fn new(
        source: Interleaved,
        groups: usize,
        [channels, pixels]: [usize; 2],
        passes: Vec<Pass>,
        strides: [usize; 2],
    ) -> Self {
        Self { source, groups, channels, pixels, passes, panels: panels(channels), strides }
    }

    /// Packs the weights of a group's panel for a pass: `[tap][input channel][output channel]`, zeros for
    /// missing ones.
    fn pack(&self, weights: &[f32], group: usize, vectors: &Range<usize>, pass: &Pass, to: &mut [f32]) {
        let (inner, width, [outer_stride, inner_stride]) =
            (self.source.channels, vectors.len() * VECTOR, self.strides);
        let w = &weights[group * (weights.len() / self.groups)..];
        for (e, first) in (vectors.start * VECTOR..vectors.end * VECTOR).step_by(8).enumerate() {
            let count = self.channels.saturating_sub(first).min(8);
            let (w, to) = (w.get(first * outer_stride..).unwrap_or_default(), &mut to[e * 8..]);
            if count == 8 && self.transposed(w, pass, width, to) {
                continue;
            }
            for c in 0..inner {
                for (t, &(_, position)) in pass.taps.iter().enumerate() {
                    let line = &mut to[(t * inner + c) * width..][..8];
                    line[count..].fill(0.0);
                    for (i, x) in line[..count].iter_mut().enumerate() {
                        *x = w[i * outer_stride + c * inner_stride + position];
                    }
                }
            }
        }
    }

    /// Transposes eight output channels' weights in whole squares, through a block of input channels in the
    /// cache.
    fn transposed(&self, w: &[f32], pass: &Pass, width: usize, to: &mut [f32]) -> bool {
        const ROOM: usize = 512;
        let (inner, [outer_stride, inner_stride]) = (self.source.channels, self.strides);
        // Positions of the filter are contiguous: in an input channel's weights, or in an output channel's.
        let positions = outer_stride.min(inner_stride);
        if positions > ROOM {
            return false;
        }
        let mut block = [0.0; 8 * ROOM];
        let together = if inner_stride == positions { (ROOM / positions).min(inner) } else { 1 };
        for first in (0..inner).step_by(together.max(1)) {
            let count = together.min(inner - first);
            transpose(&w[first * inner_stride..], outer_stride, count * positions, &mut block, 8);
            for (t, &(_, position)) in pass.taps.iter().enumerate() {
                let lines = to[(t * inner + first) * width..].chunks_mut(width);
                for (line, from) in lines.zip(block[position * 8..].chunks(positions * 8)).take(count) {
                    line[..8].copy_from_slice(&from[..8]);
                }
            }
        }
        true
    }

    /// Packs all weights: group by group, panel by panel, a pass's `terms` after the other's.
    fn pack_all(&self, weights: &[f32], terms: usize, packed: &mut [u32]) {
        let (size, inner) = (self.channels.next_multiple_of(VECTOR) * terms, self.source.channels);
        let packed = Shared::new(packed);
        (0..self.groups * self.panels.len()).into_par_iter().for_each(|task| {
            let (group, panel) = (task / self.panels.len(), &self.panels[task % self.panels.len()]);
            let (at, len) = (group * size + panel.start * VECTOR * terms, panel.len() * VECTOR * terms);
            #[expect(unsafe_code, reason = "a task's part without a list of all")]
            // SAFETY: tasks have panels of their own, and the memory is borrowed for all of this function.
            let mut part: &mut [f32] = bytemuck::cast_slice_mut(unsafe { packed.row(at, len) });
            for pass in &self.passes {
                let (to, after) = part.split_at_mut(panel.len() * VECTOR * pass.taps.len() * inner);
                self.pack(weights, group, panel, pass, to);
                part = after;
            }
        });
    }

    /// Floats of a thread's two blocks: a copy of an image.
    pub(super) fn block_floats(&self) -> [usize; 2] {
        [self.source.len(), 0]
    }

    /// Computes the whole output, with the kernel's epilogue.
    pub(super) fn run(&self, kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) {
        let (x, inner, panels) = (reads.f32(0), self.source.channels, &self.panels);
        // One panel after the other, all passes of each.
        let terms: usize = self.passes.iter().map(|pass| pass.taps.len() * inner).sum();
        let block_floats = self.channels.next_multiple_of(VECTOR) * terms;
        let Packed { words, done } = packed;
        let packed = &mut words[..self.groups * block_floats];
        if !done {
            self.pack_all(reads.f32(1), terms, packed);
        }
        let packed: &[f32] = bytemuck::cast_slice(packed);
        let covered = self.passes.iter().map(|pass| pass.pixels).sum::<usize>() == self.pixels;
        let (plane, from_group) = (self.pixels, inner * self.source.image[0] * self.source.image[1]);
        // Images per task; if there are few, blocks of panels of each.
        let units = out.len() / (self.channels * plane).max(1);
        let block = panels.len().div_ceil(TASKS.div_ceil(units.max(1)).min(panels.len()).max(1));
        let (blocks, shared) = (panels.len().div_ceil(block), Shared::new(out));
        (0..units * blocks).into_par_iter().with_max_len(1).for_each(|task| {
            let (unit, panels) = (task / blocks, &panels[task % blocks * block..]);
            let panels = &panels[..block.min(panels.len())];
            let (first, last) = (panels[0].start * VECTOR, panels[panels.len() - 1].end * VECTOR);
            let (at, size) = (unit * self.channels + first, last.min(self.channels) - first);
            #[expect(unsafe_code, reason = "a task's part without a list of all")]
            // SAFETY: tasks have panels or images of their own, and the output is borrowed for all of this function.
            let part = unsafe { shared.row(at * plane, size * plane) };
            let y: &mut [f32] = bytemuck::cast_slice_mut(part);
            if !covered {
                y.fill(0.0);
            }
            with_floats(self.block_floats(), |image, _| {
                self.source.fill(&x[unit * from_group..][..from_group], image);
                for panel in panels {
                    let channel = panel.start * VECTOR - first;
                    let width = panel.len() * VECTOR;
                    let mut weights = &packed
                        [unit % self.groups * block_floats + panel.start * VECTOR * terms..][..width * terms];
                    for pass in &self.passes {
                        let (now, after) = weights.split_at(width * pass.taps.len() * inner);
                        weights = after;
                        let channels = width.min(size - channel);
                        dispatch(Product {
                            x: image,
                            pass,
                            weights: now,
                            width,
                            out: &mut y[channel * plane..],
                            plane,
                            channels,
                        });
                    }
                }
            });
            map::epilogue(kernel, reads, at * plane, part);
        });
    }
}

/// A panel of output channels over all pixels of a pass.
struct Product<'a> {
    x: &'a [f32],
    pass: &'a Pass,
    /// `[term][width]`.
    weights: &'a [f32],
    width: usize,
    out: &'a mut [f32],
    plane: usize,
    channels: usize,
}

/// Sums of eight pixels, each over a panel's channels.
#[repr(align(64))]
struct Sums([[f32; WIDE]; PANEL]);

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut sums = Sums([[0.0; WIDE]; PANEL]);
        let last = self.pass.pixels - 1;
        for q in (0..=last).step_by(PANEL) {
            // With fewer than eight left, the last is computed again.
            let at = self.pass.from.eight(q, last);
            for part in (0..self.width).step_by(VECTORS * S::F32_LANES) {
                match (self.width - part) / S::F32_LANES {
                    1 => self.pixels::<S, 1>(simd, &at, part, &mut sums),
                    2 => self.pixels::<S, 2>(simd, &at, part, &mut sums),
                    _ => self.pixels::<S, VECTORS>(simd, &at, part, &mut sums),
                }
            }
            self.store(q, &sums);
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn pixels<S: Simd, const NV: usize>(&self, simd: S, at: &[usize; PANEL], part: usize, sums: &mut Sums) {
        if S::REGISTER_COUNT >= 32 {
            self.tile::<S, PANEL, 0, NV>(simd, at, part, sums);
        } else {
            self.tile::<S, 4, 0, NV>(simd, at, part, sums);
            self.tile::<S, 4, 4, NV>(simd, at, part, sums);
        }
    }

    /// `ROWS` pixels from `FROM` on times `NV` vectors.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const FROM: usize, const NV: usize>(
        &self,
        simd: S,
        at: &[usize; PANEL],
        part: usize,
        sums: &mut Sums,
    ) {
        let width = NV * S::F32_LANES;
        let mut acc = [[simd.splat_f32s(0.0); NV]; ROWS];
        let mut rows = [self.x; ROWS];
        for (row, &at) in rows.iter_mut().zip(&at[FROM..]) {
            *row = &self.x[at..][..self.pass.reach];
        }
        let mut weights = self.weights;
        for run in &self.pass.runs {
            let (now, after) = weights.split_at(run.len() * self.width);
            weights = after;
            for (k, w) in run.clone().zip(now.chunks_exact(self.width)) {
                let w = &S::as_simd_f32s(&w[part..part + width]).0[..NV];
                for (sums, row) in acc.iter_mut().zip(&rows) {
                    #[expect(unsafe_code, reason = "eight checks at every step of the innermost loop")]
                    // SAFETY: rows reach as far as any run.
                    let x = simd.splat_f32s(unsafe { *row.get_unchecked(k) });
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = simd.mul_add_e_f32s(x, *w, *sum);
                    }
                }
            }
        }
        for (row, acc) in sums.0[FROM..FROM + ROWS].iter_mut().zip(&acc) {
            S::as_mut_simd_f32s(&mut row[part..part + width]).0[..NV].copy_from_slice(acc);
        }
    }

    /// Writes the sums of the pixels from `q` on to their places.
    #[inline(always)]
    fn store(&mut self, q: usize, sums: &Sums) {
        let (count, n) = (PANEL.min(self.pass.pixels - q), self.channels);
        let to = self.pass.to.eight(q, self.pass.pixels - 1);
        if to[PANEL - 1] - to[0] == PANEL - 1 {
            transpose(sums.0.as_flattened(), WIDE, n, &mut self.out[to[0]..], self.plane);
            return;
        }
        for (&place, sums) in to.iter().zip(&sums.0).take(count) {
            for (y, sum) in self.out[place..].iter_mut().step_by(self.plane).zip(&sums[..n]) {
                *y = *sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers both orders of weights, partly filled panels, filters of one position and of several, omitted
    /// taps.
    #[test]
    fn gemm_kept_panels_give_same_bits() {
        for (channels, inner, positions) in [(39, 5, 9), (16, 70, 9), (48, 3, 1), (61, 16, 25), (24, 9, 2)] {
            for forward in [true, false] {
                let terms = [inner * positions, positions];
                let strides = if forward { terms } else { [positions, channels * positions] };
                let weights: Vec<f32> = (0..channels * inner * positions).map(|i| i as f32).collect();
                let taps = (0..positions).rev().step_by(2).map(|p| (0, p));
                let places = Places { cols: 1, first: 0, steps: [0, 0] };
                let pass = Pass::new(1, [places; 2], taps, inner);
                let image = [1, 1];
                let source = Interleaved { channels: inner, rows: 1, cols: 1, top: 0, left: 0, image };
                let c = Correlation::new(source, 1, [channels, 1], Vec::new(), strides);
                for vectors in &c.panels {
                    let width = vectors.len() * VECTOR;
                    let mut to = vec![-1.0; pass.taps.len() * inner * width];
                    c.pack(&weights, 0, vectors, &pass, &mut to);
                    for (i, x) in to.iter().enumerate() {
                        let (o, c, t) =
                            (vectors.start * VECTOR + i % width, i / width % inner, i / width / inner);
                        let at = o * strides[0] + c * strides[1] + pass.taps[t].1;
                        let want = if o < channels { weights[at] } else { 0.0 };
                        assert_eq!(*x, want, "{channels} {inner} {positions} {forward}: {o} {c} {t}");
                    }
                }
            }
        }
    }
}
