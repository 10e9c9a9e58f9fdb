//! f16 as storage: read by products, convolutions and attention, written by the kernels before them. Operands
//! are rounded alike everywhere and sums are f32, so f32's tolerance holds; an f16 result may be rounded to
//! the neighbour.
//!
//! No gradients: f16 is introduced after differentiation, and the gradients' own kernels are cases here.

use super::cases;
use crate::{real, within};
use wgrad_graph::Tensor;
use wgrad_graph::ops::{AttentionGrad, AttentionOperand, ConvSpec};
use wgrad_types::DType;

const SAME: ConvSpec = ConvSpec { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
const STRIDED: ConvSpec = ConvSpec { stride: [2, 2], ..SAME };
const GROUPED: ConvSpec = ConvSpec { groups: 2, ..SAME };

fn half(x: &Tensor) -> Tensor {
    x.cast(DType::F16)
}

/// Causal attention's gradient by one operand, as mixed precision has it: all but the statistics are f16.
fn attention_grad(x: &[Tensor], of: AttentionOperand) -> Tensor {
    let [q, k, v, dy] = [0, 1, 2, 3].map(|i| half(&x[i]));
    let (lse, y) = (q.attention_lse(&k, true), q.scaled_dot_product_attention(&k, &v, true));
    let delta = (dy.to_f32() * &y.permute(&[0, 2, 1, 3])).sum(&[3]).permute(&[0, 2, 1]);
    q.attention_grad(AttentionGrad { causal: true, of }, [&k, &v, &dy, &lse, &delta])
}

cases! {
    f16_rounds [real(&[77])] no gradient |x| half(&x[0]).to_f32() * 3.0;
    f16_rounds_four [real(&[64])] no gradient |x| half(&x[0]).to_f32() * 3.0;
    f16_rounds_small [within(&[64], -1e-5, 1e-5)] no gradient |x| half(&x[0]).to_f32() * 3.0;
    f16_overflows [within(&[40], 65_600.0, 70_000.0)] no gradient |x| half(&x[0]).to_f32().finite();
    f16_matmul [real(&[37, 41]), real(&[41, 29])] no gradient |x| half(&x[0]).matmul(&half(&x[1]));
    f16_matmul_one_side [real(&[37, 41]), real(&[41, 29])] no gradient |x| half(&x[0]).matmul(&x[1]);
    f16_matmul_vectors [real(&[64, 128]), real(&[128, 96])] no gradient |x| half(&x[0]).matmul(&half(&x[1]));
    f16_matmul_transposed [real(&[60, 44]), real(&[72, 44])] no gradient |x| half(&x[0]).matmul(&half(&x[1]).t());
    f16_matmul_both_transposed [real(&[44, 60]), real(&[72, 44])] no gradient |x| half(&x[0]).t().matmul(&half(&x[1]).t());
    f16_matmul_batched [real(&[3, 9, 20]), real(&[20, 8])] no gradient |x| half(&x[0]).matmul(&half(&x[1]));
    f16_matmul_split [real(&[5, 1003]), real(&[1003, 7])] no gradient |x| half(&x[0]).matmul(&half(&x[1]));
    f16_chain [real(&[33, 20]), real(&[20, 24]), real(&[24, 12])] tolerance 1e-3 no gradient |x| {
        half(&half(&x[0]).matmul(&half(&x[1])).relu()).matmul(&half(&x[2]))
    };
    f16_chain_ragged [real(&[7, 5]), real(&[5, 9]), real(&[9, 3])] tolerance 1e-3 no gradient |x| {
        half(&half(&x[0]).matmul(&half(&x[1])).relu()).matmul(&half(&x[2]))
    };
    f16_chain_split [real(&[4, 1000]), real(&[1000, 8]), real(&[8, 3])] tolerance 1e-3 no gradient |x| {
        half(&half(&x[0]).matmul(&half(&x[1]))).matmul(&half(&x[2]))
    };
    f16_shared [real(&[32, 20]), real(&[20, 24]), real(&[24, 24])] tolerance 1e-3 no gradient |x| {
        let h = half(&half(&x[0]).matmul(&half(&x[1])).tanh());
        h.matmul(&half(&x[2])) + (h.to_f32() * 2.0).sum(&[0])
    };
    f16_conv [real(&[2, 3, 9, 11]), real(&[5, 3, 3, 3])] no gradient |x| half(&x[0]).conv2d(&half(&x[1]), None, SAME);
    f16_conv_vectors [real(&[2, 8, 8, 8]), real(&[16, 8, 3, 3]), real(&[16])] tolerance 1e-3 no gradient |x| {
        let y = half(&half(&x[0]).conv2d(&half(&x[1]), Some(&x[2]), SAME).relu());
        y.to_f32() + 1.0
    };
    f16_conv_pointwise [real(&[2, 8, 6, 6]), real(&[12, 8, 1, 1])] no gradient |x| {
        half(&x[0]).conv2d(&half(&x[1]), None, ConvSpec { padding: [0, 0], ..SAME })
    };
    f16_conv_grouped [real(&[2, 4, 7, 7]), real(&[6, 2, 3, 3])] no gradient |x| half(&x[0]).conv2d(&half(&x[1]), None, GROUPED);
    f16_conv_winograd [real(&[2, 32, 7, 9]), real(&[32, 32, 3, 3])] no gradient |x| half(&x[0]).conv2d(&half(&x[1]), None, SAME);
    f16_conv_depthwise [real(&[2, 4, 7, 9]), real(&[4, 1, 3, 3])] no gradient |x| {
        half(&x[0]).conv2d(&half(&x[1]), None, ConvSpec { groups: 4, ..SAME })
    };
    f16_conv_depthwise_weight_grad [real(&[2, 4, 9, 11]), real(&[2, 4, 9, 11])] no gradient |x| {
        half(&x[0]).conv2d_weight_grad(&half(&x[1]), ConvSpec { groups: 4, ..SAME }, [3, 3])
    };
    f16_conv_weight_grad_bias [real(&[2, 3, 9, 11]), real(&[2, 5, 9, 11])] no gradient |x| {
        let dy = half(&x[1]);
        let dw = half(&x[0]).conv2d_weight_grad(&dy, SAME, [3, 3]);
        let db = dy.to_f32().sum(&[0, 2, 3]).reshape(&[5]);
        Tensor::concat(&[&dw.reshape(&[135]), &db], 0)
    };
    f16_conv_input_grad [real(&[2, 5, 9, 11]), real(&[5, 3, 3, 3])] no gradient |x| {
        half(&x[0]).conv2d_input_grad(&half(&x[1]), SAME, [9, 11])
    };
    f16_conv_input_grad_strided [real(&[2, 5, 5, 6]), real(&[5, 3, 3, 3])] no gradient |x| {
        half(&x[0]).conv2d_input_grad(&half(&x[1]), STRIDED, [9, 11])
    };
    f16_conv_input_grad_phases [real(&[2, 64, 16, 16]), real(&[64, 32, 3, 3])] no gradient |x| {
        half(&x[0]).conv2d_input_grad(&half(&x[1]), STRIDED, [32, 32])
    };
    f16_conv_weight_grad [real(&[2, 3, 9, 11]), real(&[2, 5, 9, 11])] no gradient |x| {
        half(&x[0]).conv2d_weight_grad(&half(&x[1]), SAME, [3, 3])
    };
    f16_conv_weight_grad_strided [real(&[3, 4, 16, 16]), real(&[3, 8, 8, 8])] no gradient |x| {
        half(&x[0]).conv2d_weight_grad(&half(&x[1]), STRIDED, [3, 3])
    };
    f16_attention [real(&[2, 2, 19, 8]), real(&[2, 2, 21, 8]), real(&[2, 2, 21, 8])] no gradient |x| {
        half(&x[0]).scaled_dot_product_attention(&half(&x[1]), &half(&x[2]), false)
    };
    f16_attention_causal [real(&[1, 2, 70, 8]), real(&[1, 2, 70, 8]), real(&[1, 2, 70, 8])] no gradient |x| {
        half(&x[0]).scaled_dot_product_attention(&half(&x[1]), &half(&x[2]), true)
    };
    f16_attention_shared_heads [real(&[2, 4, 6, 4]), real(&[2, 2, 6, 4]), real(&[2, 2, 6, 4])] no gradient |x| {
        half(&x[0]).scaled_dot_product_attention(&half(&x[1]), &half(&x[2]), true)
    };
    // The last operand is the gradient of the result, in layout [B, L, H, E].
    f16_attention_grad_q [real(&[1, 2, 37, 12]), real(&[1, 2, 37, 12]), real(&[1, 2, 37, 12]), real(&[1, 37, 2, 12])] no gradient |x| {
        attention_grad(x, AttentionOperand::Q)
    };
    f16_attention_grad_k [real(&[1, 2, 37, 12]), real(&[1, 2, 37, 12]), real(&[1, 2, 37, 12]), real(&[1, 37, 2, 12])] no gradient |x| {
        attention_grad(x, AttentionOperand::K)
    };
    f16_attention_grad_v [real(&[1, 2, 37, 12]), real(&[1, 2, 37, 12]), real(&[1, 2, 37, 12]), real(&[1, 37, 2, 12])] no gradient |x| {
        attention_grad(x, AttentionOperand::V)
    };
}
