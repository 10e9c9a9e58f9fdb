//! Reductions over rows, columns, mixtures, everything; short, long, with ties; softmax and its kin.

use super::cases;
use crate::{large, real, ties, within};

cases! {
    sum_rows [real(&[5, 37])] |x| x[0].sum(&[1]);
    sum_long_row [real(&[3, 5003])] |x| x[0].sum(&[1]);
    sum_columns [real(&[211, 13])] |x| x[0].sum(&[0]);
    sum_many_columns [real(&[9, 1031])] |x| x[0].sum(&[0]);
    sum_channels [real(&[4, 7, 9, 11])] |x| x[0].sum(&[0, 2, 3]);
    sum_middle [real(&[4, 33, 6])] |x| x[0].sum(&[1]);
    sum_outer_two [real(&[6, 4, 5, 3])] |x| x[0].sum(&[0, 2]);
    sum_everything [real(&[40, 501])] |x| x[0].sum_all();
    sum_large [large(&[7, 301])] |x| x[0].sum(&[1]);
    sum_of_one [real(&[5, 1])] |x| x[0].sum(&[1]);
    sum_fused [real(&[5, 37]), real(&[37])] |x| (&x[0] * &x[1]).exp().sum(&[1]);
    sum_permuted [real(&[5, 6, 7])] |x| x[0].permute(&[2, 0, 1]).sum(&[1]);
    mean [real(&[5, 37])] |x| x[0].mean(&[1]);
    mean_everything [real(&[3, 4, 5])] |x| x[0].mean_all();
    amax [real(&[5, 37])] |x| x[0].amax(&[1]);
    amax_negative [within(&[5, 37], -9.0, -3.0)] |x| x[0].amax(&[1]);
    amax_ties [ties(&[6, 17], 4)] |x| x[0].amax(&[1]);
    amax_columns [real(&[37, 5])] |x| x[0].amax(&[0]);
    amin [real(&[5, 37])] |x| x[0].amin(&[1]);
    argmax_last [real(&[9, 13])] no gradient |x| x[0].argmax(-1);
    argmax_first_axis [real(&[9, 13])] no gradient |x| x[0].argmax(0);
    argmax_long [real(&[2, 62_001])] no gradient |x| x[0].argmax(1);
    argmax_long_columns [ties(&[62_001, 2], 5)] no gradient |x| x[0].argmax(0);
    argmax_ties [ties(&[9, 13], 3)] no gradient |x| x[0].argmax(1);
    var [within(&[5, 33], 99.0, 103.0)] tolerance 2e-4 |x| x[0].var(&[1], 1);
    cumsum [real(&[3, 17])] |x| x[0].cumsum(1);
    cumsum_first_axis [real(&[9, 4, 2])] |x| x[0].cumsum(0);
    cumsum_of_one [real(&[4, 1])] |x| x[0].cumsum(-1) * 2.0;
    logsumexp [within(&[5, 33], -60.0, 60.0)] |x| x[0].logsumexp(-1);
    softmax_rows [within(&[37, 700], -8.0, 8.0)] |x| x[0].softmax(-1);
    softmax [within(&[5, 37], -8.0, 8.0)] |x| x[0].softmax(-1);
    softmax_first_axis [real(&[6, 5, 3])] |x| x[0].softmax(0);
    softmax_large [large(&[4, 19])] no gradient |x| x[0].softmax(-1);
    log_softmax [within(&[5, 37], -60.0, 60.0)] |x| x[0].log_softmax(-1);
}
