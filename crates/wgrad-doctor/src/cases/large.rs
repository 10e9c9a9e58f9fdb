//! Large arguments: +-1000, and both edges of exp's range in f32 (88.7 and -87.3, -104), alone and beside small ones.
//!
//! Functions that subtract a maximum, or take exp of negative magnitudes only, stay finite here, value and
//! gradient; without it they overflow, in f32 and in f64. Each element is compared by itself, attention's by
//! the largest.

use super::cases;
use crate::{far, ints, peaks, real, within};
use wgrad_graph::{CrossEntropy, Tensor};
use wgrad_types::DType;

const SMOOTH: CrossEntropy = CrossEntropy { label_smoothing: 0.1, ignore_index: -1 };

/// Ranges of attention's operands for scores of about -280.
const DOWN: [(f64, f64); 2] = [(8.0, 12.0), (-12.0, -8.0)];

fn heads(x: &[Tensor], causal: bool) -> Tensor {
    x[0].scaled_dot_product_attention(&x[1], &x[2], causal)
}

cases! {
    logsumexp_peaks [peaks(&[9, 37])] tolerance 1e-4 |x| x[0].logsumexp(-1);
    logsumexp_columns_peaks [peaks(&[37, 9])] tolerance 1e-4 |x| x[0].logsumexp(0);
    logsumexp_long_peaks [peaks(&[3, 5003])] tolerance 1e-4 |x| x[0].logsumexp(-1);
    logsumexp_high [far(&[5, 33], 990.0, 1010.0)] tolerance 1e-4 |x| x[0].logsumexp(-1);
    logsumexp_low [far(&[5, 33], -1010.0, -990.0)] tolerance 1e-4 |x| x[0].logsumexp(-1);
    logsumexp_at_the_upper_edge [far(&[5, 33], 87.0, 90.0)] tolerance 1e-4 |x| x[0].logsumexp(-1);
    logsumexp_at_the_lower_edge [far(&[5, 33], -105.0, -86.0)] tolerance 1e-4 |x| x[0].logsumexp(-1);
    softmax_peaks [peaks(&[9, 37])] tolerance 1e-3 |x| x[0].softmax(-1);
    softmax_first_axis_peaks [peaks(&[12, 5, 3])] tolerance 1e-3 |x| x[0].softmax(0);
    softmax_rows_peaks [peaks(&[37, 700])] tolerance 1e-3 |x| x[0].softmax(-1);
    softmax_low [far(&[5, 37], -1010.0, -990.0)] tolerance 1e-3 |x| x[0].softmax(-1);
    softmax_at_the_upper_edge [far(&[5, 37], 80.0, 105.0)] tolerance 1e-3 |x| x[0].softmax(-1);
    softmax_fused_peaks [peaks(&[9, 37]), within(&[37], 0.5, 1.5)] tolerance 1e-3 no gradient |x| (&x[0] * &x[1]).softmax(-1) * 3.0 + 1.0;
    softmax_product_peaks [peaks(&[9, 20]), within(&[20, 7], 0.5, 1.5)] tolerance 1e-3 no gradient |x| x[0].softmax(-1).matmul(&x[1]);
    log_softmax_peaks [peaks(&[9, 37])] tolerance 1e-3 |x| x[0].log_softmax(-1);
    log_softmax_columns_peaks [peaks(&[37, 9])] tolerance 1e-3 |x| x[0].log_softmax(0);
    log_softmax_rows_peaks [peaks(&[37, 700])] tolerance 1e-3 |x| x[0].log_softmax(-1);
    log_softmax_low [far(&[5, 37], -1010.0, -990.0)] tolerance 1e-3 |x| x[0].log_softmax(-1);
    cross_entropy_peaks [peaks(&[9, 37]), ints(&[9], 0, 37)] tolerance 1e-3 |x| x[0].cross_entropy(&x[1], CrossEntropy::default());
    cross_entropy_smooth_peaks [peaks(&[9, 37]), ints(&[9], -1, 37)] tolerance 1e-3 |x| x[0].cross_entropy(&x[1], SMOOTH);
    cross_entropy_rows_peaks [peaks(&[70, 330]), ints(&[70], 0, 330)] tolerance 1e-3 |x| x[0].cross_entropy(&x[1], CrossEntropy::default());
    kl_div_peaks [peaks(&[4, 9]), within(&[4, 9], 0.01, 0.9)] tolerance 1e-3 |x| x[0].log_softmax(-1).kl_div(&x[1]);
    bce_with_logits_peaks [peaks(&[40]), within(&[40], 0.1, 0.9)] tolerance 1e-3 |x| x[0].bce_with_logits_loss(&x[1]);
    sigmoid_focal_loss_peaks [peaks(&[40]), within(&[40], 0.1, 0.9)] tolerance 1e-3 no gradient |x| x[0].sigmoid_focal_loss(&x[1], 0.25, 2.0);
    softplus_peaks [peaks(&[100])] tolerance 1e-3 |x| x[0].softplus();
    sigmoid_peaks [peaks(&[100])] tolerance 1e-3 no gradient |x| x[0].sigmoid();
    tanh_peaks [peaks(&[100])] tolerance 1e-3 no gradient |x| x[0].tanh();
    silu_peaks [peaks(&[100])] tolerance 1e-3 no gradient |x| x[0].silu();
    mish_peaks [peaks(&[100])] tolerance 1e-3 no gradient |x| x[0].mish();
    elu_peaks [peaks(&[100])] tolerance 1e-3 |x| x[0].elu(1.3);
    gelu_peaks [peaks(&[100])] tolerance 1e-3 no gradient |x| x[0].gelu();
    // Scores of about -280: exp is 0 without the maximum subtracted.
    attention_low [within(&[2, 2, 19, 8], DOWN[0].0, DOWN[0].1), within(&[2, 2, 19, 8], DOWN[1].0, DOWN[1].1), real(&[2, 2, 19, 8])] tolerance 1e-3 |x| heads(x, false);
    attention_low_causal [within(&[2, 2, 37, 8], DOWN[0].0, DOWN[0].1), within(&[2, 2, 37, 8], DOWN[1].0, DOWN[1].1), real(&[2, 2, 37, 8])] tolerance 1e-3 |x| heads(x, true);
    attention_high [within(&[2, 2, 19, 8], 8.0, 12.0), within(&[2, 2, 19, 8], 8.0, 12.0), real(&[2, 2, 19, 8])] tolerance 1e-3 |x| heads(x, false);
    attention_at_the_upper_edge [within(&[1, 2, 37, 12], 4.5, 5.6), within(&[1, 2, 41, 12], 4.5, 5.6), real(&[1, 2, 41, 8])] tolerance 1e-3 |x| heads(x, false);
    attention_at_the_lower_edge [within(&[1, 2, 37, 12], 4.5, 5.6), within(&[1, 2, 41, 12], -5.6, -4.5), real(&[1, 2, 41, 8])] tolerance 1e-3 |x| heads(x, true);
    attention_far [within(&[2, 4, 21, 8], -30.0, 30.0), within(&[2, 2, 21, 8], -30.0, 30.0), real(&[2, 2, 21, 8])] tolerance 1e-2 no gradient |x| heads(x, true);
    attention_odd_heads_low [within(&[1, 2, 7, 3], 14.0, 18.0), within(&[1, 2, 9, 3], -18.0, -14.0), real(&[1, 2, 9, 5])] tolerance 1e-3 |x| heads(x, false);
    attention_masked_low [within(&[2, 2, 4, 6], 8.0, 12.0), within(&[2, 2, 5, 6], -12.0, -8.0), real(&[2, 2, 5, 6]), ints(&[2, 1, 4, 5], 0, 2)] tolerance 1e-3 |x| {
        x[0].masked_dot_product_attention(&x[1], &x[2], &x[3].ne(&x[3].full_like(0.0)))
    };
    f16_attention_low [within(&[2, 2, 19, 8], DOWN[0].0, DOWN[0].1), within(&[2, 2, 19, 8], DOWN[1].0, DOWN[1].1), real(&[2, 2, 19, 8])] tolerance 1e-3 no gradient |x| {
        let [q, k, v] = [0, 1, 2].map(|i| x[i].cast(DType::F16));
        q.scaled_dot_product_attention(&k, &v, false)
    };
}
