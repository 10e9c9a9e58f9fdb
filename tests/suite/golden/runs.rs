//! Training runs: our f64 run compared with PyTorch's, then devices with ours, by the loss of every step, the
//! first step's gradients, and the parameters at the end. The bound is the distance between f64 runs with
//! results perturbed like f32.

use super::exact::{self, Whole};
use super::noise::{ROUNDING, ROUNDINGS};
use super::{Reference, read};
use std::ops::Range;
use wgrad_device::Device;
use wgrad_graph::{Role, Tensor, autocast};
use wgrad_models::{AlexNet, CifarCnn, LeNet};
use wgrad_nn::{Conv, Loss, Mode, Net, Norm, Optimizer, OptimizerKind};
use wgrad_session::{NamedTensor, Session, Tensors};
use wgrad_tests::devices;
use wgrad_types::{Array, DType, HostTensor};

/// Perturbed f64 runs, to measure the effect of rounding on a device.
const DRAWS: u32 = 2;

/// A run's model, loss and optimizer.
pub(super) struct Run {
    pub file: &'static str,
    pub model: fn(&Net, &Tensor) -> Tensor,
    pub loss: Loss,
    pub optimizer: Optimizer,
    pub lr: f64,
    /// Our parameter names for PyTorch's.
    pub rename: fn(&str) -> String,
    /// Elements (a name's end, a range) with a gradient of 0 but for rounding, scaled up to whole steps by
    /// Adam: both sides walk at random there, by at most one step each time.
    pub free: Option<(&'static str, Range<usize>)>,
}

pub(super) fn sgd(momentum: f64, nesterov: bool) -> Optimizer {
    Optimizer::new(OptimizerKind::Sgd { momentum, nesterov })
}

pub(super) fn same(name: &str) -> String {
    name.into()
}

pub(super) const CLASSES: Loss = Loss::CrossEntropy { label_smoothing: 0.0 };

/// The graph of a run's step, with or without gradients as outputs.
pub(super) fn graph(run: &Run, reference: &Reference, gradients: bool) -> (wgrad_graph::Graph, Vec<String>) {
    let net = Net::new(Mode::Train);
    let input = |name: &str| net.input(name, host(reference, &format!("{name}/0")).ty);
    let (x, y) = (input("x"), input("y"));
    let loss = run.loss.of(&(run.model)(&net, &x), &y);
    net.builder().output("loss", &loss);
    let weights: Vec<(String, Tensor)> = net.named_weights();
    let found = run.optimizer.minimise(&loss, &weights).expect("a gradient");
    if gradients {
        for ((name, _), g) in weights.iter().zip(&found) {
            net.builder().output(&format!("grad {name}"), g);
        }
    }
    let graph = net.builder().graph();
    let graph = if run.optimizer.loss_scaling { autocast(&graph) } else { graph };
    (graph, weights.into_iter().map(|w| w.0).collect())
}

pub(super) fn initial(run: &Run, reference: &Reference, session_names: &[(Role, String)]) -> Tensors {
    let mut tensors = Tensors::new();
    for name in reference.under("init/") {
        let ours = (run.rename)(&name);
        if let Some((role, _)) = session_names.iter().find(|(role, n)| *n == ours && *role != Role::State) {
            let value = reference.get(&format!("init/{name}")).to_host(DType::F32);
            tensors.push(NamedTensor::new(*role, ours, value));
        } else {
            assert!(name.ends_with("num_batches_tracked"), "{}: our model has no {ours}", run.file);
        }
    }
    tensors
}

pub(super) fn host(reference: &Reference, name: &str) -> HostTensor {
    reference.get(name).to_host(if reference.whole(name) { DType::I32 } else { DType::F32 })
}

pub(super) fn largest(a: &Array) -> f64 {
    a.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()))
}

pub(super) fn check(run: &Run) {
    let reference = read(&format!("runs/{}.safetensors", run.file));
    let truth = exact::whole(run, &reference);
    exact::check(run, &reference, &truth);
    let shaken: Vec<Whole> = (0..DRAWS).map(|draw| exact::shaken_whole(run, &reference, draw)).collect();
    for (label, device) in devices() {
        first_gradients(run, &reference, label, &device, &truth, &shaken);
        whole_run(run, &reference, label, &device, &truth, &shaken);
    }
}

/// Like [`check`], and in f16. Not for the optimizers' regressions: their first gradients overflow at the
/// first scale, and the skipped steps are missing from then on.
pub(super) fn check_both(run: &Run) {
    check(run);
    let reference = read(&format!("runs/{}.safetensors", run.file));
    for (label, device) in devices() {
        half_run(run, &reference, label, &device);
    }
}

/// With f16 around the products every loss stays within a hundredth of f32's.
fn half_run(run: &Run, reference: &Reference, label: &str, device: &Device) {
    // WebGPU's baseline has none by definition; every other adapter of these tests has.
    let none = label != "cpu" && std::env::var_os("WGRAD_LIMITS").is_some();
    assert_eq!(device.caps().f16, label != "cpu" && !none, "{label} has f16 in its shaders");
    if none {
        return;
    }
    let optimizer = run.optimizer.loss_scaling(true);
    let half = Run { optimizer, free: run.free.clone(), ..*run };
    let (mut session, mut runner, _) = begin(&half, reference, device, false);
    for (i, want) in reference.get("loss").data.iter().enumerate() {
        let got = f64::from(step(&half, reference, &mut session, &mut runner, i as u64).scalar("loss"));
        let off = (got - want).abs() / want.abs();
        assert!(off <= 0.01, "{} in f16 on {label}: loss of step {i} is {got}, in f32 {want}", run.file);
    }
}

fn begin(
    run: &Run,
    reference: &Reference,
    device: &Device,
    gradients: bool,
) -> (Session, wgrad_session::Runner, Vec<String>) {
    let (graph, weights) = graph(run, reference, gradients);
    let (mut session, runner) = Session::new(device, &graph, &Vec::new(), 0).expect("a session");
    let names: Vec<(Role, String)> = session.params().iter().map(|p| (p.role, p.name.clone())).collect();
    session.restore(&initial(run, reference, &names)).expect("initial values");
    (session, runner, weights)
}

pub(super) fn step(
    run: &Run,
    reference: &Reference,
    session: &mut Session,
    runner: &mut wgrad_session::Runner,
    i: u64,
) -> wgrad_session::Outputs {
    let (x, y) = (host(reference, &format!("x/{i}")), host(reference, &format!("y/{i}")));
    let scalars = run.optimizer.scalars(i + 1, run.lr);
    runner.step(session, i, &[("x", &x), ("y", &y)], &scalars).expect("a step");
    runner.wait().expect("results").expect("a step is under way")
}

/// Elements' distances from the truth: their root mean square and the largest.
pub(super) fn distances(truth: &Array, of: &Array, leave: &Range<usize>) -> (f64, f64) {
    let held = truth.data.iter().zip(&of.data).enumerate().filter(|(i, _)| !leave.contains(i));
    let strays: Vec<f64> = held.map(|(_, (w, g))| (w - g).abs()).collect();
    let squares: f64 = strays.iter().map(|e| e * e).sum();
    ((squares / strays.len().max(1) as f64).sqrt(), strays.iter().fold(0.0, |m, e| m.max(*e)))
}

fn first_gradients(
    run: &Run,
    reference: &Reference,
    label: &str,
    device: &Device,
    truth: &Whole,
    shaken: &[Whole],
) {
    let (mut session, mut runner, weights) = begin(run, reference, device, true);
    let outputs = step(run, reference, &mut session, &mut runner, 0);
    for name in weights.iter().map(|w| format!("grad {w}")) {
        let want = &truth.gradients[&name];
        let off = distances(want, &outputs.get(&name).to_array(), &(0..0)).1;
        let moved = shaken.iter().map(|s| distances(want, &s.gradients[&name], &(0..0)).1);
        let bound = moved.fold(ROUNDINGS * ROUNDING * largest(want), f64::max);
        assert!(
            off <= bound,
            "{} on {label}: first {name} is {off:e} from f64, rounding explains {bound:e}",
            run.file
        );
    }
}

fn whole_run(
    run: &Run,
    reference: &Reference,
    label: &str,
    device: &Device,
    truth: &Whole,
    shaken: &[Whole],
) {
    let (mut session, mut runner, _) = begin(run, reference, device, false);
    let mut moved = 0.0f64;
    for (i, want) in truth.losses.iter().enumerate() {
        let got = f64::from(step(run, reference, &mut session, &mut runner, i as u64).scalar("loss"));
        moved = shaken.iter().fold(moved, |m, s| m.max((s.losses[i] - want).abs()));
        let bound = moved + ROUNDINGS * ROUNDING * want.abs();
        assert!(
            (got - want).abs() <= bound,
            "{} on {label}: loss of step {i} is {got}, in f64 {want}; rounding explains {bound:e}",
            run.file
        );
    }
    let last = session.snapshot().expect("a snapshot");
    for NamedTensor { role, name, value: got } in last.iter().filter(|t| t.role != Role::State) {
        let (key, got) = ((*role, name.clone()), got.to_array());
        let want = &truth.last[&key];
        let free = run.free.as_ref().filter(|f| name.ends_with(f.0)).map_or(0..0, |f| f.1.clone());
        let strays = free.clone().map(|i| (want.data[i] - got.data[i]).abs());
        let most = 2.0 * run.lr * truth.losses.len() as f64;
        assert!(strays.into_iter().all(|e| e <= most), "{label}: {name} runs away");
        let (rms, worst) = distances(want, &got, &free);
        let scale = ROUNDINGS * ROUNDING * largest(want);
        let (rms_bound, worst_bound) = shaken.iter().fold((scale, scale), |(r, w), s| {
            let (rms, worst) = distances(want, &s.last[&key], &free);
            (r.max(rms), w.max(worst))
        });
        assert!(
            rms <= rms_bound && worst <= 2.0 * worst_bound,
            "{} on {label}: final {name} strays by {rms:e} (rms), {worst:e} (worst) from f64; rounding explains {rms_bound:e}, {worst_bound:e}",
            run.file
        );
    }
}

fn block(net: &Net, name: &str, x: &Tensor, channels: usize, stride: usize) -> Tensor {
    let conv = |n: &str, x: &Tensor, kernel, stride, padding| {
        net.conv2d(&format!("{name}.{n}"), x, Conv::new(channels, kernel, stride, padding).no_bias())
    };
    let bn = |n: &str, x: &Tensor| net.batch_norm(&format!("{name}.{n}"), x, Norm::default());
    let y = bn("bn1", &conv("conv1", x, 3, stride, 1)).relu();
    let y = bn("bn2", &conv("conv2", &y, 3, 1, 1));
    let skip = if stride > 1 { bn("down.1", &conv("down.0", x, 1, stride, 0)) } else { x.clone() };
    (y + skip).relu()
}

fn resnet_tiny(net: &Net, x: &Tensor) -> Tensor {
    let x = net.conv2d("conv", x, Conv::new(16, 3, 1, 1).no_bias());
    let x = net.batch_norm("bn", &x, Norm::default()).relu();
    let x = block(net, "block2", &block(net, "block1", &x, 16, 1), 32, 2);
    net.linear("fc", &x.adaptive_avg_pool2d([1, 1]).flatten(1), 10)
}

pub(super) fn cifar_cnn_adam() -> Run {
    Run {
        file: "cifar_cnn_adam",
        model: |net, x| CifarCnn { classes: 10, width: 1.0 }.build(net, x),
        loss: CLASSES,
        optimizer: Optimizer::adam(),
        lr: 1e-3,
        rename: same,
        free: None,
    }
}

#[test]
fn golden_run_cifar_cnn_adam() {
    check_both(&cifar_cnn_adam());
}

#[test]
fn golden_run_lenet_momentum() {
    let model = |net: &Net, x: &Tensor| LeNet { classes: 10, width: 1.0 }.build(net, x);
    check_both(&Run {
        file: "lenet_momentum",
        model,
        loss: CLASSES,
        optimizer: sgd(0.9, false),
        lr: 0.01,
        rename: same,
        free: None,
    });
}

#[test]
fn golden_run_alexnet_narrow_sgd() {
    let model = |net: &Net, x: &Tensor| {
        AlexNet { classes: 10, channels: [8, 24, 48, 32, 32], hidden: 256, dropout: 0.0 }.build(net, x)
    };
    let rename = |name: &str| {
        let (layer, rest) = name.split_once('.').expect("layer.kind");
        let ours = match layer {
            "conv1" => "features.0",
            "conv2" => "features.3",
            "conv3" => "features.6",
            "conv4" => "features.8",
            "conv5" => "features.10",
            "fc1" => "classifier.1",
            "fc2" => "classifier.4",
            _ => "classifier.6",
        };
        format!("{ours}.{rest}")
    };
    check_both(&Run {
        file: "alexnet_narrow_sgd",
        model,
        loss: CLASSES,
        optimizer: sgd(0.9, false),
        lr: 0.001,
        rename,
        free: None,
    });
}

#[test]
fn golden_run_resnet_tiny_wd() {
    let optimizer = sgd(0.9, true).weight_decay(5e-4);
    check_both(&Run {
        file: "resnet_tiny_wd",
        model: resnet_tiny,
        loss: CLASSES,
        optimizer,
        lr: 0.05,
        rename: same,
        free: None,
    });
}

#[test]
fn golden_run_xor_bce_adam() {
    let model = |net: &Net, x: &Tensor| net.linear("fc2", &net.linear("fc1", x, 3).relu(), 1).sigmoid();
    check_both(&Run {
        file: "xor_bce_adam",
        model,
        loss: Loss::Bce,
        optimizer: Optimizer::adam(),
        lr: 1e-2,
        rename: same,
        free: None,
    });
}
