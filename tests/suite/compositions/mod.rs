//! Compositions against values from outside `Tensor`: PyTorch's, made by `xtask/compositions_torch.py` and
//! `xtask/layers_torch.py`, or plain loops. Our f64 interpreter and the CPU device are both held to them.

mod draws;
mod fused;
mod layers;
mod losses;
mod methods;
mod plain;
mod public;

use crate::golden::{Reference, read};
use std::collections::BTreeMap;
use std::sync::Arc;
use wgrad_graph::{Builder, Env, Graph, Tensor, differentiate, interpret};
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::cpu;
use wgrad_types::{Array, DType, HostTensor, Type};

/// The cotangent of an output: sin(1), sin(2), .. in f32.
pub(super) fn cotangent(shape: &[usize]) -> Array {
    Array::from_fn(shape, |i| f64::from(((i + 1) as f64).sin() as f32))
}

/// Sum of the f32 outputs times their cotangents.
pub(super) fn weighted(outputs: &[Tensor]) -> Option<Tensor> {
    let smooth = outputs.iter().filter(|y| y.dtype() == DType::F32);
    smooth.map(|y| (y * &y.builder().literal(&cotangent(&y.shape()))).sum_all()).reduce(|a, b| a + b)
}

/// Named values to feed and to hold parameters at.
pub(crate) type Values = BTreeMap<String, (Array, bool)>;

/// An input named as the reference's tensor.
pub(super) fn input(b: &Builder, reference: &Reference, key: &str, fed: &mut Values) -> Tensor {
    let (array, whole) = (reference.get(key).clone(), reference.whole(key));
    let dtype = if whole { DType::I32 } else { DType::F32 };
    let tensor = b.input(key, Type::new(dtype, &array.shape));
    fed.insert(key.into(), (array, whole));
    tensor
}

/// A graph's outputs in f64.
pub(super) fn exact(graph: &Graph, env: &Env) -> Vec<(String, Array)> {
    let values = interpret(graph, env);
    let value = |v: wgrad_graph::Value| values[v.index()].clone().expect("outputs are evaluated");
    graph.outputs.iter().map(|(name, v)| (name.clone(), value(*v))).collect()
}

/// A graph's outputs on the CPU device. It has inputs alone.
pub(super) fn on_cpu(graph: &Graph, fed: &Values) -> Vec<(String, Array)> {
    let device = cpu();
    let plan = Arc::new(plan(graph, device.caps(), &PlanOptions::default()).expect("a plan"));
    let mut memory = device.memory(&plan.layout).expect("memory");
    let mut program = device.program(plan.clone(), &memory).expect("a program");
    let host = |name: &str| {
        let (array, whole) = &fed[name];
        array.to_host(if *whole { DType::I32 } else { DType::F32 }).words
    };
    let words: Vec<Vec<u32>> = plan.inputs.iter().map(|i| host(&i.name)).collect();
    let words: Vec<&[u32]> = words.iter().map(Vec::as_slice).collect();
    program.step(&mut memory, &words, &[0, 0]).expect("a step");
    let results = program.wait().expect("results").expect("a step is under way");
    let array = |(named, words): (&wgrad_plan::Named, Vec<u32>)| {
        (named.name.clone(), HostTensor { ty: named.ty.clone(), words }.to_array())
    };
    plan.outputs.iter().zip(results).map(array).collect()
}

/// First element differing by more than a share of itself and of the largest.
pub(crate) fn differ(what: &str, want: &Array, got: &Array, (own, all): (f64, f64)) -> Option<String> {
    if want.shape != got.shape {
        return Some(format!("{what} has shape {:?}, expected {:?}", got.shape, want.shape));
    }
    let largest = want.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    let off =
        |(w, g): (&f64, &f64)| (w - g).abs() > own * w.abs() + all * largest || g.is_nan() != w.is_nan();
    let at = want.data.iter().zip(&got.data).position(off)?;
    Some(format!("{what}[{at}] is {}, expected {}", got.data[at], want.data[at]))
}

/// Rounding of the reference and of constants to f32.
pub(super) const EXACT: (f64, f64) = (1e-6, 2e-7);

/// Rounding of a device's every step to f32.
pub(super) const ROUNDED: (f64, f64) = (2e-5, 2e-5);

/// One case of a file: inputs to outputs and gradients, in f64 and on the CPU.
fn check_case(
    reference: &Reference,
    case: &serde_json::Value,
    apply: impl Fn(&[Tensor]) -> Vec<Tensor>,
) -> Vec<String> {
    let name = case["name"].as_str().expect("a name");
    let count = case["inputs"].as_u64().expect("a count") as usize;
    let (b, mut fed) = (Builder::new(), Values::new());
    let x: Vec<Tensor> =
        (0..count).map(|i| input(&b, reference, &format!("{name}/in/{i}"), &mut fed)).collect();
    let y = apply(&x);
    assert_eq!(y.len() as u64, case["outputs"].as_u64().expect("a count"), "{name}: outputs");
    for (i, y) in y.iter().enumerate() {
        // An input returned unchanged still gets a place of its own.
        b.output(&format!("{name}/out/{i}"), y);
    }
    let own: Vec<String> =
        (0..count).map(|i| format!("{name}/din/{i}")).filter(|key| reference.find(key).is_some()).collect();
    if !own.is_empty() {
        let at = |key: &String| {
            x[key.rsplit('/').next().and_then(|i| i.parse::<usize>().ok()).expect("a number")].clone()
        };
        let wrt: Vec<Tensor> = own.iter().map(at).collect();
        let total = weighted(&y).expect("a smooth output");
        let found = differentiate(&total, &wrt).unwrap_or_else(|e| panic!("{name}: {e}"));
        own.iter().zip(&found).for_each(|(key, g)| b.output(key, g));
    }
    let graph = b.graph();
    let inputs = fed.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect();
    let env = Env { inputs, ..Env::default() };
    let mut failures = Vec::new();
    for (label, found, bound) in [("f64", exact(&graph, &env), EXACT), ("cpu", on_cpu(&graph, &fed), ROUNDED)]
    {
        let off = |(key, got): &(String, Array)| {
            differ(&format!("{key} in {label}"), reference.get(key), got, bound)
        };
        failures.extend(found.iter().filter_map(off));
    }
    failures
}
