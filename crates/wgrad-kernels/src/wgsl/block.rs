//! Block of neighbouring positions of a channel, and the elements of another plane under their taps.

use super::module::{Figures, Grid};
use crate::launch::Unsupported;
use crate::table::MAX_TRIPS;
use std::collections::BTreeSet;
use wgrad_graph::ops::ConvSpec;
use wgrad_types::{AdapterClass, Caps};

/// A convolution's extents, channel by channel.
pub(super) struct Extents {
    pub(super) spec: ConvSpec,
    pub(super) images: usize,
    /// Channels of the source plane.
    pub(super) channels: usize,
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
}

/// Invocations of a workgroup of blocks on GPUs.
const WORKGROUP: usize = 64;

/// Invocations of a workgroup looping over blocks.
pub(super) fn workgroup(caps: &Caps) -> usize {
    match caps.class {
        AdapterClass::Software => caps.subgroup.unwrap_or(8) as usize,
        _ => WORKGROUP,
    }
}

/// Target number of workgroups on a software adapter: each should own as much as possible.
const SOFTWARE_GROUPS: usize = 16;

/// Number of `items` per workgroup, given as many for each of `others`.
pub(super) fn share(items: usize, others: usize, caps: &Caps) -> usize {
    let lanes = workgroup(caps);
    match caps.class {
        AdapterClass::Software => {
            let parts = SOFTWARE_GROUPS.div_ceil(others).max(items.div_ceil(lanes * MAX_TRIPS));
            items.div_ceil(parts).next_multiple_of(lanes)
        }
        _ => lanes,
    }
}

/// Places of a block along x.
const ACROSS: usize = 4;
/// Maximum number of elements read by a block of two rows; more would not stay in registers.
const MOST_READ: usize = 48;

/// One axis of a block: where the source is met, relative to where the block's source begins.
pub(super) struct Axis {
    /// Places of the block.
    pub(super) places: usize,
    /// Number of blocks covering the plane.
    pub(super) blocks: usize,
    /// Extent of the plane covered by blocks, and of the source.
    pub(super) extent: usize,
    pub(super) source: usize,
    /// Stride of the source from block to block.
    pub(super) step: usize,
    /// Per place and tap the offset met, if any.
    met: Vec<Vec<Option<i64>>>,
}

impl Axis {
    fn new(e: &Extents, d: usize, places: usize, gradient: bool) -> Option<Self> {
        let (stride, padding) = (e.spec.stride[d], e.spec.padding[d] as i64);
        let (extent, source) = if gradient { (e.input[d], e.output[d]) } else { (e.output[d], e.input[d]) };
        if gradient && !places.is_multiple_of(stride) {
            return None;
        }
        let meets = |place: usize, tap: usize| {
            let tap = (tap * e.spec.dilation[d]) as i64;
            let (place, s) = (place as i64, stride as i64);
            match gradient {
                false => Some(place * s + tap - padding),
                true => {
                    let at = place + padding - tap;
                    (at.rem_euclid(s) == 0).then(|| at.div_euclid(s))
                }
            }
        };
        let met = (0..places).map(|p| (0..e.kernel[d]).map(|t| meets(p, t)).collect()).collect();
        let step = if gradient { places / stride } else { places * stride };
        Some(Self { places, blocks: extent.div_ceil(places), extent, source, step, met })
    }

    /// Offsets met, ascending.
    fn offsets(&self) -> Vec<i64> {
        self.met.iter().flatten().flatten().copied().collect::<BTreeSet<i64>>().into_iter().collect()
    }

    /// Rows (or columns) of the source that a block meets, gaps included, and how many of them lie before its base.
    fn span(&self) -> (usize, usize) {
        let offsets = self.offsets();
        let first = offsets.first().map_or(0, |o| (*o).min(0));
        let last = offsets.last().map_or(0, |o| (*o).max(first));
        ((last - first + 1) as usize, (-first) as usize)
    }
}

/// A block of places: rows, then columns.
pub(super) struct Block {
    pub(super) axes: [Axis; 2],
}

impl Block {
    /// Two rows of positions if their source stays in registers, else one; `None` for an unsupported stride.
    pub(super) fn new(e: &Extents, gradient: bool) -> Option<Self> {
        let high = if gradient { e.spec.stride[0].max(2) } else { 2 };
        let rows = [high, 1];
        let fits = |rows: usize| {
            let block = Self { axes: [Axis::new(e, 0, rows, gradient)?, Axis::new(e, 1, ACROSS, gradient)?] };
            (block.read() <= MOST_READ || rows == 1).then_some(block)
        };
        rows.into_iter().find_map(fits)
    }

    /// Blocks of this many rows and columns of places, for a forward pass.
    pub(super) fn sized(e: &Extents, places: [usize; 2]) -> Option<Self> {
        Some(Self { axes: [Axis::new(e, 0, places[0], false)?, Axis::new(e, 1, places[1], false)?] })
    }

    /// Elements of the source under a block's taps.
    fn read(&self) -> usize {
        self.axes.iter().map(|a| a.offsets().len()).product()
    }

    /// Blocks of a channel of one image.
    pub(super) fn count(&self) -> usize {
        self.axes[0].blocks * self.axes[1].blocks
    }

    /// Figures of `shaders/common/channel_blocks.wgsl`, `chunk` blocks of a channel per workgroup.
    pub(super) fn channel_figures(
        &self,
        channels: usize,
        images: usize,
        chunk: usize,
        caps: &Caps,
    ) -> Figures {
        let counts = [
            ("CHANNELS", channels),
            ("BLOCKS", images * self.count()),
            ("IMAGE_BLOCKS", self.count()),
            ("BLOCKS_X", self.axes[1].blocks),
            ("CHUNK", chunk),
            ("WORKGROUP", workgroup(caps)),
        ];
        counts.map(|(name, count)| (name, count.into())).into()
    }

    /// Grid of workgroups sharing the blocks of each channel, and its [`Block::channel_figures`].
    pub(super) fn by_channel(
        &self,
        label: &str,
        channels: usize,
        images: usize,
        caps: &Caps,
    ) -> Result<(Grid, Figures), Unsupported> {
        let blocks = images * self.count();
        let chunk = share(blocks, channels, caps);
        let grid = Grid::new(label, channels * blocks.div_ceil(chunk), caps)?;
        Ok((grid, self.channel_figures(channels, images, chunk, caps)))
    }

    /// Figures of `shaders/common/source_block.wgsl`.
    pub(super) fn source_figures(&self) -> Figures {
        let [y, x] = &self.axes;
        let ((span_y, back_y), (span_x, back_x)) = (y.span(), x.span());
        // The gaps between taps far apart would be loaded too.
        let staged = span_y * span_x <= MOST_READ.max(self.read());
        let counts = [
            ("SOURCE_Y", y.source),
            ("SOURCE_X", x.source),
            ("SPAN_Y", span_y),
            ("SPAN_X", span_x),
            ("BACK_Y", back_y),
            ("BACK_X", back_x),
            ("STEP_Y", y.step),
            ("STEP_X", x.step),
        ];
        let counts = counts.map(|(name, count)| (name, count.into()));
        counts.into_iter().chain([("STAGED", staged.into())]).collect()
    }

    /// Figures of `shaders/common/depthwise.wgsl`.
    pub(super) fn conv_figures(&self, e: &Extents) -> Figures {
        let [y, x] = &self.axes;
        let counts = [
            ("KH", e.kernel[0]),
            ("KW", e.kernel[1]),
            ("SY", e.spec.stride[0]),
            ("SX", e.spec.stride[1]),
            ("DY", e.spec.dilation[0]),
            ("DX", e.spec.dilation[1]),
            ("EXTENT_Y", y.extent),
            ("EXTENT_X", x.extent),
            ("PLACES_Y", y.places),
            ("PLACES_X", x.places),
        ];
        counts.map(|(name, count)| (name, count.into())).into()
    }
}
