//! f16 storage compared with a reference rounding in the same places; loss scaling like
//! `torch.amp.GradScaler`, on the device: nothing is read back, a bad step changes nothing.

use std::sync::Arc;
use wgrad_device::Device;
use wgrad_doctor::{Target, planned, run};
use wgrad_graph::{Builder, Graph, Role, autocast, interpret};
use wgrad_nn::{Clip, Optimizer, OptimizerKind};
use wgrad_session::{NamedTensor, Runner, Session, Tensors};
use wgrad_tests::{build, cases, cpu, gpu};
use wgrad_types::{AdapterClass, DType, HostTensor, Type};

const RATE: f64 = 0.5;

/// The loss is the sum of `x * w`, so the gradient is `x`; two weights of different shapes.
fn graph(optimizer: &Optimizer) -> Graph {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[8]));
    let (w, v) = (b.param("w", &[8], Role::Weight), b.param("v", &[2, 4], Role::Weight));
    let loss = (&x * &w).sum_all() + (x.reshape(&[2, 4]) * &v).sum_all().reshape(&[1]);
    b.output("loss", &loss);
    optimizer.minimise(&loss, &[("w".into(), w), ("v".into(), v)]).expect("a gradient");
    b.graph()
}

struct Rig {
    session: Session,
    runner: Runner,
    optimizer: Optimizer,
    step: u64,
}

impl Rig {
    fn new(device: &Device, clip: Clip) -> Self {
        let kind = OptimizerKind::Sgd { momentum: 0.9, nesterov: false };
        let optimizer = Optimizer::new(kind).loss_scaling(true).clip(clip);
        let start: Tensors = vec![
            NamedTensor::new(Role::Weight, "w", HostTensor::f32(&[8], &[1.0; 8])),
            NamedTensor::new(Role::Weight, "v", HostTensor::f32(&[2, 4], &[1.0; 8])),
        ];
        let (session, runner) = Session::new(device, &graph(&optimizer), &start, 0).expect("a session");
        Self { session, runner, optimizer, step: 0 }
    }

    /// A step with gradient `g` everywhere.
    fn step(&mut self, g: f32) {
        let x = HostTensor::f32(&[8], &[g; 8]);
        let scalars = self.optimizer.scalars(self.step + 1, RATE);
        self.runner.step(&mut self.session, self.step, &[("x", &x)], &scalars).expect("a step");
        self.runner.wait().expect("results");
        self.step += 1;
    }

    fn all(&self, name: &str) -> Vec<f32> {
        let tensors = self.session.snapshot().expect("a snapshot");
        tensors.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no {name}")).value.as_f32().to_vec()
    }

    fn is(&self, what: &[(&str, f32)]) {
        for (name, value) in what {
            let got = self.all(name);
            assert!(got.iter().all(|v| v == value), "step {}: {name} is {got:?}, not {value}", self.step);
        }
    }
}

#[test]
fn loss_scale_halves_after_non_finite_step() {
    for device in [cpu(), gpu()] {
        let mut rig = Rig::new(&device, Clip::Off);
        rig.step(0.5);
        rig.is(&[("w", 0.75), ("v", 0.75), ("w.momentum_buffer", 0.5), ("loss_scale", 65536.0)]);
        rig.is(&[("loss_scale.good_steps", 1.0), ("loss_scale.inverse", 1.0 / 65536.0)]);
        // 1e34 is finite, and times the scale it is not; NaN never is.
        for (bad, scale) in [(1e34, 32768.0), (f32::NAN, 16384.0), (f32::INFINITY, 8192.0)] {
            rig.step(bad);
            rig.is(&[("w", 0.75), ("v", 0.75), ("w.momentum_buffer", 0.5), ("loss_scale", scale)]);
            rig.is(&[("loss_scale.good_steps", 0.0), ("loss_scale.inverse", 1.0 / scale)]);
        }
        rig.step(0.0);
        rig.is(&[("w.momentum_buffer", 0.45), ("loss_scale", 8192.0), ("loss_scale.good_steps", 1.0)]);
        if device.adapter().is_some() {
            assert_eq!(rig.runner.counters().submissions, rig.step, "a step is one submission");
        }
    }
}

#[test]
fn loss_scale_doubles_after_2000_finite_steps() {
    let mut rig = Rig::new(&cpu(), Clip::Off);
    (0..1999).for_each(|_| rig.step(0.0));
    rig.is(&[("loss_scale", 65536.0), ("loss_scale.good_steps", 1999.0)]);
    rig.step(0.0);
    rig.is(&[
        ("loss_scale", 131_072.0),
        ("loss_scale.inverse", 1.0 / 131_072.0),
        ("loss_scale.good_steps", 0.0),
    ]);
}

#[test]
fn loss_scale_is_removed_before_clipping() {
    for device in [cpu(), gpu()] {
        let mut rig = Rig::new(&device, Clip::Norm(1.0));
        rig.step(0.25);
        // Sixteen elements of 0.25 have the norm 1: clipping changes nothing but the last place.
        assert!(rig.all("w").iter().all(|w| (w - 0.875).abs() < 1e-5), "{:?}", rig.all("w"));
        let plan = rig.runner.plan();
        let updates = plan.kernels.iter().filter(|s| s.scope == "optimizer").count();
        assert_eq!(updates, 2, "the weights' and the scale's on {}", device.name());
    }
}

#[test]
fn f16_products_of_training_step() {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32(&[16, 32])), b.param("w", &[32, 32], Role::Weight));
    let h = x.matmul(&w).relu();
    let loss = h.matmul(&w).square().mean_all();
    b.output("loss", &loss);
    let optimizer = Optimizer::adam().loss_scaling(true);
    optimizer.minimise(&loss, &[("w".into(), w)]).expect("a gradient");
    let start: Tensors = Vec::new();
    let (_, runner) = Session::new(&gpu(), &autocast(&b.graph()), &start, 0).expect("a session");
    let products = runner.plan().kernels.iter().filter(|s| s.kernel.name() == "matmul").collect::<Vec<_>>();
    assert_eq!(products.len(), 5);
    for kernel in products {
        assert!(kernel.kernel.operands[..2].iter().all(|ty| ty.dtype == DType::F16), "{}", kernel.label());
        assert!(kernel.variant.launches[0].source.starts_with("enable f16;"), "{}", kernel.label());
    }
    // The same plan on the CPU has none, and still rounds.
    let (_, runner) = Session::new(&cpu(), &autocast(&b.graph()), &start, 0).expect("a session");
    assert!(!runner.plan().kernels.iter().any(|s| s.kernel.has_f16()));
}

/// A sum rounded to f16 another way gives the neighbouring number.
const TOLERANCE: f64 = 2e-3;

#[test]
fn f16_cases_are_near_reference() {
    let targets =
        [Target::own("cpu", cpu()), Target::own("gpu", gpu()), Target::posing(gpu(), AdapterClass::Discrete)];
    let (mut seen, mut beyond) = (0, Vec::new());
    for case in cases::all() {
        let built = build(case, 0);
        let graph = autocast(&built.graph);
        let is_half = |n: &wgrad_graph::Node| n.ty.dtype == DType::F16;
        if case.name.starts_with("f16") || !graph.nodes.iter().zip(graph.live()).any(|(n, l)| l && is_half(n))
        {
            continue;
        }
        let values = interpret(&graph, &built.env);
        let want: Vec<_> =
            graph.outputs.iter().map(|o| values[o.1.index()].clone().expect("evaluated")).collect();
        if want.iter().flat_map(|w| &w.data).any(|v| !v.is_finite()) {
            beyond.push(case.name);
            continue;
        }
        seen += 1;
        for target in &targets {
            let plan = Arc::new(planned(&graph, target, 0).unwrap_or_else(|e| panic!("{}: {e}", case.name)));
            let runs =
                run(&target.device, &plan, &built.env, 1).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            for ((named, want), got) in plan.outputs.iter().zip(&want).zip(&runs.results[0]) {
                let scale = want.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
                for (i, (w, g)) in want.data.iter().zip(got.to_array().data).enumerate() {
                    let off = (w - g).abs() / scale;
                    assert!(
                        off <= TOLERANCE,
                        "{} on {}: {}[{i}] is {g}, not {w}",
                        case.name,
                        target.label,
                        named.name
                    );
                }
            }
        }
    }
    assert!(seen > 60, "only {seen} cases read f16");
    assert!(beyond.len() < 5, "{beyond:?} leave f16's range");
}
