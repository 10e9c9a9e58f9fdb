//! Sessions on devices: one submission per step, no allocations when warm, memory as planned, repeatable
//! bits.

use wgrad_device::Device;
use wgrad_models::{ImageModel, ModelKind};
use wgrad_nn::Optimizer;
use wgrad_plan::Summary;
use wgrad_session::{Runner, Session, Tensors};
use wgrad_tests::{cpu, gpu, own_gpu};
use wgrad_train::train_graph;
use wgrad_types::HostTensor;

const BATCH: usize = 4;
const MODEL: ImageModel =
    ImageModel { kind: ModelKind::LeNet, channels: 1, size: (32, 32), classes: 10, width: 1.0 };

fn begin(device: &Device) -> (Session, Runner, Optimizer) {
    let adam = Optimizer::adam();
    let (graph, initial) = train_graph(&MODEL, BATCH, &adam, 0.0, 3).expect("a graph");
    let (session, runner) = Session::new(device, &graph, &initial, 3).expect("a session");
    (session, runner, adam)
}

fn images(step: u64) -> (HostTensor, HostTensor) {
    let x: Vec<f32> =
        (0..BATCH * 1024).map(|i| ((i as u64 * 37 + step * 101) % 97) as f32 / 48.5 - 1.0).collect();
    let y: Vec<i32> = (0..BATCH as i32).map(|i| (i * 3 + step as i32) % 10).collect();
    (HostTensor::f32(&[BATCH, 1, 32, 32], &x), HostTensor::i32(&[BATCH], &y))
}

fn step(session: &mut Session, runner: &mut Runner, adam: &Optimizer, t: u64) -> f32 {
    let (x, y) = images(t);
    runner.step(session, t, &[("x", &x), ("y", &y)], &adam.scalars(t + 1, 1e-3)).expect("a step");
    runner.wait().expect("results").expect("a step is under way").scalar("loss")
}

#[test]
fn warm_step_is_one_submission_without_allocation() {
    // A device of its own: counters count every buffer made on it.
    let (mut session, mut runner, adam) = begin(&own_gpu());
    (0..3).for_each(|t| {
        step(&mut session, &mut runner, &adam, t);
    });
    let before = runner.counters();
    (3..8).for_each(|t| {
        step(&mut session, &mut runner, &adam, t);
    });
    let after = runner.counters();
    assert_eq!(after.submissions - before.submissions, 5);
    assert_eq!(after.allocations, before.allocations);
}

fn holds_what_the_plan_says(session: &Session, runner: &Runner) {
    assert!(!session.params().is_empty());
    let planned = Summary::of(runner.plan()).peak_bytes as f64;
    let held = runner.counters().bytes as f64;
    assert!((held / planned - 1.0).abs() < 0.01, "planned {planned}, held {held}");
}

#[test]
fn session_plans_a_graph_once() {
    let (session, _, _) = begin(&cpu());
    let graph = wgrad_train::eval_graph(&MODEL, 4).expect("a graph");
    let (a, b) = (session.runner(&graph).expect("a plan"), session.runner(&graph).expect("a plan"));
    assert!(std::sync::Arc::ptr_eq(a.plan(), b.plan()));
    let other = session.runner(&wgrad_train::eval_graph(&MODEL, 5).expect("a graph")).expect("a plan");
    assert!(!std::sync::Arc::ptr_eq(a.plan(), other.plan()));
}

#[test]
fn device_memory_matches_plan() {
    let (session, runner, _) = begin(&own_gpu());
    holds_what_the_plan_says(&session, &runner);
}

#[test]
fn device_memory_matches_plan_of_alexnet() {
    // At full width the first dense layer has 151 MB, more than a software adapter binds.
    let model =
        ImageModel { kind: ModelKind::AlexNet, channels: 3, size: (224, 224), classes: 10, width: 0.5 };
    let (graph, initial) = train_graph(&model, 64, &Optimizer::adam(), 0.0, 0).expect("a graph");
    let (session, runner) = Session::new(&own_gpu(), &graph, &initial, 0).expect("a session");
    holds_what_the_plan_says(&session, &runner);
}

fn train(device: &Device, steps: std::ops::Range<u64>, from: Option<&Tensors>) -> (Vec<f32>, Tensors) {
    let (mut session, mut runner, adam) = begin(device);
    if let Some(tensors) = from {
        session.restore(tensors).expect("restored");
    }
    let losses = steps.map(|t| step(&mut session, &mut runner, &adam, t)).collect();
    (losses, session.snapshot().expect("a snapshot"))
}

#[test]
fn training_bits_repeat_and_survive_restart() {
    for device in [cpu(), gpu()] {
        let whole = train(&device, 0..6, None);
        assert_eq!(whole, train(&device, 0..6, None), "{}: two runs", device.name());
        let (_, half) = train(&device, 0..3, None);
        let (_, resumed) = train(&device, 3..6, Some(&half));
        assert_eq!(whole.1, resumed, "{}: resumed", device.name());
    }
}

#[test]
fn training_reduces_loss_on_every_device() {
    for device in [cpu(), gpu()] {
        let (mut session, mut runner, adam) = begin(&device);
        let (x, y) = images(0);
        let mut losses = Vec::new();
        for t in 0..80 {
            runner
                .step(&mut session, t, &[("x", &x), ("y", &y)], &adam.scalars(t + 1, 2e-3))
                .expect("a step");
        }
        while let Some(outputs) = runner.wait().expect("results") {
            losses.push(outputs.scalar("loss"));
        }
        assert_eq!(losses.len(), 80);
        assert!(losses[79] < 0.1 * losses[0], "{}: {} to {}", device.name(), losses[0], losses[79]);
    }
}

#[test]
fn step_with_wrong_inputs_names_them() {
    let (mut session, mut runner, adam) = begin(&cpu());
    let (x, y) = images(0);
    let scalars = adam.scalars(1, 1e-3);
    let missing = runner.step(&mut session, 0, &[("x", &x)], &scalars).expect_err("no labels");
    assert_eq!(missing.to_string(), "input y: missing");
    let swapped = runner.step(&mut session, 0, &[("x", &y), ("y", &x)], &scalars).expect_err("swapped");
    assert_eq!(swapped.to_string(), "input x: the graph takes f32[4, 1, 32, 32], got i32[4]");
    let none = runner.step(&mut session, 0, &[("x", &x), ("y", &y)], &[]).expect_err("no scalars");
    assert_eq!(none.to_string(), "input inv_sqrt_bias2: missing scalar");
}
