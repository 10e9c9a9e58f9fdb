//! The f64 interpreter runs a golden run whole: forward, backward, updates. PyTorch's f64 run of the same numbers then tells
//! whether the mathematics is the same, without rounding's noise.

use super::Reference;
use super::noise::{ROUNDINGS, shaken};
use super::runs::{Run, graph, largest};
use std::collections::BTreeMap;
use std::sync::Arc;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Env, Graph, Role, interpret};
use wgrad_nn::OptimizerKind;
use wgrad_types::{Array, DType};

/// Evaluates a graph at a step.
type Evaluate<'a> = dyn Fn(&Graph, &Env, u32) -> Vec<Option<Array>> + 'a;

/// Largest distance between the two f64 runs, relative to a tensor's largest element.
const EXACT: f64 = 1e-9;

/// Results of a whole run: losses, the first step's gradients by the names of the graph's outputs, the
/// tensors at the end.
pub(super) struct Whole {
    pub losses: Vec<f64>,
    pub gradients: BTreeMap<String, Array>,
    pub last: BTreeMap<(Role, String), Array>,
}

/// Runs all steps with constants and scalars in f64.
pub(super) fn whole(run: &Run, reference: &Reference) -> Whole {
    let (mut graph, _) = graph(run, reference, true);
    unround(&mut graph);
    steps(run, reference, &graph, &|t| torch_scalars(run, t), &|graph, env, _| interpret(graph, env))
}

/// Runs all steps with constants and scalars as a device has them, and every result moved as f32 may move it.
pub(super) fn shaken_whole(run: &Run, reference: &Reference, draw: u32) -> Whole {
    let (graph, _) = graph(run, reference, true);
    let scalars = |t| run.optimizer.scalars(t, run.lr).into_iter().map(|(n, v)| (n, f64::from(v))).collect();
    steps(run, reference, &graph, &scalars, &|graph, env, step| {
        shaken(graph, env, ROUNDINGS, 1000 * draw + step)
    })
}

fn steps(
    run: &Run,
    reference: &Reference,
    graph: &Graph,
    scalars: &dyn Fn(u64) -> Vec<(&'static str, f64)>,
    evaluate: &Evaluate<'_>,
) -> Whole {
    let mut env = Env { params: start(run, reference, graph), ..Env::default() };
    let (mut losses, mut gradients) = (Vec::new(), BTreeMap::new());
    for i in 0..reference.get("loss64").data.len() {
        for name in ["x", "y"] {
            env.inputs.insert(name.into(), reference.get(&format!("{name}/{i}")).clone());
        }
        for (name, value) in scalars(i as u64 + 1) {
            env.inputs.insert(name.into(), Array::new(&[], vec![value]));
        }
        let values = evaluate(graph, &env, i as u32);
        let value = |v: wgrad_graph::Value| values[v.index()].clone().expect("a live value");
        for update in &graph.updates {
            let Op::Leaf(Leaf::Param { name, role, .. }) = &graph.node(update.target).op else {
                panic!("an update of what is no parameter")
            };
            env.params.insert((*role, name.clone()), value(update.value));
        }
        for (name, v) in &graph.outputs {
            if name == "loss" {
                losses.push(value(*v).data[0]);
            } else if i == 0 {
                gradients.insert(name.clone(), value(*v));
            }
        }
    }
    Whole { losses, gradients, last: env.params }
}

/// Compares our f64 run with PyTorch's: losses and final tensors.
pub(super) fn check(run: &Run, reference: &Reference, ours: &Whole) {
    for (i, (want, got)) in reference.get("loss64").data.iter().zip(&ours.losses).enumerate() {
        let off = (got - want).abs() / want.abs();
        assert!(off <= EXACT, "{}: loss of step {i} is {got} in our f64, {want} in PyTorch's", run.file);
    }
    for name in reference.under("final64/").iter().filter(|n| !n.ends_with("num_batches_tracked")) {
        let (own, want) = ((run.rename)(name), reference.get(&format!("final64/{name}")));
        let got = ours.last.iter().find(|((role, n), _)| *n == own && *role != Role::State);
        let got = got.unwrap_or_else(|| panic!("{}: our model has no {own}", run.file)).1;
        let worst = want.data.iter().zip(&got.data).fold(0.0f64, |m, (w, g)| m.max((w - g).abs()));
        let off = worst / largest(want);
        assert!(off <= EXACT, "{}: final {name} is {off:e} from PyTorch's f64 run", run.file);
    }
}

/// The scalars of PyTorch's f64 run: ours, except that its NAdam keeps the product of its momenta in f32 for
/// parameters of any type, alone worth 1.6e-9 at the end.
fn torch_scalars(run: &Run, t: u64) -> Vec<(&'static str, f64)> {
    let mut scalars = run.optimizer.exact_scalars(t, run.lr);
    if let OptimizerKind::NAdam { betas, momentum_decay, .. } = run.optimizer.kind {
        let factor = |t: u64| betas.0 * (1.0 - 0.5 * 0.96f64.powf(t as f64 * momentum_decay));
        let product = f64::from((1..=t).fold(1.0f32, |p, i| p * factor(i) as f32));
        for (name, value) in &mut scalars {
            match *name {
                "grad_size" => *value = run.lr * (1.0 - factor(t)) / (1.0 - product),
                "mean_size" => *value = run.lr * factor(t + 1) / (1.0 - product * factor(t + 1)),
                _ => {}
            }
        }
    }
    scalars
}

/// Constants in f64: the reference of `Const` gives the device's f32 value.
fn unround(graph: &mut Graph) {
    for node in &mut graph.nodes {
        if let Op::Leaf(Leaf::Const { ty, value }) = &node.op
            && ty.dtype == DType::F32
        {
            let data: Arc<[f64]> = vec![*value; ty.numel()].into();
            node.op = Op::Leaf(Leaf::Literal { ty: ty.clone(), data });
        }
    }
}

/// Parameters and buffers from the reference, states at 0.
fn start(run: &Run, reference: &Reference, graph: &Graph) -> BTreeMap<(Role, String), Array> {
    let mut params: BTreeMap<(Role, String), Array> =
        graph.params().map(|(role, name, ty)| ((role, name.to_owned()), Array::zeros(&ty.shape))).collect();
    for name in reference.under("init/") {
        let ours = (run.rename)(&name);
        for role in [Role::Weight, Role::Buffer] {
            if let Some(at) = params.get_mut(&(role, ours.clone())) {
                *at = reference.get(&format!("init/{name}")).clone();
            }
        }
    }
    params
}
