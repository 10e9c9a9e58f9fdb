//! The weights' gradient: a workgroup, or several where channels are few, goes through all blocks of its channel with a
//! sum a tap in registers; lanes are added in a fixed order at the end, workgroups through scratch.

use crate::kernel::Kernel;
use crate::launch::{Unsupported, Variant};
use crate::table::{MAX_TRIPS, figures};
use crate::wgsl::block::{Block, Extents, workgroup};
use crate::wgsl::epilogue::store_hooks;
use crate::wgsl::module::{Grid, Module, Width};
use crate::wgsl::reduce::combine_partials;
use wgrad_graph::ops::ReduceKind;
use wgrad_types::{AdapterClass, Caps, DType};

/// Minimum number of blocks per invocation for a split channel.
const FEWEST_TRIPS: usize = 8;
/// Parts at most.
const MOST_PARTS: usize = 64;

pub(super) fn variant(kernel: &Kernel, e: &Extents, caps: &Caps) -> Result<Option<Variant>, Unsupported> {
    let Some(block) = Block::new(e, false) else { return Ok(None) };
    let lanes = workgroup(caps);
    let blocks = e.images * block.count();
    let busy = figures(caps).split.0.div_ceil(e.channels);
    let needed = blocks.div_ceil(lanes * MAX_TRIPS);
    let parts = busy.min(blocks / (lanes * FEWEST_TRIPS)).clamp(1, MOST_PARTS).max(needed);
    let chunk = blocks.div_ceil(parts);
    let label = format!("{}.depthwise", kernel.name());
    let grid = Grid::new(&label, e.channels * parts, caps)?;
    let mut module = Module::new(kernel, caps);
    let [x, dy] = [module.element_hook(0, "source_at"), module.element_hook(1, "dy_at")];
    let split = (parts > 1).then_some(kernel.numel());
    let [store, _] = store_hooks(&mut module, Width::One, split);
    let mut figures = block.channel_figures(e.channels, e.images, chunk, caps);
    figures.extend(block.source_figures());
    figures.extend(block.conv_figures(e));
    let by_subgroup = caps.class == AdapterClass::Software && caps.subgroup == Some(lanes as u32);
    figures.push(("BY_SUBGROUP", by_subgroup.into()));
    let launch = module.launch_shader(&label, "depthwise_weight_grad", figures, &[x, dy, store], &grid)?;
    let mut launches = vec![launch];
    if parts == 1 {
        return Ok(Some(Variant { name: "depthwise".to_owned(), launches, scratch: Vec::new() }));
    }
    launches.push(combine_partials(kernel, ReduceKind::Sum, parts, caps)?);
    let scratch = vec![parts * kernel.numel() * DType::F32.bytes()];
    Ok(Some(Variant { name: format!("depthwise.split{parts}"), launches, scratch }))
}
