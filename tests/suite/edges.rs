//! Tensors without elements: empty batches, channels, images and sums. And tensors of NaN and infinities.

use wgrad_device::Device;
use wgrad_doctor::{Arg, Case, Options, Target, examine, ints, real};
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Builder, Tensor};
use wgrad_session::Session;
use wgrad_tests::{cpu, gpu};
use wgrad_types::{HostTensor, Type};

fn holds(name: &'static str, args: &'static [Arg], build: fn(&[Tensor]) -> Tensor) {
    let case = Case { name, args, build, tolerance: 2e-5, gradient: false };
    let targets = [Target::own("cpu", cpu()), Target::own("gpu", gpu())];
    let report = examine("edges", &case, &targets, &Options::each());
    let why: Vec<_> = report.failures.iter().map(|f| &f.why).collect();
    assert!(report.is_sound(), "{name}: {why:?}");
}

const PADDED: ConvSpec = ConvSpec { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

#[test]
fn empty_batch_product() {
    holds("matmul", const { &[real(&[0, 4, 5]), real(&[0, 5, 6])] }, |x| x[0].matmul(&x[1]));
}

#[test]
fn empty_products_and_sums() {
    holds("no rows and a bias", const { &[real(&[0, 3]), real(&[3])] }, |x| &x[0] + &x[1]);
    holds("no rows", const { &[real(&[0, 3]), real(&[3, 2])] }, |x| x[0].matmul(&x[1]));
    holds("no depth", const { &[real(&[2, 0]), real(&[0, 3])] }, |x| x[0].matmul(&x[1]));
    holds("no rows, then a sum", const { &[real(&[0, 3]), real(&[3])] }, |x| (&x[0] + &x[1]).exp().sum(&[0]));
    holds("no pictures", const { &[real(&[0, 2, 4, 4])] }, |x| x[0].max_pool2d(Window::new(2, 2, 0)).relu());
    holds("no classes to gather", const { &[real(&[4, 3]), ints(&[0, 3], 0, 4)] }, |x| x[0].gather(0, &x[1]));
    holds("no columns", const { &[real(&[5, 0])] }, |x| x[0].softmax(0));
}

#[test]
fn empty_sum() {
    holds("sum", const { &[real(&[16, 0])] }, |x| x[0].sum(&[1]));
}

/// On the CPU one chain reads rows of two widths with equal row distances.
#[test]
fn narrow_part_of_wide_rows() {
    holds("sum of a part", const { &[real(&[64, 256]), real(&[64, 256])] }, |x| {
        let part = x[0].slice(&[(0, 64), (156, 100)]).sum(&[1]);
        (&x[1] - &part.reshape(&[64, 1]).broadcast_to(&[64, 256])).square().sum(&[1])
    });
}

#[test]
fn empty_convolutions() {
    // First an operation that fills its memory, then one that reuses it.
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

/// As in PyTorch: NaN and infinities stay visible, so that runs with such weights are noticed.
#[test]
fn nan_passes_relu_and_pool() {
    for device in [cpu(), gpu()] {
        no_number_passes_on(&device);
    }
}

fn no_number_passes_on(device: &Device) {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[1, 1, 2, 4]));
    b.output("relu", &x.relu());
    b.output("pool", &x.relu().max_pool2d(Window::new(2, 2, 0)));
    let (mut session, mut runner) = Session::new(device, &b.graph(), &Vec::new(), 0).expect("a plan");
    let values = HostTensor::f32(&[1, 1, 2, 4], &[f32::NAN, -1.0, 2.0, 3.0, 5.0, 6.0, -7.0, 8.0]);
    runner.step(&mut session, 0, &[("x", &values)], &[]).expect("a step");
    let found = runner.wait().expect("results").expect("a step is under way");
    let (relu, pool) = (found.get("relu").as_f32().to_vec(), found.get("pool").as_f32().to_vec());
    assert!(relu[0].is_nan() && relu[1..] == [0.0, 2.0, 3.0, 5.0, 6.0, 0.0, 8.0], "{relu:?}");
    assert!(pool[0].is_nan() && pool[1] == 8.0, "{pool:?}");
}

/// As in PyTorch.
#[test]
fn empty_mean_is_nan() {
    for device in [cpu(), gpu()] {
        let b = Builder::new();
        let x = b.input("x", Type::f32(&[0, 3]));
        b.output("all", &x.mean_all());
        b.output("columns", &x.mean(&[0]));
        b.output("sum", &x.sum(&[0]));
        let (mut session, mut runner) = Session::new(&device, &b.graph(), &Vec::new(), 0).expect("a plan");
        runner.step(&mut session, 0, &[("x", &HostTensor::f32(&[0, 3], &[]))], &[]).expect("a step");
        let found = runner.wait().expect("results").expect("a step is under way");
        assert!(found.scalar("all").is_nan(), "{}", found.scalar("all"));
        assert!(found.get("columns").as_f32().iter().all(|v| v.is_nan()));
        assert_eq!(found.get("sum").as_f32()[..], [0.0; 3]);
    }
}
