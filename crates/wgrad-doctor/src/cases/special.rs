//! NaN, infinities, zeros of both signs, subnormal and the largest numbers through every operation, and
//! numbers of all magnitudes through cancelling ones: each result is compared by itself (docs/numbers.md). A
//! sum's rounding is relative to its terms, not to the rest after cancellation: cases of sums allow for it.

use super::cases;
use crate::{holed, ints, special, spread};
use wgrad_graph::ops::Window;
use wgrad_graph::{CrossEntropy, Interpolation};
use wgrad_types::DType;

cases! {
    neg_special [special(&[25], 1)] |x| -&x[0];
    abs_special [special(&[25], 1)] |x| x[0].abs();
    sign_special [special(&[25], 1)] |x| x[0].sign();
    floor_special [special(&[25], 1)] |x| x[0].floor();
    exp_special [special(&[25], 1)] |x| x[0].exp();
    expm1_special [special(&[25], 1)] |x| x[0].expm1();
    log_special [special(&[25], 1)] |x| x[0].log();
    log1p_special [special(&[25], 1)] |x| x[0].log1p();
    sqrt_special [special(&[25], 1)] |x| x[0].sqrt();
    rsqrt_special [special(&[25], 1)] |x| x[0].rsqrt();
    reciprocal_special [special(&[25], 1)] |x| x[0].reciprocal();
    square_special [special(&[25], 1)] |x| x[0].square();
    tanh_special [special(&[25], 1)] |x| x[0].tanh();
    erf_special [special(&[25], 1)] |x| x[0].erf();
    // Its gradient is y (1 - y); the second factor has few digits at 6.
    sigmoid_special [special(&[25], 1)] tolerance 1e-4 |x| x[0].sigmoid();
    softplus_special [special(&[25], 1)] |x| x[0].softplus();
    finite_special [special(&[25], 1)] |x| x[0].finite();
    relu_special [special(&[25], 1)] |x| x[0].relu();
    relu_special_quads [special(&[100], 4)] |x| x[0].relu();
    // For NaN of infinities alone: some drivers' sines are 1.9e-4 off.
    sin_endless [holed(&[30], 3)] tolerance 1e-3 |x| x[0].sin();
    cos_endless [holed(&[30], 3)] tolerance 1e-3 |x| x[0].cos();
    leaky_relu_special [special(&[25], 1)] |x| x[0].leaky_relu(0.01);
    elu_special [special(&[25], 1)] |x| x[0].elu(1.3);
    silu_special [special(&[25], 1)] |x| x[0].silu();
    hardswish_special [special(&[25], 1)] |x| x[0].hardswish();
    clamp_special [special(&[25], 1)] |x| x[0].clamp(-1.0, 2.5);
    powf_cube_special [special(&[25], 1)] |x| x[0].powf(3.0);
    powf_whole_special [special(&[25], 1)] |x| x[0].powf(-5.0);
    powf_special [special(&[25], 1)] |x| x[0].powf(2.5);
    powf_zero_special [special(&[25], 1)] |x| x[0].powf(0.0) * &x[0].powf(1.0);
    add_special [special(&[625], 1), special(&[625], 25)] |x| &x[0] + &x[1];
    sub_special [special(&[625], 1), special(&[625], 25)] |x| &x[0] - &x[1];
    mul_special [special(&[625], 1), special(&[625], 25)] |x| &x[0] * &x[1];
    div_special [special(&[625], 1), special(&[625], 25)] |x| &x[0] / &x[1];
    div_rows_special [special(&[25, 25], 1), special(&[25, 1], 1)] no gradient |x| &x[0] / &x[1];
    pow_special [special(&[625], 1), special(&[625], 25)] |x| x[0].pow(&x[1]);
    maximum_special [special(&[625], 1), special(&[625], 25)] |x| x[0].maximum(&x[1]);
    maximum_special_quads [special(&[2500], 4), special(&[2500], 100)] |x| x[0].maximum(&x[1]);
    minimum_special [special(&[625], 1), special(&[625], 25)] |x| x[0].minimum(&x[1]);
    eq_special [special(&[625], 1), special(&[625], 25)] no gradient |x| x[0].eq(&x[1]);
    ne_special [special(&[625], 1), special(&[625], 25)] no gradient |x| x[0].ne(&x[1]);
    lt_special [special(&[625], 1), special(&[625], 25)] no gradient |x| x[0].lt(&x[1]);
    le_special [special(&[625], 1), special(&[625], 25)] no gradient |x| x[0].le(&x[1]);
    gt_special [special(&[625], 1), special(&[625], 25)] no gradient |x| x[0].gt(&x[1]);
    ge_special [special(&[625], 1), special(&[625], 25)] no gradient |x| x[0].ge(&x[1]);
    select_special [special(&[625], 1), special(&[625], 25)] |x| x[0].detach().gt(&x[1].detach()).select(&x[0], &x[1]);
    cast_to_i32_special [special(&[25], 1)] no gradient |x| x[0].cast(DType::I32);
    cast_to_bool_special [special(&[25], 1)] no gradient |x| x[0].cast(DType::Bool).to_f32();
    constants_special [special(&[25], 1)] |x| x[0].maximum(&x[0].full_like(f64::NEG_INFINITY)) + f64::INFINITY;
    constant_nan_special [special(&[25], 1)] |x| x[0].minimum(&x[0].full_like(f64::NAN));
    sum_holed [holed(&[9, 37], 50)] tolerance 1e-3 |x| x[0].sum(&[1]);
    sum_columns_holed [holed(&[37, 9], 50)] tolerance 1e-3 |x| x[0].sum(&[0]);
    amax_holed [holed(&[9, 37], 50)] |x| x[0].amax(&[1]);
    amax_columns_holed [holed(&[37, 9], 50)] |x| x[0].amax(&[0]);
    amax_quads_holed [holed(&[12, 64], 100)] |x| x[0].amax(&[1]);
    amax_long_holed [holed(&[3, 80_000], 79_999)] no gradient |x| x[0].amax(&[1]);
    amax_special [special(&[25, 3], 3)] |x| x[0].amax(&[1]);
    amin_holed [holed(&[9, 37], 50)] |x| x[0].amin(&[1]);
    amin_columns_special [special(&[3, 25], 1)] |x| x[0].amin(&[0]);
    argmax_holed [holed(&[9, 37], 50)] no gradient |x| x[0].argmax(1);
    argmax_columns_holed [holed(&[37, 9], 50)] no gradient |x| x[0].argmax(0);
    argmax_special [special(&[25, 25], 1)] no gradient |x| x[0].argmax(0);
    // Gradients of these are differences of sums.
    softmax_holed [holed(&[9, 37], 50)] tolerance 1e-3 |x| x[0].softmax(-1);
    log_softmax_holed [holed(&[9, 37], 50)] tolerance 1e-3 |x| x[0].log_softmax(-1);
    logsumexp_special [special(&[25, 3], 3)] no gradient |x| x[0].logsumexp(-1);
    logsumexp_holed [holed(&[9, 37], 50)] tolerance 1e-3 |x| x[0].logsumexp(-1);
    max_pool2d_holed [holed(&[2, 3, 9, 10], 37)] |x| x[0].max_pool2d(Window::new(2, 2, 0));
    max_pool2d_overlapping_holed [holed(&[2, 3, 9, 10], 11)] |x| x[0].max_pool2d(Window::new(3, 2, 1));
    max_pool2d_special [special(&[1, 1, 10, 10], 3)] |x| x[0].max_pool2d(Window::new(2, 1, 0));
    avg_pool2d_holed [holed(&[2, 3, 9, 10], 37)] tolerance 1e-3 |x| x[0].avg_pool2d(Window::new(2, 2, 0));
    interpolate_nearest_holed [holed(&[1, 2, 4, 5], 9)] |x| x[0].interpolate([8, 10], Interpolation::Nearest);
    interpolate_nearest_uneven_holed [holed(&[1, 2, 4, 5], 9)] |x| x[0].interpolate([7, 3], Interpolation::Nearest);
    interpolate_bilinear_holed [holed(&[1, 2, 4, 5], 9)] tolerance 1e-3 |x| x[0].interpolate([8, 10], Interpolation::Bilinear);
    gather_holed [holed(&[7, 5], 9), ints(&[4], 0, 7)] |x| x[0].embedding(&x[1]);
    matmul_holed [holed(&[9, 20], 67), holed(&[20, 7], 300)] tolerance 1e-3 |x| x[0].matmul(&x[1]);
    bce_loss_special [spread(&[40], -9, -1), ints(&[40], 0, 2)] |x| x[0].abs().bce_loss(&x[1].to_f32());
    cross_entropy_holed [holed(&[6, 11], 97), ints(&[6], 0, 11)] tolerance 1e-3 |x| x[0].cross_entropy(&x[1], CrossEntropy::default());
    expm1_small [spread(&[200], -30, 1)] |x| x[0].expm1();
    log1p_small [spread(&[200], -30, 0)] |x| x[0].log1p();
    log_near_one [spread(&[200], -6, -1)] no gradient |x| (&x[0] + 1.0).log();
    tanh_small [spread(&[200], -30, 0)] |x| x[0].tanh();
    erf_small [spread(&[200], -30, 0)] |x| x[0].erf();
    softplus_small [spread(&[200], -6, 1)] |x| (x[0].abs() * -8.0).softplus();
    elu_small [spread(&[200], -30, 1)] |x| x[0].elu(1.3);
    sigmoid_small [spread(&[200], -6, 1)] |x| (x[0].abs() * -8.0).sigmoid();
    exp_spread [spread(&[200], -30, 1)] |x| (&x[0] * 8.0).exp();
}
