//! Convolutions without patch matrices: an image is copied once, with its padding, and after that every tap of the
//! kernel is the same image a constant offset further on.
//!
//! Where output channels fill vectors, the copy has its channels side by side and pixels times filters are a product
//! ([`gathered`]); where they are few, it is in planes and vectors are of pixels ([`planar`]). Sums are in a fixed order,
//! and work is cut by shape alone.

mod gathered;
mod input_grad;
mod interleaved;
mod outer;
mod planar;
mod planes;
mod weight_grad;

pub(crate) use input_grad::{input_grad, scratch as input_grad_scratch};
pub(crate) use weight_grad::{scratch as weight_grad_scratch, weight_grad};

use super::tile::PANEL;
use super::{Packed, Reads};
use crate::Step;
use gathered::{Correlation, Pass, Places};
use interleaved::Interleaved;
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
    let g = Geometry::new(spec, &step.operands[0].shape, &step.operands[1].shape, &step.shape);
    if gathered::pays(g.o) { gathered::scratch(spec.groups, g.o, g.taps()) } else { planar::scratch(&g) }
}

pub(crate) fn forward(step: &Step, spec: &ConvSpec, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) {
    let g = Geometry::new(spec, &step.operands[0].shape, &step.operands[1].shape, &step.shape);
    if out.is_empty() {
        return;
    }
    if !gathered::pays(g.o) {
        return planar::forward(step, &g, reads, out, packed);
    }
    let ([sh, sw], source) = (spec.stride, Interleaved::of_input(&g));
    let pass = Pass {
        pixels: g.oh * g.ow,
        from: Places { cols: g.ow, first: 0, steps: [sh * source.row(), sw * g.c] },
        to: Places { cols: g.ow, first: 0, steps: [g.ow, 1] },
        taps: source.taps(&g).zip(0..).collect(),
    };
    let correlation = Correlation {
        source,
        groups: spec.groups,
        channels: g.o,
        pixels: g.oh * g.ow,
        passes: vec![pass],
        weights: reads.f32(1),
        strides: [g.taps(), g.kh * g.kw],
    };
    correlation.run(step, reads, reads.f32(0), out, packed);
}
