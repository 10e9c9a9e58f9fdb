//! Convolutions and their gradients, one case per code path; second derivatives too.

use super::cases;
use crate::real;
use wgrad_graph::ops::ConvSpec;

/// Stride, padding, dilation, groups.
fn spec(stride: usize, padding: usize, dilation: usize, groups: usize) -> ConvSpec {
    ConvSpec { dilation: [dilation; 2], groups, ..ConvSpec::new(stride, padding) }
}

cases! {
    conv2d_plain [real(&[2, 3, 9, 8]), real(&[5, 3, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 0, 1, 1));
    conv2d_bias [real(&[2, 3, 9, 8]), real(&[5, 3, 3, 3]), real(&[5])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 0, 1, 1));
    // The bias's gradient in the weights' launch: split, grouped, of ragged channels.
    conv2d_bias_long [real(&[8, 3, 24, 24]), real(&[6, 3, 5, 5]), real(&[6])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 0, 1, 1));
    conv2d_bias_grouped [real(&[3, 6, 10, 9]), real(&[9, 2, 3, 3]), real(&[9])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 1, 1, 3));
    conv2d_bias_ragged [real(&[2, 20, 7, 6]), real(&[37, 20, 3, 3]), real(&[37])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 1, 1, 1)).relu();
    conv2d_same [real(&[2, 4, 7, 11]), real(&[6, 4, 5, 5])] |x| x[0].conv2d(&x[1], None, spec(1, 2, 1, 1));
    conv2d_strided [real(&[2, 3, 31, 29]), real(&[8, 3, 11, 11])] |x| x[0].conv2d(&x[1], None, spec(4, 2, 1, 1));
    conv2d_stride_2 [real(&[3, 4, 10, 13]), real(&[6, 4, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(2, 1, 1, 1));
    conv2d_dilated [real(&[2, 4, 12, 10]), real(&[4, 4, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 2, 2, 1));
    conv2d_grouped [real(&[2, 6, 10, 9]), real(&[9, 2, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(2, 1, 1, 3));
    conv2d_depthwise [real(&[2, 8, 6, 13]), real(&[8, 1, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 1, 1, 8));
    conv2d_depthwise_strided [real(&[3, 6, 11, 16]), real(&[6, 1, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(2, 1, 1, 6));
    conv2d_depthwise_dilated [real(&[2, 4, 12, 12]), real(&[4, 1, 3, 5])] |x| x[0].conv2d(&x[1], None, spec(1, 2, 2, 4));
    conv2d_depthwise_far [real(&[2, 3, 13, 14]), real(&[3, 1, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 6, 6, 3));
    conv2d_depthwise_wide [real(&[2, 3, 19, 20]), real(&[3, 1, 5, 5]), real(&[3])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(3, 2, 1, 3)).relu();
    conv2d_depthwise_long [real(&[16, 2, 24, 24]), real(&[2, 1, 3, 3]), real(&[2])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 1, 1, 2)).clamp(0.0, 6.0);
    conv2d_depthwise_residual [real(&[2, 4, 7, 8]), real(&[4, 1, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 1, 1, 4)) + &x[0];
    conv2d_pointwise [real(&[2, 16, 5, 7]), real(&[24, 16, 1, 1])] |x| x[0].conv2d(&x[1], None, spec(1, 0, 1, 1));
    conv2d_stride_beyond_kernel [real(&[2, 3, 11, 10]), real(&[4, 3, 2, 2])] |x| x[0].conv2d(&x[1], None, spec(3, 0, 1, 1));
    conv2d_oblong [real(&[2, 3, 12, 7]), real(&[4, 3, 5, 1])] |x| x[0].conv2d(&x[1], None, ConvSpec { stride: [2, 1], padding: [1, 0], ..ConvSpec::default() });
    conv2d_whole_image [real(&[3, 4, 5, 5]), real(&[7, 4, 5, 5])] |x| x[0].conv2d(&x[1], None, spec(1, 0, 1, 1));
    conv2d_many_channels [real(&[2, 33, 6, 6]), real(&[40, 33, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 1, 1, 1));
    // Channels filling vectors; the gradients' mathematics is covered by the cases above.
    conv2d_wide [real(&[2, 16, 9, 11]), real(&[20, 16, 3, 3]), real(&[20])] no gradient |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 1, 1, 1));
    conv2d_wide_grouped [real(&[2, 32, 6, 7]), real(&[32, 16, 3, 3])] no gradient |x| x[0].conv2d(&x[1], None, spec(1, 1, 1, 2));
    conv2d_wide_input_grad_beyond_kernel [real(&[2, 12, 3, 2]), real(&[12, 16, 2, 2])] no gradient |x| x[0].conv2d_input_grad(&x[1], spec(3, 0, 1, 1), [8, 7]);
    conv2d_wide_input_grad_dilated [real(&[2, 13, 5, 5]), real(&[13, 16, 3, 3])] no gradient |x| x[0].conv2d_input_grad(&x[1], spec(2, 2, 2, 1), [9, 10]);
    conv2d_wide_weight_grad [real(&[2, 16, 9, 11]), real(&[2, 20, 9, 11])] no gradient |x| x[0].conv2d_weight_grad(&x[1], spec(1, 1, 1, 1), [3, 3]);
    conv2d_wide_weight_grad_dilated [real(&[2, 32, 9, 10]), real(&[2, 14, 5, 5])] no gradient |x| x[0].conv2d_weight_grad(&x[1], spec(2, 2, 2, 2), [3, 3]);
    conv2d_batch [real(&[9, 6, 12, 12]), real(&[16, 6, 5, 5])] |x| x[0].conv2d(&x[1], None, spec(1, 0, 1, 1));
    conv2d_relu [real(&[2, 3, 9, 8]), real(&[5, 3, 3, 3]), real(&[5])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 1, 1, 1)).relu();
    conv2d_residual [real(&[2, 4, 6, 6]), real(&[4, 4, 3, 3])] |x| (x[0].conv2d(&x[1], None, spec(1, 1, 1, 1)) + &x[0]).relu();
    // Channels enough for Winograd's transform; edges of its blocks, and whole ones.
    conv2d_winograd [real(&[1, 32, 5, 9]), real(&[35, 32, 3, 3]), real(&[35])] |x| x[0].conv2d(&x[1], Some(&x[2]), spec(1, 1, 1, 1)).relu();
    conv2d_winograd_blocks [real(&[1, 32, 4, 16]), real(&[32, 32, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 1, 1, 1)) * 0.5;
    conv2d_winograd_valid [real(&[1, 32, 6, 11]), real(&[32, 32, 3, 3])] |x| x[0].conv2d(&x[1], None, spec(1, 0, 1, 1));
    conv2d_input_grad [real(&[2, 5, 7, 6]), real(&[5, 3, 3, 3])] |x| x[0].conv2d_input_grad(&x[1], spec(1, 0, 1, 1), [9, 8]);
    conv2d_input_grad_strided [real(&[2, 4, 4, 4]), real(&[4, 3, 3, 3])] |x| x[0].conv2d_input_grad(&x[1], spec(2, 1, 1, 1), [8, 7]);
    // Large enough for one kernel per phase of the stride.
    conv2d_input_grad_phases [real(&[2, 64, 16, 16]), real(&[64, 16, 3, 3])] no gradient |x| x[0].conv2d_input_grad(&x[1], spec(2, 1, 1, 1), [32, 31]);
    conv2d_weight_grad [real(&[2, 3, 9, 8]), real(&[2, 5, 7, 6])] |x| x[0].conv2d_weight_grad(&x[1], spec(1, 0, 1, 1), [3, 3]);
    conv2d_weight_grad_long [real(&[8, 3, 24, 24]), real(&[8, 6, 20, 20])] |x| x[0].conv2d_weight_grad(&x[1], spec(1, 0, 1, 1), [5, 5]);
    conv_transpose2d [real(&[2, 6, 5, 7]), real(&[6, 4, 3, 3]), real(&[4])] |x| x[0].conv_transpose2d(&x[1], Some(&x[2]), spec(2, 1, 1, 1), [1, 1]);
}
