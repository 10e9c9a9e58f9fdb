//! Normalisation and the like: compositions, checked as the layers they are.

use super::cases;
use crate::{real, within};
use wgrad_graph::Interpolation;

cases! {
    layer_norm_rows [within(&[90, 210], 97.0, 103.0), real(&[210]), real(&[210])] |x| x[0].layer_norm(&x[1], Some(&x[2]), 1e-5);
    layer_norm [within(&[3, 5, 24], 97.0, 103.0), real(&[24]), real(&[24])] tolerance 2e-4 |x| x[0].layer_norm(&x[1], Some(&x[2]), 1e-5);
    layer_norm_two_axes [real(&[4, 3, 5]), real(&[3, 5])] |x| x[0].layer_norm(&x[1], None, 1e-5);
    rms_norm [real(&[3, 5, 24]), real(&[24])] |x| x[0].rms_norm(&x[1], 1e-6);
    rms_norm_two_axes [real(&[4, 3, 5]), real(&[3, 5])] |x| x[0].rms_norm(&x[1], 1e-6);
    group_norm [real(&[2, 12, 5, 4]), real(&[12]), real(&[12])] |x| x[0].group_norm(3, &x[1], &x[2], 1e-5);
    group_norm_flat [real(&[5, 6]), real(&[6]), real(&[6])] |x| x[0].group_norm(2, &x[1], &x[2], 1e-5);
    interpolate_nearest [real(&[2, 3, 4, 5])] |x| x[0].interpolate([8, 10], Interpolation::Nearest);
    interpolate_nearest_down [real(&[2, 2, 7, 5])] |x| x[0].interpolate([3, 4], Interpolation::Nearest);
    interpolate_bilinear [real(&[2, 3, 4, 5])] |x| x[0].interpolate([8, 10], Interpolation::Bilinear);
    interpolate_bilinear_uneven [real(&[1, 2, 5, 6])] |x| x[0].interpolate([7, 4], Interpolation::Bilinear);
    batch_norm_train [within(&[4, 6, 5, 5], 48.0, 52.0), real(&[6]), real(&[6])] tolerance 2e-4 |x| x[0].batch_norm_train(&x[1], &x[2], 1e-5).y;
    batch_norm_var [real(&[4, 6, 5, 5]), real(&[6]), real(&[6])] |x| x[0].batch_norm_train(&x[1], &x[2], 1e-5).var;
    batch_norm_eval [real(&[4, 6, 5]), real(&[6]), within(&[6], 0.5, 2.0), real(&[6]), real(&[6])] |x| x[0].batch_norm_eval(&x[1], &x[2], &x[3], &x[4], 1e-5);
    local_response_norm [within(&[2, 9, 4, 5], -20.0, 20.0)] |x| x[0].local_response_norm(5, 1e-4, 0.75, 2.0);
    local_response_norm_even [within(&[2, 7, 3, 3], -20.0, 20.0)] |x| x[0].local_response_norm(4, 1e-2, 0.75, 1.0);
    dropout [real(&[40, 50])] |x| x[0].dropout(0.4);
}
