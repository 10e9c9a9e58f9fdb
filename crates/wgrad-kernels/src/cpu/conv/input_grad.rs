//! Gradient with respect to a convolution's input: per phase of the stride, a convolution of the output's
//! gradient with the taps of that phase, so a stride wastes no work.

use super::gathered::{self, Correlation, Pass, Places};
use super::interleaved::Interleaved;
use super::{Geometry, channel_blocks};
use crate::Kernel;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::{self, Correlate, PANEL, SLACK, pack, whole};
use crate::cpu::vectors::dispatch;
use crate::cpu::{Packed, Reads, map};
use rayon::prelude::*;
use wgrad_graph::ops::ConvSpec;

/// Output gradients with zero margins: `[channel][rows][pitch]`, data from row `top` and column `left` on.
#[derive(Debug)]
struct Margins {
    top: usize,
    left: usize,
    /// Rows and columns of the padded input, in units of the stride, reached by any phase.
    high: usize,
    wide: usize,
    rows: usize,
    pitch: usize,
}

impl Margins {
    fn new(g: &Geometry) -> Self {
        let ([sh, sw], [dh, dw], [ph, pw]) = (g.spec.stride, g.spec.dilation, g.spec.padding);
        let (top, left) = ((g.kh - 1) * dh / sh, (g.kw - 1) * dw / sw);
        // Reads beyond a row's pitch fall into the left margin of the next row.
        let (high, wide) = ((g.h + ph - 1) / sh + 1, (g.w + pw - 1) / sw + 1);
        Self { top, left, high, wide, rows: top + high.max(g.oh + top), pitch: wide.max(g.ow + left) }
    }

    fn plane(&self) -> usize {
        self.rows * self.pitch
    }

    /// Copies gradients in; the margins and the rest become zeros.
    fn fill(&self, g: &Geometry, dy: &[f32], to: &mut [f32]) {
        to.fill(0.0);
        for (plane, from) in to.chunks_exact_mut(self.plane()).zip(dy.chunks_exact(g.oh * g.ow)) {
            let lines = plane.chunks_exact_mut(self.pitch).skip(self.top);
            for (line, from) in lines.zip(from.chunks_exact(g.ow)) {
                line[self.left..self.left + g.ow].copy_from_slice(from);
            }
        }
    }
}

/// Inputs of one phase along one axis, and their taps.
#[derive(Debug)]
struct Axis {
    /// Input index of step `i`: `i * stride + phase - padding`.
    steps: std::ops::Range<usize>,
    /// Tap and its distance in steps.
    taps: Vec<(usize, usize)>,
}

fn axis(phase: usize, extent: usize, taps: usize, d: usize, spec: &ConvSpec) -> Axis {
    let (stride, padding, dilation) = (spec.stride[d], spec.padding[d], spec.dilation[d]);
    let first = padding.saturating_sub(phase).div_ceil(stride);
    let last = (extent + padding).saturating_sub(phase).div_ceil(stride).max(first);
    let reach = (0..taps).filter(|t| t * dilation % stride == phase).map(|t| (t, t * dilation / stride));
    Axis { steps: first..last, taps: reach.collect() }
}

/// Work of one phase: places to read and packed weights.
#[derive(Debug)]
struct Phase {
    at: [usize; 2],
    rows: Axis,
    cols: Axis,
    weights: usize,
}

impl Phase {
    /// Taps of all output channels together.
    fn count(&self, g: &Geometry) -> usize {
        g.o * self.rows.taps.len() * self.cols.taps.len()
    }

    /// Place of each tap in the gradients.
    fn taps(&self, g: &Geometry, m: &Margins) -> Vec<usize> {
        let mut taps = Vec::with_capacity(self.count(g));
        for o in 0..g.o {
            for (_, r) in &self.rows.taps {
                for (_, s) in &self.cols.taps {
                    taps.push(o * m.plane() + (m.top - r) * m.pitch + m.left - s);
                }
            }
        }
        taps
    }
}

fn phases(g: &Geometry) -> Vec<Phase> {
    let mut all = Vec::new();
    let mut weights = 0;
    for a in 0..g.spec.stride[0] {
        for b in 0..g.spec.stride[1] {
            let rows = axis(a, g.h, g.kh, 0, &g.spec);
            let cols = axis(b, g.w, g.kw, 1, &g.spec);
            if rows.steps.is_empty() || cols.steps.is_empty() || rows.taps.is_empty() || cols.taps.is_empty()
            {
                continue;
            }
            let phase = Phase { at: [a, b], rows, cols, weights };
            let size = tile::packed(g.c, phase.count(g));
            all.push(phase);
            weights += size;
        }
    }
    all
}

/// Words of scratch [`input_grad`] needs: at most every weight once, in panels.
pub(crate) fn scratch(kernel: &Kernel, spec: &ConvSpec) -> usize {
    let w = &kernel.operands[1].shape;
    let terms = w[0] / spec.groups * w[2] * w[3];
    if gathered::pays(w[1]) {
        gathered::scratch(spec.groups, w[1], terms)
    } else {
        spec.groups * tile::packed(w[1], terms)
    }
}

/// Correlation of pixels and filters, with a pass per phase.
pub(super) fn correlation(g: &Geometry) -> Correlation {
    let ([sh, sw], [ph, pw], m) = (g.spec.stride, g.spec.padding, Margins::new(g));
    let source = Interleaved {
        channels: g.o,
        rows: m.top + m.high,
        cols: m.left + m.wide,
        top: m.top,
        left: m.left,
        image: [g.oh, g.ow],
    };
    let place = |row: usize, col: usize| row * source.row() + col * g.o;
    let pass = |Phase { at: [a, b], rows, cols, .. }: Phase| {
        let (i, j) = (rows.steps.start, cols.steps.start);
        // The farthest tap comes first in memory.
        let taps = rows.taps.iter().rev().flat_map(|r| cols.taps.iter().rev().map(move |s| (r, s)));
        let from = Places { cols: cols.steps.len(), first: place(i, j), steps: [source.row(), g.o] };
        let to = Places {
            cols: cols.steps.len(),
            first: (i * sh + a - ph) * g.w + j * sw + b - pw,
            steps: [sh * g.w, sw],
        };
        let taps = taps.map(|(r, s)| (place(m.top - r.1, m.left - s.1), r.0 * g.kw + s.0));
        Pass::new(rows.steps.len() * cols.steps.len(), [from, to], taps, g.o)
    };
    let passes = phases(g).into_iter().map(pass).collect();
    Correlation::new(source, g.spec.groups, [g.c, g.h * g.w], passes, [g.kh * g.kw, g.taps()])
}

/// The input's gradient with vectors of pixels, for few channels.
#[derive(Debug)]
pub(crate) struct Phases {
    g: Geometry,
    margins: Margins,
    /// With their [`Phase::taps`].
    phases: Vec<(Phase, Vec<usize>)>,
}

impl Phases {
    pub(super) fn new(g: Geometry) -> Self {
        let margins = Margins::new(&g);
        let phases = phases(&g).into_iter().map(|p| {
            let taps = p.taps(&g, &margins);
            (p, taps)
        });
        let phases = phases.collect();
        Self { g, margins, phases }
    }

    /// Input channels per task.
    pub(super) fn block(&self, kernel: &Kernel) -> usize {
        channel_blocks(self.g.c, kernel.shape[0] * self.g.spec.groups)
    }

    /// Distance between the flat ranges of neighbouring channels.
    fn pitch(&self) -> usize {
        let longest = self.phases.iter().map(|p| p.0.rows.steps.len() * self.margins.pitch).max();
        whole(longest.unwrap_or(0))
    }

    /// Floats of the copy of an image's gradients, and of `rows` input channels.
    pub(super) fn block_floats(&self, rows: usize) -> [usize; 2] {
        let (m, pitch) = (&self.margins, self.pitch());
        [self.g.o * m.plane() + m.left + pitch + SLACK, rows.next_multiple_of(PANEL) * pitch + SLACK]
    }

    pub(super) fn run(&self, kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) {
        let Self { g, margins, phases } = self;
        let spec = g.spec;
        let (dy, w) = (reads.f32(0), reads.f32(1));
        let (x_group, y_group, w_group) = g.sizes();
        let size = packed.words.len() / spec.groups;
        let weights: &mut [f32] = bytemuck::cast_slice_mut(&mut packed.words[..spec.groups * size]);
        let groups = weights.chunks_exact_mut(size.max(1)).enumerate();
        for (group, to) in groups.take(if packed.done { 0 } else { spec.groups }) {
            let w = &w[group * w_group..][..w_group];
            for (phase, taps) in phases {
                let (kh, kw) = (phase.rows.taps.len(), phase.cols.taps.len());
                let at = |c: usize, k: usize| {
                    let (o, r, s) =
                        (k / (kh * kw), phase.rows.taps[k / kw % kh].0, phase.cols.taps[k % kw].0);
                    w[((o * g.c + c) * g.kh + r) * g.kw + s]
                };
                pack(g.c, taps.len(), at, &mut to[phase.weights..]);
            }
        }
        let weights: &[f32] = weights;
        let (pixels, block, pitch) = (g.h * g.w, self.block(kernel), self.pitch());
        let part = |at: usize, first: usize, part: &mut [u32]| {
            let dx: &mut [f32] = bytemuck::cast_slice_mut(part);
            if phases.len() < spec.stride[0] * spec.stride[1] {
                dx.fill(0.0);
            }
            let rows = dx.len() / pixels;
            let panels = rows.next_multiple_of(PANEL);
            with_floats(self.block_floats(rows), |image, flat| {
                margins.fill(g, &dy[at * y_group..][..y_group], image);
                for (phase, taps) in phases {
                    let weights = &weights[at % spec.groups * size + phase.weights..];
                    let base = phase.rows.steps.start * margins.pitch;
                    dispatch(Correlate {
                        weights: &weights[first * taps.len()..][..panels * taps.len()],
                        taps,
                        x: &image[base..],
                        out: flat,
                        pitch,
                        cols: (phase.rows.steps.len() - 1) * margins.pitch + phase.cols.steps.end,
                        spread: margins.plane() / (phase.rows.taps.len() * phase.cols.taps.len()),
                    });
                    scatter(g, phase, margins, flat, pitch, dx);
                }
            });
            map::epilogue(kernel, reads, at * x_group + first * pixels, part);
        };
        out.par_chunks_mut(x_group).enumerate().with_max_len(1).for_each(|(at, x)| {
            let blocks = x.par_chunks_mut(block * pixels).enumerate().with_max_len(1);
            blocks.for_each(|(b, x)| part(at, b * block, x));
        });
    }
}

/// Writes a phase's results to their places.
fn scatter(g: &Geometry, phase: &Phase, m: &Margins, flat: &[f32], pitch: usize, dx: &mut [f32]) {
    let ([sh, sw], [ph, pw]) = (g.spec.stride, g.spec.padding);
    for (dx, flat) in dx.chunks_exact_mut(g.h * g.w).zip(flat.chunks_exact(pitch)) {
        for (n, i) in phase.rows.steps.clone().enumerate() {
            let row = &mut dx[(i * sh + phase.at[0] - ph) * g.w..][..g.w];
            let from = &flat[n * m.pitch..][phase.cols.steps.clone()];
            let to = &mut row[phase.cols.steps.start * sw + phase.at[1] - pw..];
            if sw == 1 {
                to[..from.len()].copy_from_slice(from);
            } else {
                for (v, x) in to.iter_mut().step_by(sw).zip(from) {
                    *v = *x;
                }
            }
        }
    }
}
