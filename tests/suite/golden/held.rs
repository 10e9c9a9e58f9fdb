//! Devices compared, step by step, with our own f64 step from the device's own state, over twenty seeds:
//! noise of earlier steps in the weights does not count, so the bounds are those of one step's rounding.
//!
//! A step is compared in two halves. Its gradients: within the change of the f64 step if every result is
//! perturbed like f32 rounding ([`super::noise::shaken`]). Its updates: element by element, from the device's
//! own gradients, within the possible rounding error ([`super::noise::bounded`]); so Adam's division of tiny
//! by tiny blurs nothing.

use super::noise::{ROUNDING, ROUNDINGS, bounded, changed_decisions, shaken};
use super::runs::{CLASSES, largest, sgd};
use std::collections::BTreeMap;
use wgrad_device::Device;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Env, Graph, Role, Tensor, Value, philox};
use wgrad_models::{CharRnn, CifarCnn};
use wgrad_nn::{Loss, Mode, Net, Optimizer, Recurrent, RecurrentKind};
use wgrad_session::{NamedTensor, Session, Tensors};
use wgrad_tests::devices;
use wgrad_types::{Array, DType, HostTensor, Type};

const SEEDS: u32 = 20;
/// Perturbed steps to set the bound, and as many more before a device is refused.
const DRAWS: u32 = 4;
const MORE_DRAWS: u32 = 16;

/// A small run of random data.
struct Case {
    name: &'static str,
    x: Type,
    y: Type,
    /// Labels and tokens are below this; 0 for real targets in [0, 1).
    classes: usize,
    model: fn(&Net, &Tensor) -> Tensor,
    loss: Loss,
    optimizer: Optimizer,
    lr: f64,
    steps: u32,
}

fn graph(case: &Case) -> Graph {
    let net = Net::new(Mode::Train);
    let (x, y) = (net.input("x", case.x.clone()), net.input("y", case.y.clone()));
    let loss = case.loss.of(&(case.model)(&net, &x), &y);
    net.builder().output("loss", &loss);
    let weights: Vec<(String, Tensor)> = net.named_weights();
    let found = case.optimizer.minimise(&loss, &weights).expect("a gradient");
    for ((name, _), g) in weights.iter().zip(&found) {
        net.builder().output(&format!("grad {name}"), g);
    }
    net.builder().graph()
}

/// Uniform numbers: whole ones below `classes`, else within `reach` of 0, or in [0, 1).
fn random(ty: &Type, seed: u32, stream: u32, classes: usize, reach: Option<f64>) -> HostTensor {
    let values = Array::from_fn(&ty.shape, |i| {
        let u = f64::from(philox::uniform(seed, 0, stream, i as u32));
        match (ty.dtype, reach) {
            (DType::I32, _) => (u * classes as f64).floor(),
            (_, Some(reach)) => (2.0 * u - 1.0) * reach,
            _ => u,
        }
    });
    values.to_host(ty.dtype)
}

fn start(graph: &Graph, seed: u32) -> Tensors {
    let weights = graph.params().filter(|p| p.0 == Role::Weight).enumerate();
    let value = |(i, (role, name, ty)): (usize, (Role, &str, &Type))| {
        let fan_in = ty.shape[1..].iter().product::<usize>().max(4);
        NamedTensor::new(role, name, random(ty, seed, 10 + i as u32, 0, Some((3.0 / fan_in as f64).sqrt())))
    };
    weights.map(value).collect()
}

/// The first of a step's results farther from f64 than rounding explains.
fn refuse(graph: &Graph, env: &Env, got: &BTreeMap<&str, Array>) -> Result<(), String> {
    let truth = shaken(graph, env, 0.0, 0);
    let distance = |name: Value, of: &Array| {
        let want = truth[name.index()].as_ref().expect("an output");
        want.data.iter().zip(&of.data).fold(0.0f64, |m, (w, g)| m.max((w - g).abs()))
    };
    let mut allowed: Vec<f64> = graph
        .outputs
        .iter()
        .map(|o| ROUNDINGS * ROUNDING * largest(truth[o.1.index()].as_ref().expect("an output")))
        .collect();
    let mut turned = Vec::new();
    let mut off = String::new();
    for draw in 0..DRAWS + MORE_DRAWS {
        let other = shaken(graph, env, ROUNDINGS, draw);
        for (bound, (_, v)) in allowed.iter_mut().zip(&graph.outputs) {
            *bound = bound.max(distance(*v, other[v.index()].as_ref().expect("an output")));
        }
        turned.extend(changed_decisions(graph, &truth, &other));
        let mut outputs = graph.outputs.iter().zip(&allowed);
        let Some(((name, v), bound)) =
            outputs.find(|((name, v), bound)| distance(*v, &got[name.as_str()]) > **bound)
        else {
            if draw + 1 >= DRAWS {
                return Ok(());
            }
            continue;
        };
        off = format!(
            "{name} is {:e} from f64, rounding explains {bound:e}",
            distance(*v, &got[name.as_str()])
        );
    }
    turned.sort();
    turned.dedup();
    Err(format!("{off}; rounding may turn {} decisions: {turned:?}", turned.len()))
}

/// The first element of the updated tensors farther from the rule on the device's own gradients than rounding
/// explains.
fn refuse_updates(
    graph: &Graph,
    env: &Env,
    got: &BTreeMap<&str, Array>,
    after: &BTreeMap<(Role, String), Array>,
) -> Result<(), String> {
    let gradients = graph.outputs.iter().filter(|o| o.0 != "loss");
    let given: BTreeMap<Value, Array> = gradients.map(|(name, v)| (*v, got[name.as_str()].clone())).collect();
    let wanted: Vec<Value> = graph.updates.iter().map(|u| u.value).collect();
    let bounds = bounded(graph, env, &given, &wanted);
    for update in &graph.updates {
        let Op::Leaf(Leaf::Param { name, role, .. }) = &graph.node(update.target).op else { continue };
        let ((want, error), got) = (&bounds[&update.value], &after[&(*role, name.clone())]);
        for (i, ((w, e), g)) in want.data.iter().zip(&error.data).zip(&got.data).enumerate() {
            if (w - g).abs() > *e {
                return Err(format!("{role:?} {name}[{i}] becomes {g}, by the rule {w} within {e:e}"));
            }
        }
    }
    Ok(())
}

fn tensors(session: &Session) -> BTreeMap<(Role, String), Array> {
    let all = session.snapshot().expect("a snapshot");
    all.into_iter().map(|t| ((t.role, t.name), t.value.to_array())).collect()
}

fn steps(case: &Case, label: &str, device: &Device, seed: u32) {
    let graph = graph(case);
    let (mut session, mut runner) = Session::new(device, &graph, &Vec::new(), 0).expect("a session");
    session.restore(&start(&graph, seed)).expect("initial values");
    for i in 0..case.steps {
        let x = random(&case.x, seed, 1000 + i, case.classes, Some(2.0));
        let y = random(&case.y, seed, 2000 + i, case.classes, None);
        let scalars = case.optimizer.scalars(u64::from(i) + 1, case.lr);
        let mut env = Env { params: tensors(&session), ..Env::default() };
        env.inputs.extend([("x".into(), x.to_array()), ("y".into(), y.to_array())]);
        env.inputs.extend(scalars.iter().map(|s| (s.0.to_owned(), Array::new(&[], vec![f64::from(s.1)]))));
        runner.step(&mut session, u64::from(i), &[("x", &x), ("y", &y)], &scalars).expect("a step");
        let outputs = runner.wait().expect("results").expect("a step is under way");
        let names = graph.outputs.iter().map(|o| o.0.as_str());
        let got: BTreeMap<&str, Array> = names.map(|n| (n, outputs.get(n).to_array())).collect();
        let place = || format!("{} on {label}, seed {seed}, step {i}", case.name);
        refuse(&graph, &env, &got).unwrap_or_else(|e| panic!("{}: {e}", place()));
        refuse_updates(&graph, &env, &got, &tensors(&session)).unwrap_or_else(|e| panic!("{}: {e}", place()));
    }
}

fn check(case: &Case) {
    for (label, device) in devices() {
        (0..SEEDS).for_each(|seed| steps(case, label, &device, seed));
    }
}

fn mlp(net: &Net, x: &Tensor) -> Tensor {
    net.linear("fc3", &net.linear("fc2", &net.linear("fc1", x, 32).relu(), 24).relu(), 5)
}

fn mlp_case() -> Case {
    Case {
        name: "mlp",
        x: Type::f32(&[16, 20]),
        y: Type::i32(&[16]),
        classes: 5,
        model: mlp,
        loss: CLASSES,
        optimizer: sgd(0.9, true),
        lr: 0.05,
        steps: 4,
    }
}

#[test]
fn held_xor_of_twenty_seeds_is_within_f32s_rounding() {
    check(&Case {
        name: "xor",
        x: Type::f32(&[4, 2]),
        y: Type::f32(&[4, 1]),
        classes: 0,
        model: |net, x| net.linear("fc2", &net.linear("fc1", x, 3).relu(), 1).sigmoid(),
        loss: Loss::Bce,
        optimizer: Optimizer::adam(),
        lr: 1e-2,
        steps: 5,
    });
}

#[test]
fn held_mlp_of_twenty_seeds_is_within_f32s_rounding() {
    check(&mlp_case());
}

#[test]
fn held_gru_of_twenty_seeds_is_within_f32s_rounding() {
    check(&Case {
        name: "gru",
        x: Type::i32(&[2, 6]),
        y: Type::i32(&[2, 6]),
        classes: 11,
        model: |net, x| {
            CharRnn { vocab: 11, embedding: 6, recurrent: Recurrent::new(RecurrentKind::Gru, 10, 1) }
                .build(net, x)
        },
        loss: CLASSES,
        optimizer: Optimizer::adam(),
        lr: 1e-2,
        steps: 3,
    });
}

#[test]
fn held_cut_cifar_cnn_of_twenty_seeds_is_within_f32s_rounding() {
    check(&Case {
        name: "cut cifar_cnn",
        x: Type::f32(&[2, 3, 32, 32]),
        y: Type::i32(&[2]),
        classes: 10,
        model: |net, x| CifarCnn { classes: 10, width: 0.25 }.build(net, x),
        loss: CLASSES,
        optimizer: Optimizer::adam(),
        lr: 1e-3,
        steps: 2,
    });
}

/// An exact device's results for the first step of the multilayer perceptron, spoilt by `spoil`.
fn spoilt(spoil: impl Fn(&str, &mut Array)) -> Result<(), String> {
    let case = mlp_case();
    let graph = graph(&case);
    let mut env = Env::default();
    env.params
        .extend(graph.params().map(|(role, name, ty)| ((role, name.to_owned()), Array::zeros(&ty.shape))));
    env.params.extend(start(&graph, 3).into_iter().map(|t| ((t.role, t.name), t.value.to_array())));
    env.inputs.insert("x".into(), random(&case.x, 3, 1000, 5, Some(2.0)).to_array());
    env.inputs.insert("y".into(), random(&case.y, 3, 2000, 5, None).to_array());
    env.inputs.insert("lr".into(), Array::new(&[], vec![0.05]));
    let truth = shaken(&graph, &env, 0.0, 0);
    let mut got: BTreeMap<&str, Array> = BTreeMap::new();
    for (name, v) in &graph.outputs {
        let mut value = truth[v.index()].clone().expect("an output");
        spoil(name, &mut value);
        got.insert(name, value);
    }
    refuse(&graph, &env, &got)
}

#[test]
fn held_gradient_beyond_rounding_is_refused_by_name() {
    assert_eq!(spoilt(|_, _| {}), Ok(()));
    let message = spoilt(|name, g| {
        if name == "grad fc2.weight" {
            g.data[7] += 1e-4 * largest(g);
        }
    });
    assert!(message.clone().is_err_and(|m| m.contains("grad fc2.weight is ")), "{message:?}");
}

#[test]
fn held_decision_within_rounding_is_named_by_its_layer() {
    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[1, 2]));
    let loss = net.linear("near", &x, 1).relu().sum_all();
    let weights: Vec<Tensor> = net.weights().into_iter().map(|p| p.tensor).collect();
    net.builder().output("loss", &loss);
    for (i, g) in wgrad_graph::differentiate(&loss, &weights).expect("a gradient").iter().enumerate() {
        net.builder().output(&format!("grad {i}"), g);
    }
    let graph = net.builder().graph();
    let mut env = Env::default();
    env.inputs.insert("x".into(), Array::new(&[1, 2], vec![1.0, 1.0]));
    env.params.insert((Role::Weight, "near.weight".into()), Array::new(&[1, 2], vec![1.0, 1e-8 - 1.0]));
    env.params.insert((Role::Weight, "near.bias".into()), Array::zeros(&[1]));
    let truth = shaken(&graph, &env, 0.0, 0);
    let named: Vec<String> = (0..8)
        .flat_map(|draw| changed_decisions(&graph, &truth, &shaken(&graph, &env, ROUNDINGS, draw)))
        .collect();
    assert!(named.iter().any(|n| n.contains("relu of \"near\"") && n.ends_with("at element 0")), "{named:?}");
}
