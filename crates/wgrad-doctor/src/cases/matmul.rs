//! Matrix products: ragged, tall, wide, deep, transposed both ways, batched, broadcast.

use super::cases;
use crate::{large, real};

cases! {
    matmul_small [real(&[5, 7]), real(&[7, 3])] |x| x[0].matmul(&x[1]);
    matmul_ragged [real(&[33, 17]), real(&[17, 41])] |x| x[0].matmul(&x[1]);
    matmul_tiles [real(&[64, 32]), real(&[32, 64])] |x| x[0].matmul(&x[1]);
    matmul_large [real(&[131, 67]), real(&[67, 150])] |x| x[0].matmul(&x[1]);
    matmul_panels [real(&[53, 201]), real(&[201, 101])] |x| x[0].matmul(&x[1]);
    matmul_panels_nt [real(&[53, 201]), real(&[101, 201])] |x| x[0].matmul(&x[1].t());
    matmul_panels_tn [real(&[201, 53]), real(&[201, 101])] |x| x[0].t().matmul(&x[1]);
    matmul_magnitudes [large(&[21, 50]), large(&[50, 18])] no gradient |x| x[0].matmul(&x[1]);
    matmul_nt [real(&[20, 36]), real(&[28, 36])] |x| x[0].matmul(&x[1].t());
    matmul_tn [real(&[36, 20]), real(&[36, 28])] |x| x[0].t().matmul(&x[1]);
    matmul_tt [real(&[36, 20]), real(&[28, 36])] |x| x[0].t().matmul(&x[1].t());
    matmul_deep [real(&[6, 3001]), real(&[3001, 5])] |x| x[0].matmul(&x[1]);
    matmul_one_row [real(&[1, 130]), real(&[130, 70])] |x| x[0].matmul(&x[1]);
    matmul_one_column [real(&[70, 130]), real(&[130, 1])] |x| x[0].matmul(&x[1]);
    matmul_outer [real(&[19, 1]), real(&[1, 23])] |x| x[0].matmul(&x[1]);
    matmul_wide [real(&[4, 40]), real(&[40, 530])] |x| x[0].matmul(&x[1]);
    matmul_batched [real(&[3, 9, 5]), real(&[3, 5, 11])] |x| x[0].matmul(&x[1]);
    matmul_broadcast [real(&[3, 1, 5, 7]), real(&[2, 7, 4])] |x| x[0].matmul(&x[1]);
    matmul_one_matrix [real(&[3, 4, 5]), real(&[5, 6])] |x| x[0].matmul(&x[1]);
    matmul_of_computed [real(&[9, 5]), real(&[5, 8])] |x| x[0].exp().matmul(&x[1].pad(&[(0, 0), (1, 2)]));
    linear [real(&[3, 5, 12]), real(&[7, 12]), real(&[7])] |x| x[0].linear(&x[1], Some(&x[2]));
    linear_relu [real(&[32, 60]), real(&[44, 60]), real(&[44])] |x| x[0].linear(&x[1], Some(&x[2])).relu();
    linear_long [real(&[700, 12]), real(&[20, 12]), real(&[20])] |x| x[0].linear(&x[1], Some(&x[2]));
    linear_ragged [real(&[67, 45]), real(&[39, 45]), real(&[39])] |x| x[0].linear(&x[1], Some(&x[2]));
    // The bias along rows of a product, and beside a weight that is not transposed.
    matmul_bias [real(&[150, 33]), real(&[33, 70]), real(&[70])] |x| x[0].matmul(&x[1]) + &x[2];
    matmul_bias_down [real(&[18, 33]), real(&[33, 130]), real(&[18, 1])] |x| x[0].matmul(&x[1]) + &x[2];
    matmul_residual [real(&[33, 20]), real(&[20, 24]), real(&[33, 24])] |x| x[0].matmul(&x[1]) * 0.5 + &x[2];
    matmul_gelu [real(&[16, 20]), real(&[20, 24])] |x| x[0].matmul(&x[1]).gelu();
    matmul_square_of [real(&[16, 20])] |x| x[0].matmul(&x[0].t());
}
