//! Plans as data: fusion, merging, shared memory.

use expect_test::expect;
use wgrad_graph::{Builder, Graph};
use wgrad_models::{ImageModel, ModelKind};
use wgrad_nn::Optimizer;
use wgrad_plan::{Place, PlanOptions, SlotKind, Summary, dump, plan, verify};
use wgrad_train::{eval_graph, train_graph};
use wgrad_types::{AdapterClass, Caps, Limits, Type};

fn model(kind: ModelKind, side: usize) -> ImageModel {
    ImageModel { kind, channels: if side > 32 { 3 } else { 1 }, size: (side, side), classes: 10, width: 1.0 }
}

fn training(kind: ModelKind, side: usize, batch: usize) -> Graph {
    train_graph(&model(kind, side), batch, &Optimizer::adam(), 0.0, 0).expect("a graph").0
}

/// A GPU with a large binding limit.
fn roomy() -> Caps {
    Caps { limits: Limits { binding_bytes: 2 << 30, ..Limits::WEBGPU_BASELINE }, ..Caps::webgpu_baseline() }
}

#[test]
fn plan_softmax_is_one_row_chain() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[64, 100]));
    b.output("y", &x.softmax(1));
    for caps in [Caps::cpu(), roomy(), Caps::webgpu_baseline()] {
        let plan = plan(&b.graph(), &caps, &PlanOptions::default()).expect("a plan");
        let names: Vec<_> = plan.kernels.iter().map(|s| s.kernel.name()).collect();
        assert_eq!(names, ["row_chain"], "{caps:?}");
        // Values used only inside the chain need no memory.
        assert!(plan.slots.iter().all(|s| s.kind != SlotKind::Activation), "{}", dump(&plan));
    }
}

#[test]
fn plan_softmax_of_long_rows_on_adapters_is_reductions() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[2, 5000]));
    b.output("y", &x.softmax(1));
    let names = |caps: &Caps| -> Vec<&'static str> {
        let plan = plan(&b.graph(), caps, &PlanOptions::default()).expect("a plan");
        plan.kernels.iter().map(|s| s.kernel.name()).collect()
    };
    assert_eq!(names(&roomy()), ["amax", "map", "sum", "map"]);
}

#[test]
fn plan_lenet_on_adapters() {
    let graph = training(ModelKind::LeNet, 32, 4);
    let text = |caps: &Caps| {
        format!("kernels\n{}", dump(&plan(&graph, caps, &PlanOptions::default()).expect("a plan")))
    };
    expect![[r#"
        kernels
           0  conv2d.tile32x32x16_4x4 in conv1             [4, 6, 28, 28]     s3 s0 s0+768 -> s5  978432 flop
           1  max_pool2d.direct                            [4, 6, 14, 14]     s5 -> s6  18816 flop
           2  conv2d.tile32x32x16_4x4 in conv2             [4, 16, 10, 10]    s6 s0+1024 s0+10752 -> s7  1932800 flop
           3  max_pool2d.direct                            [4, 16, 5, 5]      s7 -> s8  6400 flop
           4  matmul.tile32x32x16_4x4.split3 in fc1        [4, 120]           s8 s0+11008 s0+203008 -> s9  384960 flop
           5  matmul.tile32x32x16_4x4 in fc2               [4, 84]            s9 s0+203520 s0+243968 -> s10  81312 flop
           6  matmul.tile32x32x16_4x4 in fc3               [4, 10]            s10 s0+244480 s0+248064 -> s11  6760 flop
           7  row_chain.tree4                              [4, 10]            s11 -> s12 s13 s14  204 flop
           8  gather.direct                                [4, 1]             s14 s4 -> s15  4 flop
           9  row_chain.tree4                              [4, 1]             s4 s15 -> s16 s17  42 flop
          10  argmax.direct                                [4, 1]             s11 -> s15  40 flop
          11  sum.column                                   [1]                s15 s4 -> s18  8 flop
          12  gather_grad.direct                           [4, 10]            s17 s4 -> s11  40 flop
          13  row_chain.tree4                              [4, 10]            s11 s13 s12 -> s14  204 flop
          14  matmul.tile32x32x16_4x4 in fc3               [10, 84]           s14 s10 -> s19+244480 s19+248064  6760 flop
          15  matmul.tile32x32x16_4x4 in fc3               [4, 84]            s14 s0+244480 s10 -> s20  7392 flop
          16  matmul.tile32x32x16_4x4 in fc2               [84, 120]          s20 s9 -> s19+203520 s19+243968  80976 flop
          17  matmul.tile32x32x16_4x4 in fc2               [4, 120]           s20 s0+203520 s9 -> s10  81600 flop
          18  matmul.tile32x32x16_4x4 in fc1               [4, 400]           s10 s0+11008 -> s9  384000 flop
          19  matmul.tile32x32x16_4x4 in fc1               [120, 400]         s10 s8 -> s19+11008 s19+203008  384480 flop
          20  max_pool2d_grad.direct                       [4, 16, 10, 10]    s7 s9 -> s8  19200 flop
          21  conv2d_input_grad.tile32x32x16_4x4.split2 in conv2 [4, 6, 14, 14]     s8 s0+1024 -> s7  1920000 flop
          22  conv2d_weight_grad.tile32x32x16_4x4.split3 in conv2 [16, 6, 5, 5]      s6 s8 -> s19+1024 s19+10752  1926400 flop
          23  max_pool2d_grad.direct                       [4, 6, 28, 28]     s5 s7 -> s21  56448 flop
          24  conv2d_weight_grad.tile32x32x16_4x4.split24 in conv1 [6, 1, 5, 5]       s3 s21 -> s19 s19+768  959616 flop
          25  amax.tree64                                  [1, 1, 1, 1]       s19 -> s22  300 flop
          26  map.scalar                                   [1]                s18 -> s23  0 flop
          27  map.vec4 in optimizer                        [62080]            s0 s1 s19 s2 -> s0 s1 s2  807040 flop
    "#]].assert_eq(&text(&Caps::webgpu_baseline()));
    let software = Caps { class: AdapterClass::Software, subgroup: Some(8), ..Caps::webgpu_baseline() };
    expect![[r#"
        kernels
           0  conv2d.subgroup6x32 in conv1                 [4, 6, 28, 28]     s3 s0 s0+768 -> s5  978432 flop
           1  max_pool2d.direct                            [4, 6, 14, 14]     s5 -> s6  18816 flop
           2  conv2d.subgroup16x32 in conv2                [4, 16, 10, 10]    s6 s0+1024 s0+10752 -> s7  1932800 flop
           3  max_pool2d.direct                            [4, 16, 5, 5]      s7 -> s8  6400 flop
           4  matmul.subgroup4x32.split3 in fc1            [4, 120]           s8 s0+11008 s0+203008 -> s9  384960 flop
           5  matmul.subgroup4x32 in fc2                   [4, 84]            s9 s0+203520 s0+243968 -> s10  81312 flop
           6  matmul.subgroup4x32 in fc3                   [4, 10]            s10 s0+244480 s0+248064 -> s11  6760 flop
           7  row_chain.rows                               [4, 10]            s11 -> s12 s13 s14  204 flop
           8  gather.direct                                [4, 1]             s14 s4 -> s15  4 flop
           9  row_chain.rows                               [4, 1]             s4 s15 -> s16 s17  42 flop
          10  argmax.direct                                [4, 1]             s11 -> s15  40 flop
          11  sum.column                                   [1]                s15 s4 -> s18  8 flop
          12  gather_grad.direct                           [4, 10]            s17 s4 -> s11  40 flop
          13  row_chain.rows                               [4, 10]            s11 s13 s12 -> s14  204 flop
          14  matmul.subgroup10x32 in fc3                  [10, 84]           s14 s10 -> s19+244480 s19+248064  6760 flop
          15  matmul.subgroup4x32 in fc3                   [4, 84]            s14 s0+244480 s10 -> s20  7392 flop
          16  matmul.subgroup16x32 in fc2                  [84, 120]          s20 s9 -> s19+203520 s19+243968  80976 flop
          17  matmul.subgroup4x32 in fc2                   [4, 120]           s20 s0+203520 s9 -> s10  81600 flop
          18  matmul.subgroup4x32 in fc1                   [4, 400]           s10 s0+11008 -> s9  384000 flop
          19  matmul.subgroupt16x32 in fc1                 [120, 400]         s10 s8 -> s19+11008 s19+203008  384480 flop
          20  max_pool2d_grad.direct                       [4, 16, 10, 10]    s7 s9 -> s8  19200 flop
          21  conv2d_input_grad.subgroup6x32 in conv2      [4, 6, 14, 14]     s8 s0+1024 -> s7  1920000 flop
          22  conv2d_weight_grad.subgroup16x32.split3 in conv2 [16, 6, 5, 5]      s6 s8 -> s19+1024 s19+10752  1926400 flop
          23  max_pool2d_grad.direct                       [4, 6, 28, 28]     s5 s7 -> s21  56448 flop
          24  conv2d_weight_grad.subgroup6x32.split16 in conv1 [6, 1, 5, 5]       s3 s21 -> s19 s19+768  959616 flop
          25  amax.subgroup8                               [1, 1, 1, 1]       s19 -> s22  300 flop
          26  map.scalar                                   [1]                s18 -> s23  0 flop
          27  map.vec4 in optimizer                        [62080]            s0 s1 s19 s2 -> s0 s1 s2  807040 flop
    "#]].assert_eq(&text(&software));
}

#[test]
fn plan_lenet_on_cpu() {
    let graph = training(ModelKind::LeNet, 32, 4);
    // The heading keeps the first column's blanks from being taken for indentation.
    let text =
        format!("kernels\n{}", dump(&plan(&graph, &Caps::cpu(), &PlanOptions::default()).expect("a plan")));
    expect![[r#"
        kernels
           0  conv2d in conv1                              [4, 6, 28, 28]     s3 s0 s0+768 -> s5  978432 flop
           1  max_pool2d                                   [4, 6, 14, 14]     s5 -> s7  18816 flop
           2  conv2d in conv2                              [4, 16, 10, 10]    s7 s0+1024 s0+10752 -> s8  1932800 flop
           3  max_pool2d                                   [4, 16, 5, 5]      s8 -> s9  6400 flop
           4  matmul in fc1                                [4, 120]           s9 s0+11008 s0+203008 -> s6  384960 flop
           5  matmul in fc2                                [4, 84]            s6 s0+203520 s0+243968 -> s10  81312 flop
           6  matmul in fc3                                [4, 10]            s10 s0+244480 s0+248064 -> s11  6760 flop
           7  amax                                         [4, 1]             s11 -> s12  40 flop
           8  map                                          [4, 10]            s11 s12 -> s14  40 flop
           9  sum                                          [4, 1]             s14 -> s12  80 flop
          10  map                                          [4, 1]             s12 -> s13  4 flop
          11  map                                          [4, 10]            s14 s13 -> s15  40 flop
          12  gather                                       [4, 1]             s15 s4 -> s13  4 flop
          13  sum                                          [1, 1]             s4 -> s16  9 flop
          14  sum                                          [1, 1]             s4 s13 s16 -> s18  17 flop
          15  argmax                                       [4, 1]             s11 -> s17  40 flop
          16  sum                                          [1]                s17 s4 -> s13  8 flop
          17  map                                          [4, 1]             s4 s16 -> s17  16 flop
          18  gather_grad                                  [4, 10]            s17 s4 -> s11  40 flop
          19  sum                                          [4, 1]             s11 s12 -> s16  84 flop
          20  map                                          [4, 10]            s11 s16 s14 -> s11  120 flop
          21  sum in fc3                                   [1, 10]            s11 -> s20+248064  40 flop
          22  matmul in fc3                                [10, 84]           s11 s10 -> s20+244480  6720 flop
          23  matmul in fc3                                [4, 84]            s11 s0+244480 s10 -> s21  7392 flop
          24  sum in fc2                                   [1, 84]            s21 -> s20+243968  336 flop
          25  matmul in fc2                                [84, 120]          s21 s6 -> s20+203520  80640 flop
          26  matmul in fc2                                [4, 120]           s21 s0+203520 s6 -> s10  81600 flop
          27  sum in fc1                                   [1, 120]           s10 -> s20+203008  480 flop
          28  matmul in fc1                                [4, 400]           s10 s0+11008 -> s6  384000 flop
          29  matmul in fc1                                [120, 400]         s10 s9 -> s20+11008  384000 flop
          30  max_pool2d_grad                              [4, 16, 10, 10]    s8 s6 -> s9  19200 flop
          31  sum in conv2                                 [1, 16, 1, 1]      s9 -> s20+10752  6400 flop
          32  conv2d_input_grad in conv2                   [4, 6, 14, 14]     s9 s0+1024 -> s8  1920000 flop
          33  conv2d_weight_grad in conv2                  [16, 6, 5, 5]      s7 s9 -> s20+1024  1920000 flop
          34  max_pool2d_grad                              [4, 6, 28, 28]     s5 s8 -> s6  56448 flop
          35  sum in conv1                                 [1, 6, 1, 1]       s6 -> s20+768  18816 flop
          36  conv2d_weight_grad in conv1                  [6, 1, 5, 5]       s3 s6 -> s20  940800 flop
          37  amax                                         [1, 1, 1, 1]       s20 -> s22  300 flop
          38  map                                          [1]                s13 -> s23  0 flop
          39  map in optimizer                             [62080]            s0 s1 s20 s2 -> s0 s1 s2  807040 flop
    "#]].assert_eq(&text);
}

#[test]
fn plan_fuses_bias_and_relu_into_convolutions() {
    let graph = eval_graph(&model(ModelKind::CifarCnn, 32), 8).expect("a graph");
    let plan = plan(&graph, &Caps::cpu(), &PlanOptions::default()).expect("a plan");
    let names: Vec<_> = plan.kernels.iter().map(|s| s.kernel.name()).collect();
    let heavy = ["conv2d", "max_pool2d", "conv2d", "max_pool2d", "conv2d", "matmul", "matmul"];
    assert_eq!(names[..7], heavy, "every bias and ReLU is an epilogue");
}

#[test]
fn plan_merges_adam_into_one_kernel() {
    let plan =
        plan(&training(ModelKind::CifarCnn, 32, 8), &Caps::cpu(), &PlanOptions::default()).expect("a plan");
    assert_eq!(plan.kernels.iter().filter(|s| s.scope == "optimizer").count(), 1);
    let weights: Vec<_> = plan.layout.params.iter().filter(|p| p.role == wgrad_graph::Role::Weight).collect();
    assert!(weights.iter().all(|p| p.place.slot == weights[0].place.slot), "all weights share a page");
}

#[test]
fn plan_memory_is_reused_and_sound() {
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
            let written = plan.kernels.iter().flat_map(|s| s.outputs.iter().chain(&s.scratch));
            let passing = written.filter(|p| plan.slots[p.slot].kind == SlotKind::Activation);
            let all: usize = passing.map(|p| p.bytes).sum();
            assert!(held < all, "{kind:?}: {held} bytes of slots for {all} bytes of values");
        }
    }
}

/// AlexNet's dense layers are updated as soon as their gradients are there and nobody reads their weights any more.
#[test]
fn plan_large_gradients_share_memory() {
    for caps in [Caps::cpu(), roomy()] {
        let graph = training(ModelKind::AlexNet, 224, 4);
        let plan = plan(&graph, &caps, &PlanOptions::default()).expect("a plan");
        let gradient = |slot: usize| plan.slots[slot].kind == SlotKind::Gradient;
        let held: usize = plan.slots.iter().filter(|s| s.kind == SlotKind::Gradient).map(|s| s.bytes).sum();
        let written = plan.kernels.iter().flat_map(|s| &s.outputs).filter(|p| gradient(p.slot));
        let all: usize = written.map(|p| p.bytes).sum();
        assert!(4 * held < 3 * all, "{held} bytes of slots for {all} bytes of gradients");
        let mut updates = 0;
        for (i, update) in plan.kernels.iter().enumerate().filter(|(_, s)| s.scope == "optimizer") {
            for written in &update.outputs {
                let meets = |p: &Place| {
                    p.slot == written.slot
                        && p.offset < written.offset + written.bytes
                        && written.offset < p.offset + p.bytes
                };
                let late = plan.kernels[i + 1..].iter().find(|s| s.operands.iter().any(meets));
                assert!(late.is_none(), "{} reads what is updated", late.expect("some").label());
            }
            updates += 1;
        }
        assert!(updates >= 3, "two alone and the rest: {updates}");
    }
}

#[test]
fn plan_tensor_beyond_limits_is_an_error() {
    let graph = training(ModelKind::AlexNet, 224, 2);
    let error =
        plan(&graph, &Caps::webgpu_baseline(), &PlanOptions::default()).expect_err("too large").to_string();
    assert!(error.contains("needs 150994944 bytes in one buffer, this adapter allows 134217728"), "{error}");
}

#[test]
fn plan_of_alexnet_is_fast() {
    let started = std::time::Instant::now();
    let plan =
        plan(&training(ModelKind::AlexNet, 224, 64), &roomy(), &PlanOptions::default()).expect("a plan");
    assert!(started.elapsed().as_secs_f64() < 10.0, "{:?} without optimisation", started.elapsed());
    let s = Summary::of(&plan);
    // 0.71 G multiply-adds per image forward, about three times as many with both gradients (the first layer
    // has one).
    let per_image = s.flops as f64 / 64.0 / 1e9;
    assert!((3.9..4.6).contains(&per_image), "{per_image} GFLOP an image");
}

#[test]
fn plan_is_deterministic() {
    let graph = training(ModelKind::CifarCnn, 32, 8);
    let once = plan(&graph, &roomy(), &PlanOptions::default()).expect("a plan");
    assert_eq!(once, plan(&graph, &roomy(), &PlanOptions::default()).expect("a plan"));
}
