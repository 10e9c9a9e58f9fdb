//! Different settings along each axis: image, kernel, stride, padding, dilation, output padding. A kernel
//! confusing the axes is right on every square, and wrong here.
//!
//! One case for each path of the CPU's convolutions (vectors of pixels or of channels, phases, outer
//! products, sums over ranges of images) and for each variant on adapters (products, split ones, phases,
//! depthwise, Winograd's).

use super::cases;
use crate::{real, ties};
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Interpolation, Tensor, differentiate};
use wgrad_types::DType;

const fn spec(stride: [usize; 2], padding: [usize; 2], dilation: [usize; 2], groups: usize) -> ConvSpec {
    ConvSpec { stride, padding, dilation, groups }
}

const fn window(kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Window {
    Window { kernel, stride, padding }
}

/// Gradient of the sum of squares of `f`: differentiating it gives a second derivative.
fn slope(x: &Tensor, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    differentiate(&f(x).square().sum_all(), std::slice::from_ref(x)).expect("it has a gradient").remove(0)
}

/// High windows, and wide ones.
const HIGH: ConvSpec = spec([2, 1], [1, 2], [2, 3], 1);
const WIDE: ConvSpec = spec([1, 2], [2, 0], [3, 1], 1);
const HIGH_POOL: Window = window([4, 3], [3, 2], [2, 1]);
const WIDE_POOL: Window = window([2, 5], [1, 3], [0, 2]);

const fn grouped(spec: ConvSpec, groups: usize) -> ConvSpec {
    ConvSpec { groups, ..spec }
}

cases! {
    conv2d_high [real(&[2, 3, 13, 10]), real(&[5, 3, 3, 2]), real(&[5])] |x| x[0].conv2d(&x[1], Some(&x[2]), HIGH);
    conv2d_wide_window [real(&[2, 3, 10, 13]), real(&[5, 3, 2, 4]), real(&[5])] |x| x[0].conv2d(&x[1], Some(&x[2]), WIDE).relu();
    conv2d_strides_apart [real(&[2, 3, 15, 17]), real(&[8, 3, 4, 3])] |x| x[0].conv2d(&x[1], None, spec([3, 2], [2, 1], [1, 2], 1));
    conv2d_strides_beyond [real(&[2, 3, 11, 13]), real(&[4, 3, 2, 1])] |x| x[0].conv2d(&x[1], None, spec([3, 2], [1, 0], [1, 2], 1));
    // Three channels, copied by pixel, into channels by vector.
    conv2d_colours_high [real(&[2, 3, 13, 10]), real(&[13, 3, 3, 2])] |x| x[0].conv2d(&x[1], None, HIGH);
    // Channels by vector, both ways.
    conv2d_channels_high [real(&[2, 16, 9, 12]), real(&[16, 16, 3, 2]), real(&[16])] |x| x[0].conv2d(&x[1], Some(&x[2]), HIGH);
    conv2d_channels_wide [real(&[2, 16, 10, 9]), real(&[14, 16, 2, 3])] |x| x[0].conv2d(&x[1], None, WIDE);
    conv2d_channels_strides_apart [real(&[1, 16, 11, 9]), real(&[13, 16, 2, 3])] |x| x[0].conv2d(&x[1], None, spec([3, 2], [0, 1], [2, 1], 1));
    conv2d_channels_grouped [real(&[2, 32, 9, 7]), real(&[32, 16, 2, 3])] no gradient |x| x[0].conv2d(&x[1], None, grouped(WIDE, 2));
    conv2d_channels_pointwise [real(&[2, 16, 7, 10]), real(&[16, 16, 1, 1])] |x| x[0].conv2d(&x[1], None, spec([2, 3], [1, 0], [1, 2], 1));
    conv2d_groups_high [real(&[2, 6, 13, 8]), real(&[9, 2, 3, 2])] |x| x[0].conv2d(&x[1], None, grouped(HIGH, 3));
    conv2d_depthwise_high [real(&[2, 4, 13, 11]), real(&[4, 1, 3, 2])] |x| x[0].conv2d(&x[1], None, grouped(HIGH, 4));
    conv2d_depthwise_wide_window [real(&[3, 3, 9, 14]), real(&[3, 1, 2, 4]), real(&[3])] |x| x[0].conv2d(&x[1], Some(&x[2]), grouped(WIDE, 3)).relu();
    conv2d_depthwise_residual_padded [real(&[2, 4, 8, 12]), real(&[4, 1, 5, 3])] |x| x[0].conv2d(&x[1], None, spec([1, 1], [2, 3], [1, 3], 4)) + &x[0];
    // Sums over images: split products, and ranges of images with sums of their own.
    conv2d_long_high [real(&[8, 3, 24, 19]), real(&[6, 3, 5, 4]), real(&[6])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec([2, 1], [1, 2], [1, 2], 1));
    conv2d_weight_grad_long_wide [real(&[9, 16, 7, 8]), real(&[9, 16, 6, 4])] no gradient |x| x[0].conv2d_weight_grad(&x[1], spec([1, 2], [0, 2], [1, 2], 1), [2, 3]);
    conv2d_weight_grad_high [real(&[2, 3, 13, 10]), real(&[2, 5, 6, 11])] |x| x[0].conv2d_weight_grad(&x[1], HIGH, [3, 2]);
    conv2d_weight_grad_grouped_wide [real(&[2, 4, 9, 8]), real(&[2, 6, 10, 3])] |x| x[0].conv2d_weight_grad(&x[1], grouped(WIDE, 2), [2, 3]);
    conv2d_input_grad_high [real(&[2, 5, 6, 11]), real(&[5, 3, 3, 2])] |x| x[0].conv2d_input_grad(&x[1], HIGH, [13, 10]);
    conv2d_input_grad_dense [real(&[2, 5, 9, 13]), real(&[5, 3, 3, 2])] |x| x[0].conv2d_input_grad(&x[1], spec([1, 1], [1, 3], [2, 3], 1), [11, 10]);
    // Large enough for one kernel per phase of the stride.
    conv2d_input_grad_phases_high [real(&[2, 64, 20, 38]), real(&[64, 16, 3, 2])] no gradient |x| x[0].conv2d_input_grad(&x[1], spec([2, 1], [1, 2], [1, 3], 1), [39, 37]);
    conv2d_input_grad_phases_wide [real(&[2, 64, 38, 13]), real(&[64, 16, 2, 4])] no gradient |x| x[0].conv2d_input_grad(&x[1], spec([1, 3], [0, 1], [2, 1], 1), [40, 38]);
    // Winograd's transform: only its padding is free.
    conv2d_winograd_high [real(&[1, 32, 6, 11]), real(&[33, 32, 3, 3]), real(&[33])] no gradient |x| x[0].conv2d(&x[1], Some(&x[2]), spec([1, 1], [2, 0], [1, 1], 1));
    conv2d_winograd_input_grad_high [real(&[1, 33, 8, 9]), real(&[33, 32, 3, 3])] no gradient |x| x[0].conv2d_input_grad(&x[1], spec([1, 1], [2, 0], [1, 1], 1), [6, 11]);
    conv_transpose2d_high [real(&[2, 6, 5, 7]), real(&[6, 4, 3, 2]), real(&[4])] |x| x[0].conv_transpose2d(&x[1], Some(&x[2]), spec([2, 3], [1, 0], [2, 1], 1), [1, 2]);
    conv_transpose2d_channels_wide [real(&[1, 13, 6, 4]), real(&[13, 16, 2, 3])] |x| x[0].conv_transpose2d(&x[1], None, spec([1, 2], [2, 1], [3, 1], 1), [0, 1]);
    // More zeros at the end than the stride: the whole result, and a part of it.
    conv_transpose2d_far [real(&[1, 3, 4, 5]), real(&[3, 2, 2, 3])] |x| x[0].conv_transpose2d(&x[1], None, spec([1, 2], [2, 1], [3, 2], 1), [2, 1]);
    conv2d_slope_high [real(&[1, 2, 9, 8]), real(&[3, 2, 3, 2])] |x| slope(&x[0], |y| y.conv2d(&x[1], None, HIGH).tanh());
    f16_conv_high [real(&[2, 3, 13, 10]), real(&[5, 3, 3, 2])] no gradient |x| x[0].cast(DType::F16).conv2d(&x[1].cast(DType::F16), None, HIGH);
    f16_conv_input_grad_high [real(&[2, 5, 6, 11]), real(&[5, 3, 3, 2])] no gradient |x| x[0].cast(DType::F16).conv2d_input_grad(&x[1].cast(DType::F16), HIGH, [13, 10]);
    f16_conv_weight_grad_high [real(&[2, 3, 13, 10]), real(&[2, 5, 6, 11])] no gradient |x| x[0].cast(DType::F16).conv2d_weight_grad(&x[1].cast(DType::F16), HIGH, [3, 2]);
    max_pool2d_high [real(&[2, 3, 11, 9])] |x| x[0].max_pool2d(HIGH_POOL);
    max_pool2d_wide [ties(&[2, 3, 7, 14], 4)] |x| x[0].max_pool2d(WIDE_POOL);
    max_pool2d_slope [real(&[2, 2, 11, 9])] |x| slope(&x[0], |y| y.max_pool2d(HIGH_POOL));
    max_pool2d_slope_wide [real(&[2, 2, 7, 14])] |x| slope(&x[0], |y| y.max_pool2d(WIDE_POOL));
    max_pool2d_much_overlap_high [ties(&[1, 2, 21, 15], 50)] |x| x[0].max_pool2d(window([17, 9], [2, 1], [8, 3]));
    avg_pool2d_high [real(&[2, 3, 11, 9])] |x| x[0].avg_pool2d(HIGH_POOL);
    avg_pool2d_wide [real(&[2, 3, 7, 14])] |x| x[0].avg_pool2d(WIDE_POOL);
    avg_pool2d_slope [real(&[2, 2, 11, 9])] |x| slope(&x[0], |y| y.avg_pool2d(HIGH_POOL));
    adaptive_avg_pool2d_high [real(&[2, 3, 13, 10])] |x| x[0].adaptive_avg_pool2d([4, 7]);
    adaptive_avg_pool2d_high_even [real(&[2, 3, 12, 8])] |x| x[0].adaptive_avg_pool2d([3, 4]);
    interpolate_nearest_high [real(&[2, 2, 4, 5])] |x| x[0].interpolate([12, 10], Interpolation::Nearest);
    interpolate_nearest_high_uneven [real(&[1, 2, 5, 7])] |x| x[0].interpolate([9, 3], Interpolation::Nearest);
    interpolate_bilinear_high [real(&[2, 2, 4, 7])] |x| x[0].interpolate([12, 5], Interpolation::Bilinear);
}
