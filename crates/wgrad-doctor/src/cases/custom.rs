//! A library user's operations: element by element over two operands, and one row per workgroup with
//! workgroup memory; through views, before and after fusible operations, with and without a CPU function.

use super::cases;
use crate::real;
use wgrad_graph::ops::{CustomOp, Operand, Wgsl};
use wgrad_graph::{Tensor, Vjp};
use wgrad_types::Array;

/// `y = x * sigmoid(gate)`, the gate of SwiGLU.
#[derive(Debug)]
struct Gated;

impl CustomOp for Gated {
    fn name(&self) -> &'static str {
        "gated"
    }
    fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String> {
        match x {
            [x, gate] if x == gate => Ok(x.to_vec()),
            x => Err(format!("takes two operands of one shape, got {x:?}")),
        }
    }
    fn reference(&self, x: &[Array]) -> Array {
        Array::from_fn(&x[0].shape, |i| x[0].data[i] / (1.0 + (-x[1].data[i]).exp()))
    }
    fn gradient(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        let open = x[1].sigmoid();
        let dgate = dy * y * (1.0 - &open);
        Vjp::Of(vec![Some(dy * &open), Some(dgate)])
    }
    fn wgsl(&self, _: &[&[usize]], y: &[usize]) -> Wgsl {
        Wgsl::elements("x0[i] / (1.0 + exp(-x1[i]))", y)
    }
}

/// Rows over their root mean square, with `eps` under the root.
#[derive(Debug)]
struct RmsRows {
    eps: f64,
}

impl CustomOp for RmsRows {
    fn name(&self) -> &'static str {
        "rms_rows"
    }
    fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String> {
        match x {
            [x] if x.len() == 2 => Ok(x.to_vec()),
            x => Err(format!("takes one matrix, got {x:?}")),
        }
    }
    fn reference(&self, x: &[Array]) -> Array {
        let n = x[0].shape[1];
        let rows = x[0].data.chunks(n);
        let root = |row: &[f64]| (row.iter().map(|v| v * v).sum::<f64>() / n as f64 + self.eps).sqrt();
        Array::new(&x[0].shape, rows.flat_map(|row| row.iter().map(move |v| v / root(row))).collect())
    }
    fn gradient(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        let root = (x[0].square().mean_keep(&[1]) + self.eps).sqrt();
        let along = (dy * y).mean_keep(&[1]);
        Vjp::Of(vec![Some((dy - y * &along) / &root)])
    }
    fn wgsl(&self, x: &[&[usize]], _: &[usize]) -> Wgsl {
        let source = format!(
            "var<workgroup> partial: array<f32, 32>;\n\n\
             fn run(row: u32, local: u32) {{\n    var sum = 0.0;\n    \
             for (var i = local; i < X0_DIM1; i += 32u) {{\n        \
             let v = x0[row * X0_DIM1 + i];\n        sum += v * v;\n    }}\n    \
             partial[local] = sum;\n    workgroupBarrier();\n    var all = 0.0;\n    \
             for (var i = 0u; i < 32u; i += 1u) {{\n        all += partial[i];\n    }}\n    \
             let scale = inverseSqrt(all / f32(X0_DIM1) + {:?}f);\n    \
             for (var i = local; i < X0_DIM1; i += 32u) {{\n        \
             y[row * X0_DIM1 + i] = x0[row * X0_DIM1 + i] * scale;\n    }}\n}}\n",
            self.eps as f32
        );
        Wgsl { source, workgroup: 32, groups: x[0][0] }
    }
    fn cpu(&self, x: &[Operand<'_>], y: &mut [f32]) {
        let n = x[0].shape[1];
        for (row, y) in x[0].data.chunks(n).zip(y.chunks_mut(n)) {
            let scale = (row.iter().map(|v| v * v).sum::<f32>() / n as f32 + self.eps as f32).sqrt().recip();
            y.iter_mut().zip(row).for_each(|(y, v)| *y = v * scale);
        }
    }
}

cases! {
    custom_elements [real(&[3, 5, 7]), real(&[3, 5, 7])] |x| x[0].custom(Gated, &[&x[1]]);
    // The operand is first stored in order; the operations after it are kernels of their own.
    custom_between_others [real(&[7, 5]), real(&[5, 7])] |x| (x[0].t() * 2.0).custom(Gated, &[&x[1].tanh()]).relu() + 1.0;
    custom_of_itself [real(&[33])] |x| x[0].custom(Gated, &[&x[0]]);
    custom_of_constants [real(&[6])] |x| x[0].custom(Gated, &[&x[0].full_like(0.5)]);
    custom_rows [real(&[11, 45])] |x| x[0].custom(RmsRows { eps: 1e-5 }, &[]);
    custom_chain [real(&[5, 9])] |x| x[0].custom(RmsRows { eps: 1e-5 }, &[]).custom(Gated, &[&x[0]]).sum(&[1]);
}
