//! Shapes of fusion: values with several readers, epilogues with many operands, chains through broadcasts.

use super::cases;
use crate::{ints, real};
use wgrad_graph::ops::{ConvSpec, Window};

cases! {
    shared_cheap [real(&[6, 7]), real(&[6, 7])] |x| {
        let s = &x[0] + &x[1];
        s.sum_keep(&[1]) * s.sum_keep(&[0]) + s
    };
    shared_dear [real(&[6, 7]), real(&[7, 6])] |x| {
        let e = (&x[0].exp() * 0.1).tanh().square().exp();
        e.matmul(&x[1]).sum(&[1]).reshape(&[6, 1]) + e
    };
    broadcast_of_computed [real(&[5, 1]), real(&[5, 40])] |x| x[0].exp().broadcast_to(&[5, 40]) * &x[1];
    many_operands [real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4])] |x| {
        x[1..].iter().fold(x[0].clone(), |s, t| s * 0.9 + t)
    };
    epilogue_many_operands [real(&[9, 5]), real(&[5, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[4]), real(&[9, 1])] |x| {
        x[2..].iter().fold(x[0].matmul(&x[1]), |s, t| s * 0.9 + t)
    };
    select_of_many [real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4])] |x| {
        let sum = |i: usize| &x[i] * 0.3 + &x[i + 1] * &x[i + 2];
        sum(0).detach().gt(&sum(3).detach()).select(&sum(3), &sum(6))
    };
    sum_of_many [real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4]), real(&[9, 4])] |x| {
        let four = |i: usize| &x[i] * &x[i + 1] + &x[i + 2] * &x[i + 3];
        (four(0) * four(4)).sum(&[1])
    };
    two_products [real(&[9, 5]), real(&[5, 4]), real(&[9, 3]), real(&[3, 4])] |x| (x[0].matmul(&x[1]) + x[2].matmul(&x[3])).tanh();
    conv_chain [real(&[2, 2, 10, 10]), real(&[4, 2, 3, 3]), real(&[4]), real(&[6, 36])] |x| {
        let y = x[0].conv2d(&x[1], Some(&x[2]), ConvSpec::default()).relu().max_pool2d(Window::new(3, 2, 0));
        y.flatten(1).linear(&x[3], None).log_softmax(1)
    };
    pool_epilogue [real(&[2, 3, 8, 8]), real(&[3])] |x| x[0].avg_pool2d(Window::new(2, 2, 0)).relu() * x[1].reshape(&[3, 1, 1]);
    reduce_epilogue [real(&[6, 9]), real(&[6])] |x| (x[0].exp().sum(&[1]) * 0.5 + &x[1]).log();
    gather_epilogue [real(&[6, 9]), ints(&[6, 2], 0, 9)] |x| x[0].gather(1, &x[1]).exp() * 2.0;
    // Rows sharing a row of vectors, more of them than fit a workgroup.
    map_over_rows [real(&[37, 64]), real(&[64]), real(&[37, 1])] |x| (&x[0] - &x[2]).tanh() * &x[1] + &x[0];
    chain_of_views [real(&[4, 3, 2])] |x| (x[0].permute(&[1, 0, 2]).reshape(&[3, 8]) * 2.0).t().reshape(&[4, 6]).narrow(1, 1, 4).exp();
    in_place_chain [real(&[64, 33])] |x| {
        let a = x[0].matmul(&x[0].t());
        let b = (a.exp() * 1e-3).tanh();
        b.matmul(&b).sigmoid()
    };
}
