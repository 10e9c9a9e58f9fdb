//! Models of the zoo, small: three training steps say the same on the CPU and on the GPU path.

use wgrad_device::Device;
use wgrad_models::{ImageModel, TextKind, TextModel};
use wgrad_nn::{Loss, Mode, Net, Optimizer, OptimizerKind};
use wgrad_session::Session;
use wgrad_tests::{cpu, gpu};
use wgrad_types::{HostTensor, Type};

const BATCH: usize = 3;

/// A model's training step: its loss is an output, its updates are Adam's.
fn minimised(net: &Net, loss: &wgrad_graph::Tensor) {
    net.builder().output("loss", loss);
    let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
    optimizer().minimise(loss, &weights).expect("gradients");
}

fn optimizer() -> Optimizer {
    Optimizer::new(OptimizerKind::named("adamw").expect("an optimizer"))
}

fn losses(device: &Device, net: &Net, x: &HostTensor, y: &HostTensor) -> Vec<f32> {
    let (mut session, mut runner) =
        Session::new(device, &net.builder().graph(), &net.initial(2), 2).expect("a session");
    let step = |t: u64| {
        let scalars = optimizer().scalars(t + 1, 1e-3);
        runner.step(&mut session, t, &[("x", x), ("y", y)], &scalars).expect("a step");
        runner.wait().expect("results").expect("a step is under way").scalar("loss")
    };
    (0..3).map(step).collect()
}

fn agree(name: &str, net: &Net, x: &HostTensor, y: &HostTensor) {
    let (native, shader) = (losses(&cpu(), net, x, y), losses(&gpu(), net, x, y));
    assert!(native[2] < native[0], "{name} does not learn: {native:?}");
    for (a, b) in native.iter().zip(&shader) {
        assert!((a - b).abs() <= 1e-4 * a.abs(), "{name}: {native:?} on the CPU, {shader:?} on the GPU path");
    }
}

fn image_model(name: &str, width: f64, side: usize) {
    let kind = name.parse().expect("a model");
    let model = ImageModel { kind, channels: 3, size: (side, side), classes: 5, width };
    let net = Net::new(Mode::Train);
    let (x, y) = (net.input("x", model.input(BATCH)), net.input("y", Type::i32(&[BATCH])));
    let logits = model.build(&net, &x).expect("a model");
    minimised(&net, &Loss::CrossEntropy { label_smoothing: 0.1 }.of(&logits, &y));
    let images: Vec<f32> =
        (0..model.input(BATCH).numel()).map(|i| ((i * 37 % 101) as f32 / 50.5) - 1.0).collect();
    let x = HostTensor::f32(&model.input(BATCH).shape, &images);
    agree(name, &net, &x, &HostTensor::i32(&[BATCH], &[4, 0, 2]));
}

fn text_model(name: &str) {
    let kind = TextKind::named(name).expect("a model");
    let model =
        TextModel { context: 12, layers: 2, hidden: 16, heads: 2, key_heads: 2, ..TextModel::new(kind, 11) };
    let net = Net::new(Mode::Train);
    let ty = Type::i32(&[BATCH, 12]);
    let (x, y) = (net.input("x", ty.clone()), net.input("y", ty));
    let logits = model.build(&net, &x).expect("a model");
    minimised(&net, &Loss::CrossEntropy { label_smoothing: 0.0 }.of(&logits, &y));
    let tokens: Vec<i32> = (0..=BATCH as i32 * 12).map(|i| i * i % 11).collect();
    let (now, next) = (&tokens[..BATCH * 12], &tokens[1..]);
    let shape = [BATCH, 12];
    agree(name, &net, &HostTensor::i32(&shape, now), &HostTensor::i32(&shape, next));
}

#[test]
fn lenet_agrees() {
    image_model("lenet", 1.0, 32);
}

#[test]
fn resnet18_agrees() {
    image_model("resnet18", 0.1, 16);
}

#[test]
fn vit_agrees() {
    image_model("vit", 0.3, 12);
}

#[test]
fn gpt_agrees() {
    text_model("gpt");
}

#[test]
fn char_lstm_agrees() {
    text_model("char-lstm");
}
