//! The f64 interpreter runs a golden run whole: forward, backward, updates. PyTorch's f64 run of the same numbers then tells
//! whether the mathematics is the same, without rounding's noise.

use super::Reference;
use super::runs::{Run, graph, largest};
use std::collections::BTreeMap;
use std::sync::Arc;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Env, Graph, Role, interpret};
use wgrad_nn::OptimizerKind;
use wgrad_types::{Array, DType};

/// How far the two f64 runs may be from each other, relative to a tensor's largest element.
const EXACT: f64 = 1e-9;

/// Runs all steps of the interpreter, with constants and scalars in f64, and compares losses and final tensors.
pub(super) fn check(run: &Run, reference: &Reference) {
    let (mut graph, _) = graph(run, reference, false);
    unround(&mut graph);
    let mut env = Env { params: start(run, reference, &graph), ..Env::default() };
    for (i, want) in reference.get("loss64").data.iter().enumerate() {
        feed(&mut env, reference, i);
        for (name, value) in torch_scalars(run, i as u64 + 1) {
            env.inputs.insert(name.into(), Array::new(&[], vec![value]));
        }
        let got = step(&graph, &mut env);
        let off = (got - want).abs() / want.abs();
        assert!(off <= EXACT, "{}: loss of step {i} is {got} in our f64, {want} in PyTorch's", run.file);
    }
    for name in reference.under("final64/").iter().filter(|n| !n.ends_with("num_batches_tracked")) {
        let (ours, want) = ((run.rename)(name), reference.get(&format!("final64/{name}")));
        let got = env.params.iter().find(|((role, n), _)| *n == ours && *role != Role::State);
        let got = got.unwrap_or_else(|| panic!("{}: our model has no {ours}", run.file)).1;
        let worst = want.data.iter().zip(&got.data).fold(0.0f64, |m, (w, g)| m.max((w - g).abs()));
        let off = worst / largest(want);
        assert!(off <= EXACT, "{}: final {name} is {off:e} from PyTorch's f64 run", run.file);
    }
}

/// The scalars of PyTorch's f64 run: ours, but that its NAdam keeps the product of its momenta in f32 whatever the
/// parameters' type, which alone is 1.6e-9 in the end.
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

/// Constants as they are written: the reference of `Const` gives what a device stores, in f32.
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
pub(super) fn start(run: &Run, reference: &Reference, graph: &Graph) -> BTreeMap<(Role, String), Array> {
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

/// Gives a step its batch.
pub(super) fn feed(env: &mut Env, reference: &Reference, i: usize) {
    for name in ["x", "y"] {
        env.inputs.insert(name.into(), reference.get(&format!("{name}/{i}")).clone());
    }
}

/// One step; gives the loss and leaves the updated tensors in `env`.
fn step(graph: &Graph, env: &mut Env) -> f64 {
    let values = interpret(graph, env);
    let value = |v: wgrad_graph::Value| values[v.index()].as_ref().expect("a live value");
    for update in &graph.updates {
        let Op::Leaf(Leaf::Param { name, role, .. }) = &graph.node(update.target).op else {
            panic!("an update of what is no parameter")
        };
        env.params.insert((*role, name.clone()), value(update.value).clone());
    }
    value(graph.outputs.iter().find(|o| o.0 == "loss").expect("a loss").1).data[0]
}
