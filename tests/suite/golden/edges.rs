//! PyTorch's results for exchanged axes and forgotten maxima: every setting unequal per axis, and
//! arguments at the edges of exp's range and beyond. Our mathematics in f64, and both devices.

use super::ops::apply;
use super::{Reference, read};
use serde_json::Value;
use std::sync::Arc;
use wgrad_device::Device;
use wgrad_graph::{Builder, Env, Graph, Tensor, differentiate, interpret};
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Array, DType, HostTensor, Type};

/// A case's graph and inputs; outputs are named as the reference's tensors.
fn graph(reference: &Reference, case: &Value) -> (String, Graph, Env) {
    let (name, op) = (case["name"].as_str().expect("a name"), case["op"].as_str().expect("an operator"));
    let (b, mut env) = (Builder::new(), Env::default());
    let mut input = |key: String| {
        let array = reference.get(&key).clone();
        let dtype = if reference.whole(&key) { DType::I32 } else { DType::F32 };
        let tensor = b.input(&key, Type::new(dtype, &array.shape));
        env.inputs.insert(key, array);
        tensor
    };
    let count = case["inputs"].as_u64().expect("a count");
    let x: Vec<Tensor> = (0..count).map(|i| input(format!("{name}/in/{i}"))).collect();
    let dy = input(format!("{name}/dy"));
    let y = apply(op, &case["args"], &x);
    b.output(&format!("{name}/out"), &y);
    let real: Vec<usize> = (0..x.len()).filter(|&i| x[i].dtype() == DType::F32).collect();
    let wrt: Vec<Tensor> = real.iter().map(|&i| x[i].clone()).collect();
    for (i, d) in real.iter().zip(differentiate(&(&y * &dy).sum_all(), &wrt).expect("gradients")) {
        b.output(&format!("{name}/din/{i}"), &d);
    }
    (name.to_owned(), b.graph(), env)
}

/// First element off by more than `share` of itself and `floor` of the largest.
fn unlike(what: &str, want: &Array, got: &Array, share: f64, floor: f64) -> Option<String> {
    let largest = want.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let most = |w: f64| (share * w.abs()).max(floor * largest).max(1e-36);
    let near = |w: f64, g: f64| (w - g).abs() <= most(w);
    let at = want.data.iter().zip(&got.data).position(|(&w, &g)| !near(w, g));
    let at = at.or((want.data.len() != got.data.len()).then_some(0))?;
    Some(format!("{what}[{at}] is {:?}, PyTorch's {:?}", got.data.get(at), want.data.get(at)))
}

fn run(device: &Device, graph: &Graph, env: &Env) -> Vec<(String, Array)> {
    let plan = Arc::new(plan(graph, device.caps(), &PlanOptions::default()).expect("a plan"));
    let inputs: Vec<HostTensor> =
        plan.inputs.iter().map(|i| env.inputs[&i.name].to_host(i.ty.dtype)).collect();
    let words: Vec<&[u32]> = inputs.iter().map(|t| t.words.as_slice()).collect();
    let mut memory = device.memory(&plan.layout).expect("memory");
    let mut program = device.program(plan.clone(), &memory).expect("a program");
    program.step(&mut memory, &words, &[0, 0]).expect("a step");
    let results = program.wait().expect("results").expect("a step is under way");
    let tensor = |(n, words): (&wgrad_plan::Named, _)| {
        (n.name.clone(), HostTensor { ty: n.ty.clone(), words }.to_array())
    };
    plan.outputs.iter().zip(results).map(tensor).collect()
}

fn all(check: impl Fn(&Reference, &Value, &str, &Graph, &Env) -> Vec<String>) {
    let reference = read("edges.safetensors");
    let cases = reference.cases();
    assert!(cases.len() > 70, "{} cases", cases.len());
    let one = |case: &Value| {
        let (name, graph, env) = graph(&reference, case);
        check(&reference, case, &name, &graph, &env)
    };
    let failures: Vec<String> = cases.iter().flat_map(one).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn mathematics_at_unequal_settings_and_large_arguments_is_pytorchs() {
    all(|reference, _, _, graph, env| {
        let values = interpret(graph, env);
        let outputs = graph.outputs.iter().filter_map(|(key, v)| {
            let got = values[v.index()].as_ref().expect("outputs are evaluated");
            // Constants of a graph are f32.
            unlike(key, reference.get(key), got, 1e-6, 1e-7)
        });
        outputs.collect()
    });
}

fn on(device: &Device) {
    all(|reference, case, _, graph, env| {
        let large = case["large"].as_bool().expect("whether arguments are large");
        let outputs = run(device, graph, env).into_iter().filter_map(|(key, got)| {
            // Gradients of large arguments are differences.
            let (share, floor) = match (large, key.ends_with("/out")) {
                (true, true) => (2e-4, 1e-10),
                (true, false) => (1e-3, 1e-6),
                _ if key.starts_with("attention") => (0.0, 2e-3),
                _ => (0.0, 2e-5),
            };
            unlike(&key, reference.get(&key), &got, share, floor)
        });
        outputs.collect()
    });
}

#[test]
fn the_cpu_at_unequal_settings_and_large_arguments_is_pytorchs() {
    on(&cpu());
}

#[test]
fn the_adapter_at_unequal_settings_and_large_arguments_is_pytorchs() {
    on(&gpu());
}
