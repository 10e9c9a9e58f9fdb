//! Block of neighbouring positions of a channel, and the elements of another plane under their taps.

use super::module::Grid;
use super::text::{affine, indented};
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

impl Extents {
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
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

/// The grid of workgroups that share so many blocks of each channel, and lines that name a workgroup's `channel`, its
/// `first` block and the `end` of its blocks.
pub(super) fn by_channel(
    label: &str,
    channels: usize,
    blocks: usize,
    caps: &Caps,
) -> Result<(Grid, Vec<String>), Unsupported> {
    let chunk = share(blocks, channels, caps);
    let parts = blocks.div_ceil(chunk);
    let grid = Grid::new(label, channels * parts, caps)?;
    let mut head = grid.id();
    head.push(format!("let channel = id / {parts}u;"));
    head.push(format!("let first = id % {parts}u * {chunk}u;"));
    head.push(format!("let end = min(first + {chunk}u, {blocks}u);"));
    Ok((grid, head))
}

/// Kernel with a grid-stride loop from `first` to `end` over `at`.
pub(super) fn grid_stride(head: &[String], body: &[String], caps: &Caps) -> String {
    let (head, body, lanes) = (indented(head, 1), indented(body, 2), workgroup(caps));
    format!("{head}    for (var at = first + li; at < end; at += {lanes}u) {{\n{body}    }}\n")
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

    /// Index of place `p` under tap `t` among the offsets.
    pub(super) fn at(&self, p: usize, t: usize) -> Option<usize> {
        let met = self.met[p][t]?;
        self.offsets().iter().position(|o| *o == met)
    }

    /// True if the source has this offset in every block.
    fn inside(&self, offset: i64) -> bool {
        offset >= 0 && ((self.blocks - 1) * self.step) as i64 + offset < self.source as i64
    }

    /// Lines for the source's coordinates from `base` on: `{tag}{k}`, 0 where there is no such element, and `{tag}{k}_in`,
    /// whether there is; `None` where it always is.
    pub(super) fn coordinates(&self, base: &str, tag: &str, lines: &mut Vec<String>) -> Vec<Option<String>> {
        let one = |(k, &offset): (usize, &i64)| {
            let at = affine(&[(base, 1)], offset);
            if self.inside(offset) {
                lines.push(format!("let {tag}{k} = {at};"));
                return None;
            }
            // Coordinates left of the plane or above it have wrapped to huge numbers.
            lines.push(format!("let {tag}{k}_at = {at};"));
            lines.push(format!("let {tag}{k}_in = {tag}{k}_at < {}u;", self.source));
            lines.push(format!("let {tag}{k} = select(0u, {tag}{k}_at, {tag}{k}_in);"));
            Some(format!("{tag}{k}_in"))
        };
        self.offsets().iter().enumerate().map(one).collect()
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
            let read = block.axes.iter().map(|a| a.offsets().len()).product::<usize>();
            (read <= MOST_READ || rows == 1).then_some(block)
        };
        rows.into_iter().find_map(fits)
    }

    /// Blocks of this many rows and columns of places, for a forward pass.
    pub(super) fn sized(e: &Extents, places: [usize; 2]) -> Option<Self> {
        Some(Self { axes: [Axis::new(e, 0, places[0], false)?, Axis::new(e, 1, places[1], false)?] })
    }

    /// Blocks of a channel of one image.
    pub(super) fn count(&self) -> usize {
        self.axes[0].blocks * self.axes[1].blocks
    }

    /// Lines that take the block's number `at` apart, `image`, `block_y` and `block_x`, and load the source's elements
    /// `v{row}_{column}` from `plane`, the address of the channel's plane.
    pub(super) fn load(&self, at: &str, plane: &str, buffer: &str, half: bool) -> Vec<String> {
        let [y, x] = &self.axes;
        let across = x.blocks;
        let mut lines = vec![
            format!("let image = {at} / {}u;", self.count()),
            format!("let block = {at} % {}u;", self.count()),
            format!("let block_y = block / {across}u;"),
            format!("let block_x = block % {across}u;"),
            format!("let source = {plane};"),
            format!("let base_y = block_y * {}u;", y.step),
            format!("let base_x = block_x * {}u;", x.step),
        ];
        let rows = y.coordinates("base_y", "sy", &mut lines);
        let columns = x.coordinates("base_x", "sx", &mut lines);
        for (r, row_test) in rows.iter().enumerate() {
            lines.push(format!("let line{r} = source + sy{r} * {}u;", x.source));
            for (c, column_test) in columns.iter().enumerate() {
                let element = format!("{buffer}[line{r} + sx{c}]");
                let element = if half { format!("f32({element})") } else { element };
                let tests: Vec<&str> = [row_test, column_test].into_iter().flatten().map(|t| &**t).collect();
                lines.push(match tests.is_empty() {
                    true => format!("let v{r}_{c} = {element};"),
                    false => format!("let v{r}_{c} = select(0.0, {element}, {});", tests.join(" && ")),
                });
            }
        }
        lines
    }

    /// Lines defining `row` and `column` of the block's first position, and its address in the plane covered by blocks.
    pub(super) fn first_place(&self, name: &str, plane: &str) -> [String; 3] {
        let [y, x] = &self.axes;
        [
            format!("let row = block_y * {}u;", y.places),
            format!("let column = block_x * {}u;", x.places),
            format!("let {name} = {plane} + row * {}u + column;", x.extent),
        ]
    }

    /// Factors of position (i, j): tap and name of the element.
    pub(super) fn products(&self, i: usize, j: usize, kernel: [usize; 2]) -> Vec<(usize, String)> {
        let [y, x] = &self.axes;
        let pairs = (0..kernel[0]).flat_map(|r| (0..kernel[1]).map(move |s| (r, s)));
        let one = |(r, s)| Some((r * kernel[1] + s, format!("v{}_{}", y.at(i, r)?, x.at(j, s)?)));
        pairs.filter_map(one).collect()
    }
}
