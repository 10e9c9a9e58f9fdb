//! Plans as data: what fuses, what merges, what shares memory; the verifier itself.

use expect_test::expect;
use wgrad_graph::Graph;
use wgrad_models::{ImageModel, ModelKind};
use wgrad_nn::Optimizer;
use wgrad_plan::{PlanOptions, SlotKind, Summary, dump, plan, verify};
use wgrad_train::{eval_graph, train_graph};
use wgrad_types::{Caps, Limits};

fn model(kind: ModelKind, side: usize) -> ImageModel {
    ImageModel { kind, channels: if side > 32 { 3 } else { 1 }, size: (side, side), classes: 10, width: 1.0 }
}

fn training(kind: ModelKind, side: usize, batch: usize) -> Graph {
    train_graph(&model(kind, side), batch, &Optimizer::adam(), 0.0, 0).expect("a graph").0
}

/// A GPU that binds large buffers.
fn roomy() -> Caps {
    Caps { limits: Limits { binding_bytes: 2 << 30, ..Limits::WEBGPU_BASELINE }, ..Caps::webgpu_baseline() }
}

#[test]
fn a_lenet_step_on_the_cpu() {
    let graph = training(ModelKind::LeNet, 32, 4);
    let text = dump(&plan(&graph, &Caps::cpu(), &PlanOptions::default()).expect("a plan"));
    expect![[r#""#]].assert_eq(&text);
}

#[test]
fn convolutions_take_bias_and_relu() {
    let graph = eval_graph(&model(ModelKind::CifarCnn, 32), 8).expect("a graph");
    let plan = plan(&graph, &Caps::cpu(), &PlanOptions::default()).expect("a plan");
    let names: Vec<_> = plan.steps.iter().map(|s| s.step.name()).collect();
    let heavy = ["conv2d", "max_pool2d", "conv2d", "max_pool2d", "conv2d", "matmul", "matmul"];
    assert_eq!(names[..7], heavy, "every bias and ReLU is an epilogue");
}

#[test]
fn all_of_adam_is_one_kernel() {
    let plan =
        plan(&training(ModelKind::CifarCnn, 32, 8), &Caps::cpu(), &PlanOptions::default()).expect("a plan");
    assert_eq!(plan.steps.iter().filter(|s| s.scope == "optimizer").count(), 1);
    let weights: Vec<_> = plan.layout.params.iter().filter(|p| p.role == wgrad_graph::Role::Weight).collect();
    assert!(weights.iter().all(|p| p.place.slot == weights[0].place.slot), "all weights share a page");
}

#[test]
fn memory_is_reused_and_sound() {
    for (kind, side, batch) in [
        (ModelKind::Mlp, 28, 8),
        (ModelKind::LeNet, 32, 8),
        (ModelKind::CifarCnn, 32, 8),
        (ModelKind::AlexNet, 224, 4),
    ] {
        for caps in [Caps::cpu(), roomy()] {
            let plan = plan(&training(kind, side, batch), &caps, &PlanOptions::default()).expect("a plan");
            verify(&plan).expect("sound memory");
            let held: usize =
                plan.slots.iter().filter(|s| s.kind == SlotKind::Activation).map(|s| s.bytes).sum();
            let all: usize = plan
                .values
                .iter()
                .filter(|v| plan.slots[v.place.slot].kind == SlotKind::Activation)
                .map(|v| v.place.bytes)
                .sum();
            assert!(held < all, "{kind:?}: {held} bytes of slots for {all} bytes of values");
        }
    }
}

#[test]
fn the_verifier_finds_what_is_wrong() {
    let good =
        plan(&training(ModelKind::LeNet, 32, 4), &Caps::cpu(), &PlanOptions::default()).expect("a plan");
    verify(&good).expect("sound memory");
    // Two values that live at once, put in one place.
    let mut bad = good.clone();
    let live = |i: usize, j: usize| {
        let (a, b) = (&good.values[i], &good.values[j]);
        i != j && a.first <= b.last && b.first <= a.last && b.takes_over != Some(i) && a.takes_over != Some(j)
    };
    let n = good.values.len();
    let (i, j) = (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).find(|&(i, j)| live(i, j)).expect("a pair");
    bad.values[j].place = bad.values[i].place;
    assert!(verify(&bad).is_err());
    // A range beyond its slot.
    let mut bad = good.clone();
    bad.values[0].place.bytes = usize::MAX / 2;
    assert!(verify(&bad).is_err());
}

#[test]
fn a_tensor_beyond_the_limits_is_an_error_with_its_size() {
    let graph = training(ModelKind::AlexNet, 224, 2);
    let error =
        plan(&graph, &Caps::webgpu_baseline(), &PlanOptions::default()).expect_err("too large").to_string();
    assert!(error.contains("takes 150994944 bytes, this adapter binds at most 134217728"), "{error}");
}

#[test]
fn alexnet_is_planned_in_a_moment() {
    let started = std::time::Instant::now();
    let plan =
        plan(&training(ModelKind::AlexNet, 224, 64), &roomy(), &PlanOptions::default()).expect("a plan");
    assert!(started.elapsed().as_secs_f64() < 10.0, "{:?} without optimisation", started.elapsed());
    let s = Summary::of(&plan);
    // 0.71 G multiply-adds an image forward, about three times that with both gradients (the first layer has one).
    let per_image = s.flops as f64 / 64.0 / 1e9;
    assert!((3.9..4.6).contains(&per_image), "{per_image} GFLOP an image");
}

#[test]
fn plans_are_the_same_every_time() {
    let graph = training(ModelKind::CifarCnn, 32, 8);
    let once = plan(&graph, &roomy(), &PlanOptions::default()).expect("a plan");
    assert_eq!(once, plan(&graph, &roomy(), &PlanOptions::default()).expect("a plan"));
}
