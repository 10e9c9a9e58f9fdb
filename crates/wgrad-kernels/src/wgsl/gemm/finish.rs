//! The end of a product: finished elements go through the epilogue, those of a split product to scratch.

use super::index_map::Address;
use super::problem::Problem;
use crate::launch::Access;
use crate::wgsl::epilogue::Epilogue;
use crate::wgsl::module::{Module, Width};
use crate::wgsl::text::affine;

/// How results are stored.
pub(super) struct Finish {
    width: Width,
    call: &'static str,
    /// Name of the scratch buffer and the elements of a part, for a split product.
    partials: Option<(String, usize)>,
    /// Where sums on the side go, up to their index.
    sums: Option<String>,
}

impl Finish {
    /// Prepares the module; `scalar_operands` are those the product reads one element at a time, `vector_operands`
    /// those it reads four at a time.
    pub(super) fn new(
        module: &mut Module<'_>,
        problem: &Problem,
        splits: usize,
        scalar_operands: &[usize],
    ) -> Self {
        let quads = problem.quad_columns();
        let sums = problem.summed().map(|(_, extent)| match splits {
            1 => format!("{}[batch * {extent}u + ", module.output(1, Width::One)),
            _ => format!(
                "{}[(part * {}u + batch) * {extent}u + ",
                module.partial_sums(Access::ReadWrite),
                problem.batch
            ),
        });
        if splits > 1 {
            let width = if quads { Width::Four } else { Width::One };
            let partials = module.scratch(Access::ReadWrite, width);
            let part = problem.batch * problem.m * problem.n;
            return Self { width, call: "", partials: Some((partials, part)), sums };
        }
        let epilogue = Epilogue::new(module.kernel);
        let width = match quads && epilogue.fits_quads(scalar_operands) {
            true => Width::Four,
            false => Width::One,
        };
        epilogue.declare(module, width);
        let call = if width == Width::Four { "epilogue4" } else { "epilogue" };
        Self { width, call, partials: None, sums }
    }

    /// Whether four columns are stored at once.
    pub(super) fn four(&self) -> bool {
        self.width == Width::Four
    }

    /// The line that stores a sum on the side.
    pub(super) fn store_sum(&self, index: &str, value: &str) -> String {
        self.sums.as_ref().map_or_else(String::new, |place| format!("{place}{index}] = {value};"))
    }

    /// The line that stores `value` at the sum of these addresses (of a quad's first element, where four wide).
    pub(super) fn store(&self, addresses: [&str; 3], value: &str) -> String {
        let unit = self.width.lanes();
        let terms: Vec<(&str, i64)> = addresses.iter().filter(|a| **a != "0u").map(|a| (*a, 1)).collect();
        let sum = affine(&terms, 0);
        let at = if unit == 4 { format!("({sum}) / 4u") } else { sum };
        match &self.partials {
            Some((buffer, part)) => format!("{buffer}[part * {}u + {at}] = {value};", part / unit),
            None => format!("{}({at}, {value});", self.call),
        }
    }
}

/// Lines for the places in the output of one lane's columns: one part, or four.
pub(super) fn columns(
    problem: &Problem,
    four: bool,
    first: &str,
    tag: &str,
    lines: &mut Vec<String>,
) -> Vec<Address> {
    let n = if four { 1 } else { 4 };
    (0..n)
        .map(|c| {
            let index = format!("{tag}n{c}");
            lines.push(format!("let {index} = {};", affine(&[(first, 1)], c)));
            problem.out_columns.print(&index, &format!("{tag}o{c}"), lines)
        })
        .collect()
}
