//! The forward pass and the input's gradient: an invocation goes from block to block of its channel.

use super::MAX_TRIPS;
use crate::launch::{Candidate, Unsupported};
use crate::step::{Core, Step};
use crate::wgsl::block::{Block, Extents, workgroup};
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Grid, Module, Width};
use crate::wgsl::text::indented;
use wgrad_types::{AdapterClass, Caps, DType};

/// Workgroups wanted on a software adapter, where each should own as much as possible.
const SOFTWARE_GROUPS: usize = 16;

pub(super) fn candidate(step: &Step, e: &Extents, caps: &Caps) -> Result<Option<Candidate>, Unsupported> {
    let gradient = matches!(step.core, Core::Conv2dInputGrad(_));
    let Some(block) = Block::new(e, gradient) else { return Ok(None) };
    let lanes = workgroup(caps);
    let blocks = e.images * block.count();
    let parts = match caps.class {
        AdapterClass::Software => {
            SOFTWARE_GROUPS.div_ceil(e.channels).max(blocks.div_ceil(lanes * MAX_TRIPS))
        }
        _ => blocks.div_ceil(lanes),
    };
    let chunk = blocks.div_ceil(parts).next_multiple_of(lanes);
    let parts = blocks.div_ceil(chunk);
    let label = format!("{}.depthwise", step.name());
    let grid = Grid::new(&label, e.channels * parts, caps)?;
    let mut module = Module::new(step, caps);
    let (source, weights) = (module.operand(0, Width::One), module.operand(1, Width::One));
    let half = |i: usize| step.operands[i].dtype == DType::F16;
    let [rows, columns] = &block.axes;
    let epilogue = Epilogue::new(step);
    let quads = columns.extent.is_multiple_of(4) && epilogue.fits_quads(&[0, 1]);
    epilogue.declare(&mut module, if quads { Width::Four } else { Width::One });
    let mut head = grid.id();
    head.push(format!("let channel = id / {parts}u;"));
    head.push(format!("let first = id % {parts}u * {chunk}u;"));
    head.push(format!("let end = min(first + {chunk}u, {blocks}u);"));
    for t in 0..e.taps() {
        let element = format!("{weights}[channel * {}u + {t}u]", e.taps());
        let element = if half(1) { format!("f32({element})") } else { element };
        head.push(format!("let w{t} = {element};"));
    }
    let plane = |of: usize| format!("(image * {}u + channel) * {of}u", e.channels);
    let mut body = block.load("at", &plane(rows.source * columns.source), &source, half(0));
    body.push(format!("let row = block_y * {}u;", rows.places));
    body.push(format!("let column = block_x * {}u;", columns.places));
    body.push(format!(
        "let result = {} + row * {}u + column;",
        plane(rows.extent * columns.extent),
        columns.extent
    ));
    for i in 0..rows.places {
        for j in 0..columns.places {
            let products: Vec<String> =
                block.products(i, j, e.kernel).iter().map(|(t, v)| format!("w{t} * {v}")).collect();
            let sum = if products.is_empty() { "0.0".to_owned() } else { products.join(" + ") };
            body.push(format!("let c{i}_{j} = {sum};"));
        }
        let at = format!("result + {}u", i * columns.extent);
        let stores: Vec<String> = match quads {
            true => {
                let values: Vec<String> = (0..columns.places).map(|j| format!("c{i}_{j}")).collect();
                vec![format!("epilogue4(({at}) / 4u, vec4<f32>({}));", values.join(", "))]
            }
            false => (0..columns.places)
                .map(|j| {
                    let store = format!("epilogue({at} + {j}u, c{i}_{j});");
                    match columns.extent.is_multiple_of(columns.places) {
                        true => store,
                        false => format!("if (column + {j}u < {}u) {{ {store} }}", columns.extent),
                    }
                })
                .collect(),
        };
        if rows.extent.is_multiple_of(rows.places) {
            body.extend(stores);
        } else {
            body.push(format!("if (row + {i}u < {}u) {{", rows.extent));
            body.extend(stores.iter().map(|s| format!("    {s}")));
            body.push("}".to_owned());
        }
    }
    let mut main = indented(&head, 1);
    main += &format!("    for (var at = first + li; at < end; at += {lanes}u) {{\n");
    main += &indented(&body, 2);
    main += "    }\n";
    let launch = module.launch(&label, lanes, &main, &grid)?;
    Ok(Some(Candidate { name: "depthwise".to_owned(), launches: vec![launch], scratch: Vec::new() }))
}
