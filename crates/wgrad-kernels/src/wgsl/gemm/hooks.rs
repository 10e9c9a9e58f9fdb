//! A product's addresses as hooks of its shader, and its figures.

use super::index_map::{Address, IndexMap, Matrix};
use super::problem::{Problem, Side};
use crate::kernel::{Core, Kernel};
use crate::wgsl::module::{Figures, Module, Width};
use crate::wgsl::text::indented;
use wgrad_graph::ops::ConvSpec;
use wgrad_shaders::Hook;

/// Hooks of both operands and of the result's addresses. Binds the operands, as vectors if requested.
pub(super) fn hooks(module: &mut Module<'_>, problem: &Problem, vectors: [bool; 2]) -> Vec<Hook> {
    let names = [
        ["a_batch", "a_row", "a_depth", "a_at", "a_four"],
        ["b_batch", "b_row", "b_depth", "b_at", "b_four"],
    ];
    // Rows of b are the result's columns.
    let sides = [(&problem.a, "m"), (&problem.b, "n")];
    let mut hooks = Vec::new();
    for (((matrix, index), names), vector) in sides.into_iter().zip(names).zip(vectors) {
        let buffer = module.operand(matrix.operand, if vector { Width::Four } else { Width::One });
        let [batch, row, depth, at, four] = names;
        hooks.push(address(batch, "z", &matrix.batch));
        hooks.push(place(row, index, &matrix.rows));
        hooks.push(place(depth, "k", &matrix.depth));
        let (one, quad) = match vector {
            true => (String::new(), quad(four, matrix, &buffer)),
            false => (element(at, matrix, &buffer), String::new()),
        };
        hooks.extend([Hook { name: at, code: one }, Hook { name: four, code: quad }]);
    }
    module.note("PADDED", problem.a.guarded() || problem.b.guarded());
    hooks.push(address("out_batch", "z", &problem.out_batch));
    hooks.push(address("out_row", "m", &problem.out_rows));
    hooks.push(address("out_column", "n", &problem.out_columns));
    hooks
}

/// Address and image coordinates of an index.
fn place(name: &'static str, index: &str, map: &IndexMap) -> Hook {
    let mut lines = Vec::new();
    let part = map.print(index, "", &mut lines);
    lines.push(format!("return vec3<u32>({}, {}, {});", part.addr, part.y, part.x));
    Hook { name, code: function(name, &format!("{index}: u32"), "vec3<u32>", &lines) }
}

/// Address of an index.
fn address(name: &'static str, index: &str, map: &IndexMap) -> Hook {
    let mut lines = Vec::new();
    let part = map.print(index, "", &mut lines);
    lines.push(format!("return {};", part.addr));
    Hook { name, code: function(name, &format!("{index}: u32"), "u32", &lines) }
}

/// The element at the sum of a row's and a depth's place, 0 in the padding. It adds the address up after its test: RADV's
/// compiler takes a tenth more instructions for sums from before it (`cargo xtask audit`).
fn element(name: &str, matrix: &Matrix, buffer: &str) -> String {
    let [addr, y, x] = ["row.x + depth.x", "(row.y + depth.y)", "(row.z + depth.z)"].map(str::to_owned);
    let mut lines = Vec::new();
    let value = matrix.element(buffer, &Address { addr, y, x }, &mut lines);
    lines.push(format!("return {value};"));
    function(name, "row: vec3<u32>, depth: vec3<u32>", "f32", &lines)
}

/// Four elements from an address, a multiple of 4.
fn quad(name: &str, matrix: &Matrix, buffer: &str) -> String {
    function(name, "at: u32", "vec4<f32>", &[format!("return {};", matrix.quad(buffer, "at"))])
}

fn function(name: &str, parameters: &str, ty: &str, lines: &[String]) -> String {
    format!("fn {name}({parameters}) -> {ty} {{\n{}}}\n", indented(lines, 1))
}

/// Rows per load.
pub(super) fn unit(vector: bool) -> usize {
    if vector { 4 } else { 1 }
}

/// Shader of a kernel's product.
pub(super) fn shader(kernel: &Kernel) -> &'static str {
    match kernel.core {
        Core::Conv2d(_) => "conv2d",
        Core::Conv2dInputGrad(_) => "conv2d_input_grad",
        Core::Conv2dWeightGrad(_) => "conv2d_weight_grad",
        _ => "matmul",
    }
}

/// Extents of the product; of a convolution its own too.
pub(super) fn figures(kernel: &Kernel, problem: &Problem, splits: usize) -> Figures {
    let mut figures: Figures = vec![
        ("BATCH", problem.batch.into()),
        ("PARTS", splits.into()),
        ("M", problem.m.into()),
        ("N", problem.n.into()),
        ("K", problem.k.into()),
        ("SUM_A", (problem.sums == Some(Side::A)).into()),
        ("SUM_B", (problem.sums == Some(Side::B)).into()),
    ];
    let own = |i: usize| kernel.operands[i].shape.as_slice();
    let (spec, x, w, y): (&ConvSpec, _, _, _) = match &kernel.core {
        Core::Conv2d(spec) => (spec, own(0), own(1), &*kernel.shape),
        Core::Conv2dInputGrad(spec) => (spec, &*kernel.shape, own(1), own(0)),
        Core::Conv2dWeightGrad(spec) => (spec, own(0), &*kernel.shape, own(1)),
        _ => return figures,
    };
    let conv = [
        ("IMAGES", x[0]),
        ("C_IN", w[1]),
        ("C_OUT", w[0] / spec.groups),
        ("H", x[2]),
        ("W", x[3]),
        ("OH", y[2]),
        ("OW", y[3]),
        ("KH", w[2]),
        ("KW", w[3]),
        ("SY", spec.stride[0]),
        ("SX", spec.stride[1]),
        ("PY", spec.padding[0]),
        ("PX", spec.padding[1]),
        ("DY", spec.dilation[0]),
        ("DX", spec.dilation[1]),
    ];
    figures.extend(conv.map(|(name, count)| (name, count.into())));
    figures
}
