//! The weights' gradient: a workgroup, or several where channels are few, goes through all blocks of its channel with a
//! sum a tap in registers; lanes are added in a fixed order at the end, workgroups through scratch.

use crate::kernel::Kernel;
use crate::launch::{Access, Unsupported, Variant};
use crate::table::{MAX_TRIPS, figures};
use crate::wgsl::block::{Block, Extents, grid_stride, workgroup};
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Grid, Module, Width};
use crate::wgsl::reduce::combine_partials;
use crate::wgsl::text::indented;
use wgrad_graph::ops::ReduceKind;
use wgrad_types::{AdapterClass, Caps, DType};

/// Minimum number of blocks per invocation for a split channel.
const FEWEST_TRIPS: usize = 8;
/// Parts at most.
const MOST_PARTS: usize = 64;

pub(super) fn variant(kernel: &Kernel, e: &Extents, caps: &Caps) -> Result<Option<Variant>, Unsupported> {
    let Some(block) = Block::new(e, false) else { return Ok(None) };
    let (lanes, taps) = (workgroup(caps), e.taps());
    let blocks = e.images * block.count();
    let busy = figures(caps).split.0.div_ceil(e.channels);
    let needed = blocks.div_ceil(lanes * MAX_TRIPS);
    let parts = busy.min(blocks / (lanes * FEWEST_TRIPS)).clamp(1, MOST_PARTS).max(needed);
    let chunk = blocks.div_ceil(parts);
    let label = format!("{}.depthwise", kernel.name());
    let grid = Grid::new(&label, e.channels * parts, caps)?;
    let mut module = Module::new(kernel, caps);
    let (x, dy) = (module.operand(0, Width::One), module.operand(1, Width::One));
    let half = |i: usize| kernel.operands[i].dtype == DType::F16;
    let store = if parts > 1 {
        let partials = module.scratch(Access::ReadWrite, Width::One);
        format!("{partials}[part * {}u + TAP] = VALUE;", kernel.numel())
    } else {
        Epilogue::new(kernel).declare(&mut module, Width::One);
        "epilogue(TAP, VALUE);".to_owned()
    };
    let store = |tap: &str, value: &str| {
        store.replace("TAP", &format!("channel * {taps}u + {tap}")).replace("VALUE", value)
    };
    let mut head = grid.id();
    head.push(format!("let channel = id % {}u;", e.channels));
    head.push(format!("let part = id / {}u;", e.channels));
    head.push(format!("let first = part * {chunk}u;"));
    head.push(format!("let end = min(first + {chunk}u, {blocks}u);"));
    head.extend((0..taps).map(|t| format!("var sum{t} = 0.0;")));
    let [rows, columns] = &block.axes;
    let plane = |of: usize| format!("(image * {}u + channel) * {of}u", e.channels);
    let mut body = block.load("at", &plane(rows.source * columns.source), &x, half(0));
    body.extend(block.first_place("given", &plane(rows.extent * columns.extent)));
    for i in 0..rows.places {
        for j in 0..columns.places {
            let mut tests = Vec::new();
            if !rows.extent.is_multiple_of(rows.places) {
                tests.push(format!("row + {i}u < {}u", rows.extent));
            }
            if !columns.extent.is_multiple_of(columns.places) {
                tests.push(format!("column + {j}u < {}u", columns.extent));
            }
            let at = format!("given + {}u", i * columns.extent + j);
            let element = |at: &str| match half(1) {
                true => format!("f32({dy}[{at}])"),
                false => format!("{dy}[{at}]"),
            };
            if tests.is_empty() {
                body.push(format!("let d{i}_{j} = {};", element(&at)));
            } else {
                body.push(format!("let d{i}_{j}_in = {};", tests.join(" && ")));
                let guarded = element(&format!("select(0u, {at}, d{i}_{j}_in)"));
                body.push(format!("let d{i}_{j} = select(0.0, {guarded}, d{i}_{j}_in);"));
            }
            for (t, v) in block.products(i, j, e.kernel) {
                body.push(format!("sum{t} += d{i}_{j} * {v};"));
            }
        }
    }
    let mut main = grid_stride(&head, &body, caps);
    let mut tail = Vec::new();
    if caps.class == AdapterClass::Software && caps.subgroup == Some(lanes as u32) {
        tail.extend((0..taps).map(|t| format!("let total{t} = subgroupAdd(sum{t});")));
        tail.push("if (li == 0u) {".to_owned());
        tail.extend((0..taps).map(|t| format!("    {}", store(&format!("{t}u"), &format!("total{t}")))));
        tail.push("}".to_owned());
    } else {
        module.declare(&format!("var<workgroup> lane_values: array<f32, {}>;\n", taps * lanes));
        tail.extend((0..taps).map(|t| format!("lane_values[{}u + li] = sum{t};", t * lanes)));
        tail.push("workgroupBarrier();".to_owned());
        tail.push(format!("for (var tap = li; tap < {taps}u; tap += {lanes}u) {{"));
        tail.push("    var total = 0.0;".to_owned());
        tail.push(format!("    for (var lane = 0u; lane < {lanes}u; lane += 1u) {{"));
        tail.push(format!("        total += lane_values[tap * {lanes}u + lane];"));
        tail.push("    }".to_owned());
        tail.push(format!("    {}", store("tap", "total")));
        tail.push("}".to_owned());
    }
    main += &indented(&tail, 1);
    let mut launches = vec![module.launch(&label, lanes, &main, &grid)?];
    if parts == 1 {
        return Ok(Some(Variant { name: "depthwise".to_owned(), launches, scratch: Vec::new() }));
    }
    launches.push(combine_partials(kernel, ReduceKind::Sum, parts, caps)?);
    let scratch = vec![parts * kernel.numel() * DType::F32.bytes()];
    Ok(Some(Variant { name: format!("depthwise.split{parts}"), launches, scratch }))
}
