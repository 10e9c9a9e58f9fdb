//! Hooks of a product's end: finished elements go through the epilogue, those of a split product to scratch.

use super::problem::Problem;
use crate::launch::Access;
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Module, Width};
use wgrad_shaders::Hook;

/// Hooks `store`, `store4` and `store_sum`, and whether four columns are stored at once. Prepares the module;
/// `scalar_operands` are those the product reads one element at a time.
pub(super) fn hooks(
    module: &mut Module<'_>,
    problem: &Problem,
    splits: usize,
    scalar_operands: &[usize],
) -> (Vec<Hook>, bool) {
    let sum = problem.summed().map(|(_, extent)| match splits {
        1 => format!("{}[i]", module.output(1, Width::One)),
        _ => format!("{}[part * {}u + i]", module.partial_sums(Access::ReadWrite), problem.batch * extent),
    });
    let store_sum = sum
        .map(|place| format!("fn store_sum(part: u32, i: u32, value: f32) {{\n    {place} = value;\n}}\n"));
    let quads = problem.quad_columns();
    module.note("SPLIT", splits > 1);
    let (width, body) = if splits > 1 {
        let width = if quads { Width::Four } else { Width::One };
        let partials = module.scratch(Access::ReadWrite, width);
        let part = problem.batch * problem.m * problem.n / width.lanes();
        (width, Err(format!("{partials}[part * {part}u + o] = value;")))
    } else {
        let epilogue = Epilogue::new(module.kernel);
        let four = quads && epilogue.fits_quads(scalar_operands);
        let width = if four { Width::Four } else { Width::One };
        (width, Ok(epilogue.function(module, width)))
    };
    let (name, epilogue) = if width == Width::Four { ("store4", "epilogue4") } else { ("store", "epilogue") };
    let (before, line) = match body {
        Ok(function) => (function, format!("{epilogue}(o, value);")),
        Err(line) => (String::new(), line),
    };
    let ty = width.of("f32");
    let store = format!("{before}fn {name}(part: u32, o: u32, value: {ty}) {{\n    {line}\n}}\n");
    let (one, four) = match width {
        Width::One => (store, String::new()),
        Width::Four => (String::new(), store),
    };
    let hooks = vec![
        Hook { name: "store", code: one },
        Hook { name: "store4", code: four },
        Hook { name: "store_sum", code: store_sum.unwrap_or_default() },
    ];
    (hooks, width == Width::Four)
}
