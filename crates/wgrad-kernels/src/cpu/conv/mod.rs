//! Convolutions without im2col: an image is copied once, with its padding; after that every tap of the filter
//! is the same image at a constant offset.
//!
//! If output channels fill vectors, the copy is channels-last and pixels times filters are a product
//! ([`gathered`]); if there are few, it is in planes with vectors of pixels ([`planar`]). Sums have a fixed
//! order, and work is cut by shape alone.

mod gathered;
mod input_grad;
mod interleaved;
mod outer;
mod planar;
mod planes;
mod weight_grad;

pub(crate) use input_grad::scratch as input_grad_scratch;
pub(crate) use weight_grad::scratch as weight_grad_scratch;

use super::tile::PANEL;
use super::{Packed, Reads};
use crate::{Core, Kernel};
use gathered::{Correlation, Pass, Places};
use input_grad::Phases;
use interleaved::Interleaved;
use outer::Outers;
use planar::Planar;
use weight_grad::Ranges;
use wgrad_graph::ops::ConvSpec;

/// Minimum number of tasks if there are fewer images.
const TASKS: usize = 8;

/// Extents of one group of a convolution.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    spec: ConvSpec,
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

impl Geometry {
    fn new(spec: &ConvSpec, x: &[usize], w: &[usize], y: &[usize]) -> Self {
        let o = w[0] / spec.groups;
        Self { spec: *spec, c: w[1], h: x[2], w: x[3], o, oh: y[2], ow: y[3], kh: w[2], kw: w[3] }
    }

    /// Weights per output channel.
    fn taps(&self) -> usize {
        self.c * self.kh * self.kw
    }

    /// Elements of an image's input and output in one group, and of its weights.
    fn sizes(&self) -> (usize, usize, usize) {
        (self.c * self.h * self.w, self.o * self.oh * self.ow, self.o * self.taps())
    }
}

/// Ranges of `n` channels, one per task, in whole panels: few ranges if there are enough images.
fn channel_blocks(n: usize, images: usize) -> usize {
    let blocks = TASKS.div_ceil(images.max(1)).min(n.div_ceil(PANEL)).max(1);
    n.div_ceil(blocks).next_multiple_of(PANEL)
}

/// Words of scratch [`forward`] needs.
pub(crate) fn scratch(kernel: &Kernel, spec: &ConvSpec) -> usize {
    let g = Geometry::new(spec, &kernel.operands[0].shape, &kernel.operands[1].shape, &kernel.shape);
    if gathered::pays(g.o) { gathered::scratch(spec.groups, g.o, g.taps()) } else { planar::scratch(&g) }
}

/// A convolution or one of its gradients, with its offset lists, prepared once for all runs of a kernel.
#[derive(Debug)]
pub(crate) enum Conv {
    /// Forward and the input's gradient: vectors of output channels.
    Gathered(Correlation),
    /// The same with vectors of pixels.
    Planar(Planar),
    Phases(Phases),
    /// The weights' gradient.
    Outers(Outers),
    Ranges(Ranges),
}

impl Conv {
    /// From a kernel, if it is a convolution with a nonempty output.
    pub(crate) fn new(kernel: &Kernel) -> Option<Self> {
        if kernel.numel() == 0 {
            return None;
        }
        let shape = |operand: usize| &kernel.operands[operand].shape[..];
        Some(match &kernel.core {
            Core::Conv2d(spec) => {
                let g = Geometry::new(spec, shape(0), shape(1), &kernel.shape);
                if gathered::pays(g.o) { Self::Gathered(forward(&g)) } else { Self::Planar(Planar::new(g)) }
            }
            Core::Conv2dInputGrad(spec) => {
                let g = Geometry::new(spec, &kernel.shape, shape(1), shape(0));
                match gathered::pays(g.c) {
                    true => Self::Gathered(input_grad::correlation(&g)),
                    false => Self::Phases(Phases::new(g)),
                }
            }
            Core::Conv2dWeightGrad(spec) => {
                let g = Geometry::new(spec, shape(0), &kernel.shape, shape(1));
                let images = shape(0)[0];
                match outer::pays(&g) {
                    true => Self::Outers(Outers::new(g, images)),
                    false => Self::Ranges(Ranges::new(g, images)),
                }
            }
            _ => return None,
        })
    }

    /// Floats of a thread's two blocks.
    pub(crate) fn block_floats(&self, kernel: &Kernel) -> [usize; 2] {
        match self {
            Self::Gathered(correlation) => correlation.block_floats(),
            Self::Planar(planar) => planar.block_floats(planar.block(kernel)),
            Self::Phases(phases) => phases.block_floats(phases.block(kernel)),
            Self::Outers(outers) => outers.block_floats(),
            Self::Ranges(ranges) => ranges.most(),
        }
    }

    pub(crate) fn run(&self, kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) {
        match self {
            Self::Gathered(correlation) => correlation.run(kernel, reads, out, packed),
            Self::Planar(planar) => planar.run(kernel, reads, out, packed),
            Self::Phases(phases) => phases.run(kernel, reads, out, packed),
            Self::Outers(outers) => outers.run(kernel, reads, out, packed.words),
            Self::Ranges(ranges) => ranges.run(kernel, reads, out, packed.words),
        }
    }
}

/// Pixels of the output times filters.
fn forward(g: &Geometry) -> Correlation {
    let ([sh, sw], source) = (g.spec.stride, Interleaved::of_input(g));
    let from = Places { cols: g.ow, first: 0, steps: [sh * source.row(), sw * g.c] };
    let to = Places { cols: g.ow, first: 0, steps: [g.ow, 1] };
    let pass = Pass::new(g.oh * g.ow, [from, to], source.taps(g).zip(0..), g.c);
    let strides = [g.taps(), g.kh * g.kw];
    Correlation::new(source, g.spec.groups, [g.o, g.oh * g.ow], vec![pass], strides)
}
