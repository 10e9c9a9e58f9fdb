//! Layers of `Net` with PyTorch's parameters under PyTorch's names: values, gradients, running statistics.

use super::methods::{conv, count, number, pair};
use super::{EXACT, ROUNDED, Reference, Values, differ, exact, input, losses, on_cpu, read, weighted};
use serde_json::Value;
use std::collections::BTreeSet;
use wgrad_graph::{Env, Role, Tensor, differentiate};
use wgrad_nn::{CellState, Conv, Heads, Loss, Mode, Net, Norm, Recurrent, RecurrentKind};
use wgrad_session::{NamedTensor, Session};
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Array, DType, HostTensor, Type};

fn recurrent(a: &Value) -> Recurrent {
    let kind = match a["kind"].as_str() {
        Some("rnn_tanh") => RecurrentKind::RnnTanh,
        Some("rnn_relu") => RecurrentKind::RnnRelu,
        Some("lstm") => RecurrentKind::Lstm,
        _ => RecurrentKind::Gru,
    };
    let bidirectional = a["bidirectional"].as_bool().expect("a truth value");
    Recurrent { bidirectional, ..Recurrent::new(kind, count(a, "hidden"), count(a, "layers")) }
}

/// Hidden states, then cell states, one a cell.
fn states(all: &[Tensor], lstm: bool) -> Vec<CellState> {
    let (hidden, cells) = if lstm { all.split_at(all.len() / 2) } else { (all, &[][..]) };
    let state = |(i, h): (usize, &Tensor)| CellState { hidden: h.clone(), cell: cells.get(i).cloned() };
    hidden.iter().enumerate().map(state).collect()
}

fn convolution(a: &Value) -> Conv {
    let kernel = pair(&a["kernel"]);
    let usual = Conv::new(count(a, "out"), 1, 1, 0);
    Conv { kernel, spec: conv(a), bias: a["bias"].as_bool().expect("a truth value"), ..usual }
}

fn apply(net: &Net, layer: &str, a: &Value, x: &[Tensor]) -> Vec<Tensor> {
    let name = "layer";
    vec![match layer {
        "linear" => net.linear(name, &x[0], count(a, "out")),
        "linear_no_bias" => net.linear_no_bias(name, &x[0], count(a, "out")),
        "shared" => {
            let first = net.linear(name, &x[0], count(a, "out"));
            return vec![first, net.shared(|| net.linear(name, &x[1], count(a, "out")))];
        }
        "conv2d" => net.conv2d(name, &x[0], convolution(a)),
        "conv_transpose2d" => {
            let output_padding = pair(&a["output_padding"]);
            net.conv_transpose2d(name, &x[0], Conv { output_padding, ..convolution(a) })
        }
        "batch_norm" => {
            let norm = Norm { eps: number(a, "eps"), momentum: number(a, "momentum") };
            net.batch_norm(name, &x[0], norm)
        }
        "layer_norm" => net.layer_norm(name, &x[0]),
        "rms_norm" => net.rms_norm(name, &x[0], number(a, "eps")),
        "group_norm" => net.group_norm(name, &x[0], count(a, "groups")),
        "embedding" => net.embedding(name, &x[0], count(a, "entries"), count(a, "width")),
        "multihead_attention" => {
            let heads = Heads {
                queries: count(a, "queries"),
                keys: count(a, "keys"),
                causal: a["causal"].as_bool().expect("a truth value"),
                rotary: a["rotary"].as_f64(),
            };
            net.multihead_attention(name, &x[0], heads)
        }
        "dropout" => net.dropout(&x[0], number(a, "p")),
        "recurrent" | "recurrent_from" => {
            let own = recurrent(a);
            let found = match layer {
                "recurrent" => net.recurrent(name, &x[0], own),
                _ => net.recurrent_from(name, &x[0], own, &states(&x[1..], own.kind == RecurrentKind::Lstm)),
            };
            let hidden = found.last.iter().map(|s| s.hidden.clone());
            let cells = found.last.iter().filter_map(|s| s.cell.clone());
            return std::iter::once(found.y).chain(hidden).chain(cells).collect();
        }
        "loss" => losses::by_name(a).of(&x[0], &x[1]),
        other => panic!("no layer {other:?}"),
    }]
}

/// A case's weights as inputs of the same names, for the interpreter and the devices alike.
fn check(reference: &Reference, case: &Value) -> Vec<String> {
    let (name, layer) = (case["name"].as_str().expect("a name"), case["layer"].as_str().expect("a layer"));
    // Dropout alone looks at the mode; its training is looked at by `draws`.
    let net = Net::new(if layer == "dropout" { Mode::Eval } else { Mode::Train });
    let mut fed = Values::new();
    let inputs = count(case, "inputs");
    let x: Vec<Tensor> =
        (0..inputs).map(|i| input(net.builder(), reference, &format!("{name}/in/{i}"), &mut fed)).collect();
    let y = apply(&net, layer, &case["args"], &x);
    y.iter().enumerate().for_each(|(i, y)| net.builder().output(&format!("{name}/out/{i}"), y));
    let weights = net.weights();
    let own: BTreeSet<String> = weights.iter().map(|p| p.name.clone()).collect();
    let theirs = reference.under(&format!("{name}/param/")).into_iter().collect();
    assert_eq!(own, theirs, "{name}: names of parameters");
    let mut wrt: Vec<(String, Tensor)> =
        weights.iter().map(|p| (format!("{name}/dparam/{}", p.name), p.tensor.clone())).collect();
    let smooth = x.iter().enumerate().filter(|(_, x)| x.dtype() == DType::F32);
    wrt.extend(smooth.map(|(i, x)| (format!("{name}/din/{i}"), x.clone())));
    let leaves: Vec<Tensor> = wrt.iter().map(|w| w.1.clone()).collect();
    let found = differentiate(&weighted(&y).expect("a smooth output"), &leaves).expect("gradients");
    wrt.iter().zip(&found).for_each(|((key, _), g)| net.builder().output(key, g));
    let graph = net.builder().graph();
    let value = |p: &str| reference.get(&format!("{name}/param/{p}")).clone();
    let env = Env {
        inputs: fed.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect(),
        params: own.iter().map(|p| ((Role::Weight, p.clone()), value(p))).collect(),
        ..Env::default()
    };
    let exactly = exact(&graph, &env);
    let on_device = if own.is_empty() {
        on_cpu(&graph, &fed)
    } else {
        let initial = own
            .iter()
            .map(|p| NamedTensor::new(Role::Weight, p.clone(), value(p).to_host(DType::F32)))
            .collect();
        let (mut session, mut runner) = Session::new(&cpu(), &graph, &initial, 0).expect("a session");
        let host = |whole: bool| if whole { DType::I32 } else { DType::F32 };
        let values: Vec<(String, HostTensor)> =
            fed.iter().map(|(k, (a, whole))| (k.clone(), a.to_host(host(*whole)))).collect();
        let named: Vec<(&str, &HostTensor)> = values.iter().map(|(k, v)| (k.as_str(), v)).collect();
        runner.step(&mut session, 0, &named, &[]).expect("a step");
        let outputs = runner.wait().expect("results").expect("a step is under way");
        graph.outputs.iter().map(|(name, _)| (name.clone(), outputs.get(name).to_array())).collect()
    };
    let mut failures = Vec::new();
    for (label, found, bound) in [("f64", exactly, EXACT), ("cpu", on_device, ROUNDED)] {
        let off = |(key, got): &(String, Array)| {
            differ(&format!("{key} in {label}"), reference.get(key), got, bound)
        };
        failures.extend(found.iter().filter_map(off));
    }
    failures
}

#[test]
fn layers_match_pytorch() {
    let reference = read("layers.safetensors");
    let cases = reference.cases();
    let own = |c: &&Value| c["layer"] != "batch_norm";
    let failures: Vec<String> = cases.iter().filter(own).flat_map(|c| check(&reference, c)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let named: BTreeSet<&str> = cases
        .iter()
        .filter(|c| c["layer"] == "loss")
        .map(|c| losses::name(losses::by_name(&c["args"])))
        .collect();
    let every = [
        Loss::CrossEntropy { label_smoothing: 0.0 },
        Loss::Mse,
        Loss::L1,
        Loss::Huber { delta: 1.0 },
        Loss::Nll,
        Loss::KlDiv,
        Loss::Hinge,
        Loss::MultiMargin,
        Loss::Focal { alpha: 0.0, gamma: 0.0 },
        Loss::Dice { smooth: 0.0 },
        Loss::Bce,
        Loss::BceWithLogits,
    ];
    for loss in every {
        assert!(named.contains(losses::name(loss)), "no case has {loss:?}");
    }
}

/// Batch normalisation on a device: three steps of training, the running statistics by value, evaluation by them.
#[test]
fn batch_norm_statistics_match_pytorch() {
    let reference = read("layers.safetensors");
    let all = reference.cases();
    let mut failures = Vec::new();
    for case in all.iter().filter(|c| c["layer"] == "batch_norm") {
        for (label, device) in [("cpu", cpu()), ("gpu", gpu())] {
            let name = case["name"].as_str().expect("a name");
            let array = |key: &str| reference.get(&format!("{name}/{key}")).clone();
            let shape = array("step/0/in").shape;
            let build = |mode: Mode| {
                let net = Net::new(mode);
                let x = net.input("x", Type::f32(&shape));
                let y = apply(&net, "batch_norm", &case["args"], std::slice::from_ref(&x)).remove(0);
                net.builder().output("y", &y);
                (net, x, y)
            };
            let (net, x, y) = build(Mode::Train);
            let mut wrt = vec![("din".to_owned(), x)];
            wrt.extend(net.weights().into_iter().map(|p| (format!("dparam/{}", p.name), p.tensor)));
            let leaves: Vec<Tensor> = wrt.iter().map(|w| w.1.clone()).collect();
            let total = weighted(&[y]).expect("an output");
            let found = differentiate(&total, &leaves).expect("gradients");
            wrt.iter().zip(&found).for_each(|((key, _), g)| net.builder().output(key, g));
            let mut initial = net.initial(0);
            for NamedTensor { name, value: tensor, .. } in
                initial.iter_mut().filter(|t| t.role == Role::Weight)
            {
                *tensor = array(&format!("param/{name}")).to_host(DType::F32);
            }
            let graph = net.builder().graph();
            let (mut session, mut runner) = Session::new(&device, &graph, &initial, 0).expect("a session");
            let mut off = |what: &str, got: &Array| {
                let place = format!("{name}/{what} on {label}");
                failures.extend(differ(&place, &array(what), got, ROUNDED));
            };
            for step in 0..3 {
                let x = array(&format!("step/{step}/in")).to_host(DType::F32);
                runner.step(&mut session, step, &[("x", &x)], &[]).expect("a step");
                let outputs = runner.wait().expect("results").expect("a step is under way");
                off(&format!("step/{step}/out"), &outputs.get("y").to_array());
                wrt.iter().for_each(|w| off(&format!("step/{step}/{}", w.0), &outputs.get(&w.0).to_array()));
            }
            let buffers = session.snapshot().expect("a snapshot");
            let buffers: Vec<_> = buffers.iter().filter(|t| t.role == Role::Buffer).collect();
            assert_eq!(buffers.len(), 2, "running mean and variance");
            buffers.iter().for_each(|t| off(&format!("buffer/{}", t.name), &t.value.to_array()));
            let (eval, ..) = build(Mode::Eval);
            let mut judge = session.runner(&eval.builder().graph()).expect("a plan");
            let x = array("step/0/in").to_host(DType::F32);
            judge.step(&mut session, 0, &[("x", &x)], &[]).expect("a step");
            let outputs = judge.wait().expect("results").expect("a step is under way");
            off("eval", &outputs.get("y").to_array());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
