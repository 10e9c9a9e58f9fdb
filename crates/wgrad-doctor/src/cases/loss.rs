//! Losses.

use super::cases;
use crate::{ints, real, ties, within};
use wgrad_graph::CrossEntropy;

cases! {
    cross_entropy_rows [real(&[70, 330]), ints(&[70], 0, 330)] |x| x[0].cross_entropy(&x[1], CrossEntropy::default());
    cross_entropy [real(&[6, 11]), ints(&[6], 0, 11)] |x| x[0].cross_entropy(&x[1], CrossEntropy::default());
    cross_entropy_smooth [real(&[6, 11]), ints(&[6], 0, 11)] |x| x[0].cross_entropy(&x[1], CrossEntropy { label_smoothing: 0.1, ..CrossEntropy::default() });
    cross_entropy_ignore [real(&[9, 4]), ints(&[9], -1, 4)] |x| x[0].cross_entropy(&x[1], CrossEntropy { ignore_index: -1, ..CrossEntropy::default() });
    cross_entropy_all_ignored [real(&[5, 4]), ints(&[5], -1, 0)] |x| x[0].cross_entropy(&x[1], CrossEntropy { ignore_index: -1, ..CrossEntropy::default() });
    cross_entropy_large [within(&[6, 11], -90.0, 90.0), ints(&[6], 0, 11)] |x| x[0].cross_entropy(&x[1], CrossEntropy::default());
    mse_loss [real(&[5, 3]), real(&[5, 3])] |x| x[0].mse_loss(&x[1]);
    l1_loss [real(&[5, 3]), real(&[5, 3])] |x| x[0].l1_loss(&x[1]);
    huber_loss [real(&[5, 3]), real(&[5, 3])] |x| x[0].huber_loss(&x[1], 0.7);
    nll_loss [real(&[6, 11]), ints(&[6], -1, 11)] |x| x[0].nll_loss(&x[1], -1);
    nll_loss_all_ignored [real(&[5, 4]), ints(&[5], -1, 0)] |x| x[0].nll_loss(&x[1], -1);
    kl_div [within(&[4, 6], -5.0, -0.1), within(&[4, 6], 0.01, 0.9)] |x| x[0].kl_div(&x[1]);
    kl_div_zero_target [within(&[4, 6], -5.0, -0.1), ties(&[4, 6], 2)] |x| x[0].kl_div(&x[1].detach());
    hinge_loss [real(&[7, 3]), within(&[7, 3], -1.0, 1.0)] |x| x[0].hinge_loss(&x[1]);
    multi_margin_loss [real(&[6, 5]), ints(&[6], 0, 5)] |x| x[0].multi_margin_loss(&x[1]);
    sigmoid_focal_loss [within(&[7, 2], -6.0, 6.0), within(&[7, 2], 0.0, 1.0)] |x| x[0].sigmoid_focal_loss(&x[1], 0.25, 2.0);
    sigmoid_focal_loss_gamma [within(&[7, 2], -6.0, 6.0), within(&[7, 2], 0.0, 1.0)] |x| x[0].sigmoid_focal_loss(&x[1], 0.6, 1.5);
    dice_loss [within(&[3, 2, 4, 5], 0.0, 1.0), within(&[3, 2, 4, 5], 0.0, 1.0)] |x| x[0].dice_loss(&x[1], 1.0);
    bce_loss [within(&[7, 2], 0.02, 0.98), within(&[7, 2], 0.0, 1.0)] |x| x[0].bce_loss(&x[1]);
    bce_with_logits_loss [within(&[7, 2], -20.0, 20.0), within(&[7, 2], 0.0, 1.0)] |x| x[0].bce_with_logits_loss(&x[1]);
    correct [real(&[40, 7]), ints(&[40], 0, 7)] no gradient |x| x[0].correct(&x[1]);
}
