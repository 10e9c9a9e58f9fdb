//! Tensors with nothing in them, on the CPU device: empty batches, channels, images and sums.

use wgrad_doctor::{Arg, Options, Row, Target, examine, real};
use wgrad_graph::Tensor;
use wgrad_graph::ops::ConvSpec;
use wgrad_tests::cpu;

fn holds(name: &'static str, args: &'static [Arg], build: fn(&[Tensor]) -> Tensor) {
    let row = Row { name, args, build, tolerance: 2e-5, gradient: false };
    let report = examine("edges", &row, &[Target::own("cpu", cpu())], &Options::each());
    let why: Vec<_> = report.failures.iter().map(|f| &f.why).collect();
    assert!(report.is_sound(), "{name}: {why:?}");
}

const PADDED: ConvSpec = ConvSpec { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

#[test]
fn a_product_without_a_batch() {
    holds("matmul", const { &[real(&[0, 4, 5]), real(&[0, 5, 6])] }, |x| x[0].matmul(&x[1]));
}

#[test]
fn a_sum_over_nothing() {
    holds("sum", const { &[real(&[16, 0])] }, |x| x[0].sum(&[1]));
}

#[test]
fn convolutions_without_channels_or_rows() {
    // First one that leaves its memory full, where the next finds it.
    holds("full", const { &[real(&[1, 2, 4, 4]), real(&[2, 2, 3, 3])] }, |x| {
        x[0].conv2d(&x[1], None, PADDED)
    });
    holds("no channels", const { &[real(&[1, 0, 4, 4]), real(&[2, 0, 3, 3])] }, |x| {
        x[0].conv2d(&x[1], None, PADDED)
    });
    holds("no rows", const { &[real(&[1, 1, 0, 4]), real(&[1, 1, 2, 1])] }, |x| {
        x[0].conv2d(&x[1], None, PADDED)
    });
    holds("no outputs", const { &[real(&[0, 3, 3, 3]), real(&[1, 0, 4, 4])] }, |x| {
        x[1].conv2d_input_grad(&x[0], PADDED, [4, 4])
    });
}
