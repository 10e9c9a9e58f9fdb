//! Hooks of a product's end: finished elements go through the epilogue, those of a split product to scratch.

use super::problem::Problem;
use crate::launch::Access;
use crate::wgsl::epilogue::{Epilogue, store_hooks};
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
    module.note("SPLIT", splits > 1);
    let split = (splits > 1).then_some(problem.batch * problem.m * problem.n);
    let four = problem.quad_columns()
        && (split.is_some() || Epilogue::new(module.kernel).fits_quads(scalar_operands));
    let [one, quad] = store_hooks(module, if four { Width::Four } else { Width::One }, split);
    (vec![one, quad, Hook { name: "store_sum", code: store_sum.unwrap_or_default() }], four)
}
