//! The forward pass and the input's gradient: an invocation goes from block to block of its channel.

use crate::kernel::{Core, Kernel};
use crate::launch::{Unsupported, Variant};
use crate::wgsl::block::{Block, Extents, by_channel, grid_stride, workgroup};
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Module, Width};
use wgrad_types::{Caps, DType};

pub(super) fn variant(kernel: &Kernel, e: &Extents, caps: &Caps) -> Result<Option<Variant>, Unsupported> {
    let gradient = matches!(kernel.core, Core::Conv2dInputGrad(_));
    let Some(block) = Block::new(e, gradient) else { return Ok(None) };
    let label = format!("{}.depthwise", kernel.name());
    let (grid, mut head) = by_channel(&label, e.channels, e.images * block.count(), caps)?;
    let mut module = Module::new(kernel, caps);
    let (source, weights) = (module.operand(0, Width::One), module.operand(1, Width::One));
    let half = |i: usize| kernel.operands[i].dtype == DType::F16;
    let [rows, columns] = &block.axes;
    let epilogue = Epilogue::new(kernel);
    let quads = columns.extent.is_multiple_of(4) && epilogue.fits_quads(&[0, 1]);
    epilogue.declare(&mut module, if quads { Width::Four } else { Width::One });
    for t in 0..e.taps() {
        let element = format!("{weights}[channel * {}u + {t}u]", e.taps());
        let element = if half(1) { format!("f32({element})") } else { element };
        head.push(format!("let w{t} = {element};"));
    }
    let plane = |of: usize| format!("(image * {}u + channel) * {of}u", e.channels);
    let mut body = block.load("at", &plane(rows.source * columns.source), &source, half(0));
    body.extend(block.first_place("result", &plane(rows.extent * columns.extent)));
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
    let launch = module.launch(&label, workgroup(caps), &grid_stride(&head, &body, caps), &grid)?;
    Ok(Some(Variant { name: "depthwise".to_owned(), launches: vec![launch], scratch: Vec::new() }))
}
