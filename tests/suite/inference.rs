//! Inference sessions: batch norm in the weights before it, constants computed once, weights kept packed; against the
//! graph as it was, in f64.

use wgrad_device::Device;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Env, Graph, Role, interpret};
use wgrad_models::ImageModel;
use wgrad_nn::{Mode, Net};
use wgrad_plan::{PlanOptions, SlotKind, plan, verify};
use wgrad_session::{NamedTensor, Runner, Session, Tensors};
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Array, Caps, HostTensor, Type};

const BATCH: usize = 2;
const SIDE: usize = 32;

/// A network in evaluation and its tensors: statistics are those of no layer in particular.
fn model(name: &str, width: f64) -> (Graph, Tensors) {
    let net = Net::new(Mode::Eval);
    let kind = name.parse().expect("a model");
    let model = ImageModel { kind, channels: 3, size: (SIDE, SIDE), classes: 7, width };
    let x = net.input("x", model.input(BATCH));
    net.builder().output("logits", &model.build(&net, &x).expect("a model"));
    let spread = |low: f32, high: f32, tensor: &mut HostTensor| {
        let n = tensor.words.len();
        for (i, word) in tensor.words.iter_mut().enumerate() {
            *word = (low + (high - low) * ((i * 31 + n) % 17) as f32 / 16.0).to_bits();
        }
    };
    let mut tensors = net.initial(5);
    for NamedTensor { name, value: tensor, .. } in &mut tensors {
        match name.rsplit('.').next() {
            Some("running_mean") => spread(-0.3, 0.4, tensor),
            Some("running_var") => spread(0.2, 1.9, tensor),
            Some("bias") => spread(-0.2, 0.3, tensor),
            Some("weight") if tensor.ty.shape.len() == 1 => spread(0.6, 1.4, tensor),
            _ => {}
        }
    }
    (net.builder().graph(), tensors)
}

fn image() -> HostTensor {
    let values: Vec<f32> = (0..BATCH * 3 * SIDE * SIDE).map(|i| (i * 37 % 101) as f32 / 50.5 - 1.0).collect();
    HostTensor::f32(&[BATCH, 3, SIDE, SIDE], &values)
}

/// The graph's result in f64.
fn exact(graph: &Graph, tensors: &Tensors) -> Array {
    let params = tensors.iter().map(|t| ((t.role, t.name.clone()), t.value.to_array())).collect();
    let env = Env { params, inputs: [("x".into(), image().to_array())].into(), ..Env::default() };
    interpret(graph, &env)[graph.outputs[0].1.index()].clone().expect("a result")
}

fn logits(session: &mut Session, runner: &mut Runner) -> Vec<f32> {
    runner.step(session, 0, &[("x", &image())], &[]).expect("a step");
    runner.wait().expect("results").expect("a step is under way").get("logits").as_f32().to_vec()
}

/// The largest difference as a share of the largest element.
fn distance(want: &Array, got: &[f32]) -> f64 {
    let most = want.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let off = want.data.iter().zip(got).map(|(w, g)| (w - f64::from(*g)).abs());
    off.fold(0.0, f64::max) / most
}

/// All batch norms directly after a convolution vanish: `left` kernels stay.
fn holds(name: &str, width: f64, norms: usize) {
    let (graph, tensors) = model(name, width);
    let want = exact(&graph, &tensors);
    let read = tensors.iter().filter(|t| t.name.ends_with("running_var")).count();
    assert_eq!(read, norms, "layers of batch norm in {name}");
    for device in [cpu(), gpu()] {
        let (mut session, mut runner) = Session::inference(&device, &graph, &tensors).expect("a session");
        let names = || session.params().iter().map(|p| p.name.as_str());
        assert!(!names().any(|n| n.contains("running_")), "{name} reads statistics");
        assert_eq!(
            names().filter(|n| n.starts_with("folded.")).count(),
            2 * norms,
            "weights and a bias each"
        );
        let first = logits(&mut session, &mut runner);
        let off = distance(&want, &first);
        assert!(off <= 1e-5, "{name} on {}: {off:e} from the graph in f64", device.name());
        // Weights packed in the first step serve the second.
        assert_eq!(logits(&mut session, &mut runner), first);
        let (_, plain) = Session::new(&device, &graph, &tensors, 0).expect("a session");
        assert!(runner.plan().dispatches() < plain.plan().dispatches());
    }
}

#[test]
fn resnet18_without_batch_norm() {
    holds("resnet18", 0.25, 20);
}

#[test]
fn mobilenet_without_batch_norm() {
    holds("mobilenet-v2", 0.25, 52);
}

/// If a session's tensors change, their packed copies do, too.
#[test]
fn packed_weight_is_repacked_after_change() {
    let net = Net::new(Mode::Eval);
    let x = net.input("x", Type::f32(&[BATCH, 3, SIDE, SIDE]));
    let y = net.conv2d("conv", &x, wgrad_nn::Conv::new(16, 3, 2, 1)).relu();
    let y = net.conv_transpose2d("up", &y, wgrad_nn::Conv::new(32, 2, 2, 0)).relu();
    let y = y.permute(&[0, 2, 3, 1]).reshape(&[BATCH * SIDE * SIDE, 32]);
    net.builder().output("logits", &net.linear("head", &y, 64));
    let (graph, mut tensors) = (net.builder().graph(), net.initial(3));
    let (mut session, mut runner) = Session::inference(&cpu(), &graph, &tensors).expect("a session");
    let kept = runner.plan().kernels.iter().filter(|s| s.packed.is_some()).count();
    assert_eq!(kept, 3, "both convolutions and the product");
    for round in 0..3 {
        let got = logits(&mut session, &mut runner);
        let off = distance(&exact(&graph, &tensors), &got);
        assert!(off <= 1e-5, "round {round}: {off:e}");
        for NamedTensor { name, value: tensor, .. } in &mut tensors {
            if name.ends_with("weight") {
                tensor.words.reverse();
            }
        }
        session.restore(&tensors).expect("tensors of the same shapes");
    }
}

/// Only tensors the plan never writes are kept packed, and only on request.
#[test]
fn packed_weights_of_plan() {
    let (graph, _) = model("resnet18", 0.1);
    let of = |caps: &Caps, packed| {
        let plan = plan(&graph, caps, &PlanOptions::default().packed(packed)).expect("a plan");
        verify(&plan).expect("a sound plan");
        plan.slots.iter().filter(|s| s.kind == SlotKind::Packed).count()
    };
    let convolutions = graph.nodes.iter().filter(|n| matches!(n.op, Op::Conv2d(_))).count();
    assert_eq!(of(&Caps::cpu(), true), convolutions, "the head's few rows are read in place");
    assert_eq!(of(&Caps::cpu(), false) + of(&Caps::webgpu_baseline(), true), 0);
    let mut moving = graph.clone();
    let is_weight =
        |op: &Op| matches!(op, Op::Leaf(Leaf::Param { role: Role::Weight, ty, .. }) if ty.shape.len() == 4);
    let weights: Vec<_> = (0..moving.nodes.len()).filter(|&i| is_weight(&moving.nodes[i].op)).collect();
    for (group, i) in weights.into_iter().enumerate() {
        let target = wgrad_graph::Value(i as u32);
        let double = wgrad_graph::ops::Binary(wgrad_graph::ops::BinaryKind::Add);
        let value = moving.try_push(double.into(), &[target, target]).expect("a sum");
        moving.updates.push(wgrad_graph::Update { target, value, group: group as u32 });
    }
    let options = PlanOptions::default().packed(true);
    let plan = plan(&moving, &Caps::cpu(), &options).expect("a plan");
    assert!(plan.kernels.iter().all(|s| s.packed.is_none()), "weights that change");
}

fn refused(device: &Device, graph: &Graph, tensors: &Tensors) -> String {
    Session::inference(device, graph, tensors).map(|_| ()).expect_err("another model's tensors").to_string()
}

#[test]
fn inference_tensors_of_another_model_are_refused() {
    let (graph, mut tensors) = model("lenet", 1.0);
    let name = tensors[0].name.clone();
    tensors[0].value = HostTensor::f32(&[1], &[0.0]);
    assert!(refused(&cpu(), &graph, &tensors).starts_with(&format!("{name}: the model has ")));
    tensors[0].name = "other".into();
    assert_eq!(refused(&cpu(), &graph, &tensors), "other: the model has no such tensor");
}
