//! Benchmarks of the kernel families and gradients missing in the list of `wgrad bench`.

use crate::kernels::{CONV, HEADS, IMAGE, Kernel, SAME, SCORES, bytes, flop, several};
use wgrad_graph::ops::ConvSpec;
use wgrad_graph::{CrossEntropy, Tensor, differentiate};
use wgrad_types::DType;

/// Every row: [`kernels`](crate::kernels) first.
pub fn all_kernels() -> Vec<Kernel> {
    let mut all = crate::kernels();
    all.extend(products());
    all.extend(convolutions());
    all.extend(rows());
    all.extend(images());
    all
}

/// Gradients of a function of operands with respect to them; the last operand is the result's own gradient.
fn gradients(t: &[Tensor], f: impl Fn(&[Tensor]) -> Tensor) -> Vec<Tensor> {
    let (dy, of) = t.split_last().expect("operands");
    let loss = (&f(of) * dy).sum_all();
    differentiate(&loss, of).expect("functions with gradients")
}

fn products() -> Vec<Kernel> {
    let square = |name, build| flop(name, 2 * 512 * 512 * 512, &[&[512, 512], &[512, 512]], build);
    vec![
        square("matmul_512_turned_a", |t| t[0].t().matmul(&t[1])),
        square("matmul_512_turned_b", |t| t[0].matmul(&t[1].t())),
        flop("matmul_b64_256x64x256", 2 * 64 * 256 * 64 * 256, &[&[64, 256, 64], &[64, 64, 256]], |t| {
            t[0].matmul(&t[1])
        }),
        flop("matmul_4096x512x10", 2 * 4096 * 512 * 10, &[&[4096, 512], &[512, 10]], |t| t[0].matmul(&t[1])),
        flop("matmul_512x4096x10", 2 * 512 * 4096 * 10, &[&[4096, 512], &[4096, 10]], |t| {
            t[0].t().matmul(&t[1])
        }),
        bytes("matmul_4x4096x4096", 4096 * 4096, &[&[4, 4096], &[4096, 4096]], |t| t[0].matmul(&t[1])),
        bytes("gemv_4096_turned", 4096 * 4096, &[&[1, 4096], &[4096, 4096]], |t| t[0].matmul(&t[1].t())),
        flop("attention_b4h8s256d64_full", 4 * SCORES, &[HEADS; 3], |t| {
            t[0].scaled_dot_product_attention(&t[1], &t[2], false)
        }),
    ]
}

fn convolutions() -> Vec<Kernel> {
    const HALF: &[usize] = &[8, 128, 28, 28];
    const DOWN: ConvSpec = ConvSpec { stride: [2, 2], ..SAME };
    const DOWN_FLOP: usize = 2 * 8 * 128 * 28 * 28 * 64 * 9;
    const FIRST: ConvSpec = ConvSpec { stride: [4, 4], padding: [2, 2], ..SAME };
    const ONE: ConvSpec = ConvSpec { padding: [0, 0], ..SAME };
    const ONE_IMAGE: &[usize] = &[8, 256, 14, 14];
    const ONE_FLOP: usize = 2 * 8 * 256 * 256 * 14 * 14;
    const FOUR: ConvSpec = ConvSpec { groups: 4, ..SAME };
    const FOUR_FILTER: &[usize] = &[64, 16, 3, 3];
    const EACH: ConvSpec = ConvSpec { groups: 64, ..SAME };
    vec![
        flop("conv3x3s2_n8_c64_56", DOWN_FLOP, &[IMAGE, &[128, 64, 3, 3]], |t| {
            t[0].conv2d(&t[1], None, DOWN)
        }),
        flop("conv3x3s2_igrad", DOWN_FLOP, &[HALF, &[128, 64, 3, 3]], |t| {
            t[0].conv2d_input_grad(&t[1], DOWN, [56, 56])
        }),
        flop("conv3x3s2_wgrad", DOWN_FLOP, &[IMAGE, HALF], |t| t[0].conv2d_weight_grad(&t[1], DOWN, [3, 3])),
        flop(
            "conv11x11s4_wgrad",
            2 * 8 * 64 * 55 * 55 * 3 * 121,
            &[&[8, 3, 224, 224], &[8, 64, 55, 55]],
            |t| t[0].conv2d_weight_grad(&t[1], FIRST, [11, 11]),
        ),
        flop("conv1x1_igrad", ONE_FLOP, &[ONE_IMAGE, &[256, 256, 1, 1]], |t| {
            t[0].conv2d_input_grad(&t[1], ONE, [14, 14])
        }),
        flop("conv1x1_wgrad", ONE_FLOP, &[ONE_IMAGE, ONE_IMAGE], |t| {
            t[0].conv2d_weight_grad(&t[1], ONE, [1, 1])
        }),
        flop("conv3x3g4_n8_c64_56", CONV / 4, &[IMAGE, FOUR_FILTER], |t| t[0].conv2d(&t[1], None, FOUR)),
        flop("conv3x3g4_igrad", CONV / 4, &[IMAGE, FOUR_FILTER], |t| {
            t[0].conv2d_input_grad(&t[1], FOUR, [56, 56])
        }),
        flop("conv3x3g4_wgrad", CONV / 4, &[IMAGE, IMAGE], |t| t[0].conv2d_weight_grad(&t[1], FOUR, [3, 3])),
        flop("depthwise3x3_igrad", CONV / 64, &[IMAGE, &[64, 1, 3, 3]], |t| {
            t[0].conv2d_input_grad(&t[1], EACH, [56, 56])
        }),
    ]
}

/// Kernels over 4096 rows of 1024.
fn rows() -> Vec<Kernel> {
    const ALL: usize = 4096 * 1024;
    const X: &[usize] = &[4096, 1024];
    const W: &[usize] = &[1024];
    fn labels(t: &Tensor) -> Tensor {
        (t.builder().iota(4096).to_f32() * 0.25).cast(DType::I32)
    }
    fn loss(x: &Tensor) -> Tensor {
        x.cross_entropy(&labels(x), CrossEntropy::default())
    }
    vec![
        several("softmax_grad_4096x1024", 3 * ALL, &[X, X], |t| gradients(t, |t| t[0].softmax(1))),
        bytes("log_softmax_4096x1024", 2 * ALL, &[X], |t| t[0].log_softmax(1)),
        several("log_softmax_grad_4096x1024", 3 * ALL, &[X, X], |t| gradients(t, |t| t[0].log_softmax(1))),
        bytes("cross_entropy_4096x1024", ALL, &[X], |t| loss(&t[0])),
        several("cross_entropy_grad_4096x1024", 2 * ALL, &[X], |t| {
            differentiate(&loss(&t[0]), t).expect("the loss has a gradient")
        }),
        several("layer_norm_grad_4096x1024", 3 * ALL, &[X, W, W, X], |t| {
            gradients(t, |t| t[0].layer_norm(&t[1], Some(&t[2]), 1e-5))
        }),
        bytes("rms_norm_4096x1024", 2 * ALL, &[X, W], |t| t[0].rms_norm(&t[1], 1e-5)),
        several("rms_norm_grad_4096x1024", 3 * ALL, &[X, W, X], |t| {
            gradients(t, |t| t[0].rms_norm(&t[1], 1e-5))
        }),
        several("gelu_grad_4096x1024", 3 * ALL, &[X, X], |t| gradients(t, |t| t[0].gelu())),
        bytes("add_4096x1024", 3 * ALL, &[X, X], |t| &t[0] + &t[1]),
        bytes("random_4096x1024", 2 * ALL, &[X], |t| &t[0] + &t[0].builder().rand(&[4096, 1024])),
        bytes("row_sum_4096x1024", ALL, &[X], |t| t[0].sum(&[1])),
        bytes("row_max_4096x1024", ALL, &[X], |t| t[0].amax(&[1])),
        bytes("column_max_4096x1024", ALL, &[X], |t| t[0].amax(&[0])),
        several("adam_4096x1024", 7 * ALL, &[X; 4], |t| {
            let [p, g, m, v] = [&t[0], &t[1], &t[2], &t[3]];
            let (next_m, next_v) = (m * 0.9 + g * 0.1, v * 0.999 + g.square() * 0.001);
            let next = p - &(&next_m * 1e-3 / (next_v.sqrt() + 1e-8));
            p.builder().update(&[(p, &next), (m, &next_m), (v, &next_v)]);
            Vec::new()
        }),
    ]
}

/// Norms over images, forward and back.
fn images() -> Vec<Kernel> {
    const ALL: usize = 8 * 64 * 56 * 56;
    const C: &[usize] = &[64];
    vec![
        several("batch_norm_grad_n8_c64_56", 3 * ALL, &[IMAGE, C, C, IMAGE], |t| {
            gradients(t, |t| t[0].batch_norm_train(&t[1], &t[2], 1e-5).y)
        }),
        bytes("group_norm_n8_c64_56", 2 * ALL, &[IMAGE, C, C], |t| t[0].group_norm(8, &t[1], &t[2], 1e-5)),
        several("group_norm_grad_n8_c64_56", 3 * ALL, &[IMAGE, C, C, IMAGE], |t| {
            gradients(t, |t| t[0].group_norm(8, &t[1], &t[2], 1e-5))
        }),
        bytes("plane_mean_n8_c64_56", ALL, &[IMAGE], |t| t[0].mean(&[2, 3])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unit;
    use std::collections::BTreeSet;
    use wgrad_device::Device;

    /// The benchmark's rows are there for all kernels the CPU has, by the names of steps.
    #[test]
    fn bench_covers_every_kernel_family() {
        let (all, device) = (all_kernels(), Device::cpu());
        let names: BTreeSet<&str> = all.iter().map(|k| k.name).collect();
        assert_eq!(names.len(), all.len(), "names differ");
        let steps = |k: &Kernel| {
            let plan = wgrad_plan::plan(&k.graph(), device.caps(), &wgrad_plan::PlanOptions::default());
            let plan = plan.unwrap_or_else(|e| panic!("{}: {e}", k.name));
            // Values without readers would not be computed.
            let moved: f64 = plan.kernels.iter().map(|s| s.cost.bytes as f64).sum();
            let short = k.unit == Unit::Byte && moved < k.amount;
            (
                short.then_some((k.name, moved)),
                plan.kernels.iter().map(|s| s.kernel.name()).collect::<Vec<_>>(),
            )
        };
        let (short, steps): (Vec<_>, Vec<_>) = all.iter().map(steps).unzip();
        let short: Vec<_> = short.into_iter().flatten().collect();
        assert!(short.is_empty(), "fewer bytes than counted: {short:?}");
        let seen: BTreeSet<&str> = steps.into_iter().flatten().collect();
        let wanted = [
            "amax",
            "argmax",
            "attention",
            "attention_grad",
            "avg_pool2d",
            "avg_pool2d_grad",
            "conv2d",
            "conv2d_input_grad",
            "conv2d_weight_grad",
            "gather",
            "gather_grad",
            "map",
            "matmul",
            "max_pool2d",
            "max_pool2d_grad",
            "row_chain",
            "sum",
        ];
        let missing: Vec<&&str> = wanted.iter().filter(|w| !seen.contains(**w)).collect();
        assert!(missing.is_empty(), "no row has {missing:?}; there are {seen:?}");
    }
}
