//! Models of the zoo, small: three training steps say the same on the CPU and on the GPU path.

use wgrad_device::Device;
use wgrad_graph::Tensor;
use wgrad_models::{Autoencoder, Bert, DcGan, GoogLeNet, ImageModel, TextKind, TextModel, UNet};
use wgrad_nn::{Loss, Mode, Net, Optimizer, OptimizerKind};
use wgrad_session::Session;
use wgrad_tests::{cpu, gpu};
use wgrad_types::{HostTensor, Type};

const BATCH: usize = 3;

/// A model's training step: its loss is an output, its updates are those of a rule.
fn minimised(net: &Net, loss: &Tensor, rule: &Optimizer) {
    net.builder().output("loss", loss);
    let weights: Vec<_> = net.named_weights();
    rule.minimise(loss, &weights).expect("gradients");
}

/// The rule of most of these tests, with its learning rate.
const RATE: f64 = 1e-3;

fn optimizer() -> Optimizer {
    Optimizer::new(OptimizerKind::named("adamw").expect("an optimizer"))
}

fn losses(
    device: &Device,
    net: &Net,
    (x, y): (&HostTensor, &HostTensor),
    rule: (&Optimizer, f64),
) -> Vec<f32> {
    let (mut session, mut runner) =
        Session::new(device, &net.builder().graph(), &net.initial(2), 2).expect("a session");
    let step = |t: u64| {
        let scalars = rule.0.scalars(t + 1, rule.1);
        // Models of pictures alone have no labels.
        let inputs = if y.words.is_empty() { &[("x", x)][..] } else { &[("x", x), ("y", y)] };
        runner.step(&mut session, t, inputs, &scalars).expect("a step");
        runner.wait().expect("results").expect("a step is under way").scalar("loss")
    };
    (0..3).map(step).collect()
}

fn agree(name: &str, net: &Net, x: &HostTensor, y: &HostTensor, rule: (&Optimizer, f64)) {
    let (native, shader) = (losses(&cpu(), net, (x, y), rule), losses(&gpu(), net, (x, y), rule));
    assert!(native[2] < native[0], "{name} does not learn: {native:?}");
    for (a, b) in native.iter().zip(&shader) {
        assert!((a - b).abs() <= 1e-4 * a.abs(), "{name}: {native:?} on the CPU, {shader:?} on the GPU path");
    }
}

fn image_model(name: &str, width: f64, side: usize) {
    let kind = name.parse().expect("a model");
    let model = ImageModel { kind, channels: 3, size: (side, side), classes: 5, width };
    classifier(name, side, (&optimizer(), RATE), |net, x| model.build(net, x).expect("a model"));
}

/// A classifier of five classes.
fn classifier(name: &str, side: usize, rule: (&Optimizer, f64), build: impl Fn(&Net, &Tensor) -> Tensor) {
    let net = Net::new(Mode::Train);
    let shape = [BATCH, 3, side, side];
    let (x, y) = (net.input("x", Type::f32(&shape)), net.input("y", Type::i32(&[BATCH])));
    minimised(&net, &Loss::CrossEntropy { label_smoothing: 0.1 }.of(&build(&net, &x), &y), rule.0);
    let images: Vec<f32> =
        (0..BATCH * 3 * side * side).map(|i| ((i * 37 % 101) as f32 / 50.5) - 1.0).collect();
    agree(name, &net, &HostTensor::f32(&shape, &images), &HostTensor::i32(&[BATCH], &[4, 0, 2]), rule);
}

fn text_model(name: &str) {
    let kind = TextKind::named(name).expect("a model");
    let model =
        TextModel { context: 12, layers: 2, hidden: 16, heads: 2, key_heads: 2, ..TextModel::new(kind, 11) };
    let net = Net::new(Mode::Train);
    let ty = Type::i32(&[BATCH, 12]);
    let (x, y) = (net.input("x", ty.clone()), net.input("y", ty));
    let logits = model.build(&net, &x).expect("a model");
    minimised(&net, &Loss::CrossEntropy { label_smoothing: 0.0 }.of(&logits, &y), &optimizer());
    let tokens: Vec<i32> = (0..=BATCH as i32 * 12).map(|i| i * i % 11).collect();
    let (now, next) = (&tokens[..BATCH * 12], &tokens[1..]);
    let shape = [BATCH, 12];
    agree(name, &net, &HostTensor::i32(&shape, now), &HostTensor::i32(&shape, next), (&optimizer(), RATE));
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
fn bert_agrees() {
    text_model("bert");
}

#[test]
fn inception_agrees() {
    // Without dropout: its draws would hide the progress of three steps.
    let model = GoogLeNet { classes: 5, width: 0.1, dropout: 0.0 };
    classifier("inception", 32, (&optimizer(), 1e-4), |net, x| model.build(net, x));
}

#[test]
fn unet_agrees() {
    let (net, side) = (Net::new(Mode::Train), 16);
    let (shape, pixels) = ([BATCH, 1, side, side], BATCH * side * side);
    let (x, y) = (net.input("x", Type::f32(&shape)), net.input("y", Type::i32(&[BATCH, side, side])));
    let logits = UNet { classes: 3, width: 0.05 }.build(&net, &x).expect("a model");
    let logits = logits.permute(&[0, 2, 3, 1]).reshape(&[pixels, 3]);
    minimised(
        &net,
        &Loss::CrossEntropy { label_smoothing: 0.0 }.of(&logits, &y.reshape(&[pixels])),
        &optimizer(),
    );
    let values: Vec<f32> = (0..pixels).map(|i| ((i * 37 % 101) as f32 / 50.5) - 1.0).collect();
    let classes: Vec<i32> = (0..pixels as i32).map(|i| i * i % 3).collect();
    let y = HostTensor::i32(&[BATCH, side, side], &classes);
    agree("unet", &net, &HostTensor::f32(&shape, &values), &y, (&optimizer(), RATE));
}

#[test]
fn dcgan_agrees() {
    let model = DcGan { noise: 6, channels: 2, side: 8, width: 4 };
    let (net, shape) = (Net::new(Mode::Train), [BATCH, 2, 8, 8]);
    let real = net.input("x", Type::f32(&shape));
    minimised(&net, &model.discriminator_loss(&net, &real).expect("a model"), &optimizer());
    let values: Vec<f32> = (0..BATCH * 128).map(|i| ((i * 37 % 101) as f32 / 50.5) - 1.0).collect();
    agree(
        "dcgan",
        &net,
        &HostTensor::f32(&shape, &values),
        &HostTensor::i32(&[0], &[]),
        (&optimizer(), RATE),
    );
}

#[test]
fn autoencoder_agrees() {
    let (net, shape) = (Net::new(Mode::Train), [BATCH, 1, 6, 6]);
    let x = net.input("x", Type::f32(&shape));
    let model = Autoencoder { code: 3, width: 0.05 };
    minimised(&net, &model.build(&net, &x).mse_loss(&x), &optimizer());
    let values: Vec<f32> = (0..BATCH * 36).map(|i| ((i * 37 % 101) as f32 / 50.5) - 1.0).collect();
    agree(
        "autoencoder",
        &net,
        &HostTensor::f32(&shape, &values),
        &HostTensor::i32(&[0], &[]),
        (&optimizer(), RATE),
    );
}

#[test]
fn bert_classifies_sequences() {
    // The more frequent of two tokens in a sequence: no single place tells it.
    let model = Bert { vocab: 4, context: 5, width: 16, layers: 2, heads: 2, dropout: 0.0 };
    let (net, rows) = (Net::new(Mode::Train), 32);
    let (x, y) = (net.input("x", Type::i32(&[rows, 5])), net.input("y", Type::i32(&[rows])));
    let logits = model.classify(&net, &x, 2);
    net.builder().output("right", &logits.correct(&y));
    minimised(&net, &Loss::CrossEntropy { label_smoothing: 0.0 }.of(&logits, &y), &optimizer());
    let tokens: Vec<i32> = (0..rows as i32).flat_map(|row| (0..5).map(move |i| row >> i & 1)).collect();
    let more: Vec<i32> = tokens.chunks(5).map(|row| i32::from(row.iter().sum::<i32>() > 2)).collect();
    let (x, y) = (HostTensor::i32(&[rows, 5], &tokens), HostTensor::i32(&[rows], &more));
    let (mut session, mut runner) =
        Session::new(&cpu(), &net.builder().graph(), &net.initial(1), 1).expect("a session");
    let mut right = 0.0;
    for t in 0..300 {
        let scalars = optimizer().scalars(t + 1, 3e-3);
        runner.step(&mut session, t, &[("x", &x), ("y", &y)], &scalars).expect("a step");
        right = runner.wait().expect("results").expect("a step is under way").scalar("right");
    }
    assert_eq!(right, rows as f32);
}

#[test]
fn char_lstm_agrees() {
    text_model("char-lstm");
}
