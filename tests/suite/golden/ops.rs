//! Operator cases: forward and every gradient, on the CPU and on the GPU path.

use super::{Reference, read};
use serde_json::Value;
use std::sync::Arc;
use wgrad_device::Device;
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Builder, CrossEntropy, Interpolation, Tensor, differentiate};
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::devices;
use wgrad_types::{Array, DType, HostTensor, Type};

fn pair(v: &Value) -> [usize; 2] {
    match v.as_array() {
        Some(a) => [a[0].as_u64().expect("a number") as usize, a[1].as_u64().expect("a number") as usize],
        None => [v.as_u64().expect("a number") as usize; 2],
    }
}

fn conv(a: &Value) -> ConvSpec {
    let or_one = |v: &Value| if v.is_null() { [1; 2] } else { pair(v) };
    ConvSpec {
        stride: pair(&a["stride"]),
        padding: pair(&a["padding"]),
        dilation: or_one(&a["dilation"]),
        groups: a["groups"].as_u64().unwrap_or(1) as usize,
    }
}

fn window(a: &Value) -> Window {
    Window { kernel: pair(&a["kernel"]), stride: pair(&a["stride"]), padding: pair(&a["padding"]) }
}

fn dim(a: &Value) -> isize {
    a["dim"].as_i64().expect("a dimension") as isize
}

/// The operator applied to its inputs.
pub(super) fn apply(op: &str, a: &Value, x: &[Tensor]) -> Tensor {
    let number = |key: &str| a[key].as_f64().unwrap_or_else(|| panic!("{op} lacks {key}"));
    let axis = || dim(a) as usize;
    let ce = CrossEntropy {
        label_smoothing: a["label_smoothing"].as_f64().unwrap_or(0.0),
        ignore_index: a["ignore_index"].as_i64().unwrap_or(-100) as i32,
    };
    match op {
        "conv2d" => x[0].conv2d(&x[1], Some(&x[2]), conv(a)),
        "conv_transpose2d" => x[0].conv_transpose2d(&x[1], Some(&x[2]), conv(a), pair(&a["output_padding"])),
        "max_pool2d" => x[0].max_pool2d(window(a)),
        "avg_pool2d" => x[0].avg_pool2d(window(a)),
        "adaptive_avg_pool2d" => x[0].adaptive_avg_pool2d(pair(&a["output"])),
        "matmul" => x[0].matmul(&x[1]),
        "linear" => x[0].linear(&x[1], Some(&x[2])),
        "softmax" => x[0].softmax(dim(a)),
        "log_softmax" => x[0].log_softmax(dim(a)),
        "layer_norm" => x[0].layer_norm(&x[1], Some(&x[2]), number("eps")),
        "batch_norm" => x[0].batch_norm_train(&x[1], &x[2], number("eps")).y,
        "local_response_norm" => {
            x[0].local_response_norm(number("size") as usize, number("alpha"), number("beta"), number("k"))
        }
        "rms_norm" => x[0].rms_norm(&x[1], number("eps")),
        "group_norm" => x[0].group_norm(number("groups") as usize, &x[1], &x[2], number("eps")),
        "scaled_dot_product_attention" => {
            x[0].scaled_dot_product_attention(&x[1], &x[2], a["is_causal"].as_bool().unwrap_or(false))
        }
        "kl_div" => x[0].log_softmax(-1).kl_div(&x[1].softmax(-1)),
        "cumsum" => x[0].cumsum(dim(a)),
        "interpolate" => {
            let s = x[0].shape();
            let size = match a["size"].is_null() {
                true => [s[2], s[3]].map(|n| n * number("scale") as usize),
                false => pair(&a["size"]),
            };
            let how = match a["mode"].as_str() {
                Some("bilinear") => Interpolation::Bilinear,
                _ => Interpolation::Nearest,
            };
            x[0].interpolate(size, how)
        }
        "cross_entropy" => x[0].cross_entropy(&x[1], ce),
        "mse_loss" => x[0].mse_loss(&x[1]),
        "l1_loss" => x[0].l1_loss(&x[1]),
        "huber_loss" => x[0].huber_loss(&x[1], number("delta")),
        "binary_cross_entropy_with_logits" => x[0].bce_with_logits_loss(&x[1]),
        "embedding" => x[1].embedding(&x[0]),
        "gather" => x[0].gather(axis(), &x[1]),
        "var" => x[0].var(&[axis()], 1),
        "amax" => x[0].amax(&[axis()]),
        "logsumexp" => x[0].logsumexp(dim(a)),
        "pow" => x[0].powf(number("exponent")),
        "relu" => x[0].relu(),
        "leaky_relu" => x[0].leaky_relu(0.01),
        "sigmoid" => x[0].sigmoid(),
        "tanh" => x[0].tanh(),
        "gelu" => x[0].gelu(),
        "gelu_tanh" => x[0].gelu_tanh(),
        "silu" => x[0].silu(),
        "elu" => x[0].elu(1.0),
        "softplus" => x[0].softplus(),
        "hardswish" => x[0].hardswish(),
        "mish" => x[0].mish(),
        "exp" => x[0].exp(),
        "sin" => x[0].sin(),
        "abs" => x[0].abs(),
        "square" => x[0].square(),
        "erf" => x[0].erf(),
        "log" => x[0].log(),
        "sqrt" => x[0].sqrt(),
        "rsqrt" => x[0].rsqrt(),
        other => panic!("no operator {other:?}"),
    }
}

/// Error allowed, relative to the largest element: PyTorch computes these in f32 too. Normalisation of values far
/// from zero loses digits in both.
fn tolerance(op: &str) -> f64 {
    match op {
        "layer_norm" | "batch_norm" => 2e-4,
        _ => 2e-5,
    }
}

fn compare(label: &str, what: &str, want: &Array, got: &Array, tolerance: f64) {
    assert_eq!(want.data.len(), got.data.len(), "{label}: size of {what}");
    let scale = want.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    for (i, (w, g)) in want.data.iter().zip(&got.data).enumerate() {
        assert!(
            (w - g).abs() <= tolerance * scale,
            "{label}: {what}[{i}] is {g}, PyTorch's {w} (largest {scale})"
        );
    }
}

fn case(reference: &Reference, case: &Value, label: &str, device: &Device) {
    let (name, op) = (case["name"].as_str().expect("a name"), case["op"].as_str().expect("an operator"));
    let b = Builder::new();
    let count = case["inputs"].as_u64().expect("a count") as usize;
    let mut values: Vec<(String, HostTensor)> = Vec::new();
    let mut input = |key: String| {
        let dtype = if reference.whole(&key) { DType::I32 } else { DType::F32 };
        let host = reference.get(&key).to_host(dtype);
        let tensor = b.input(&key, Type::new(dtype, &host.ty.shape));
        values.push((key, host));
        tensor
    };
    let x: Vec<Tensor> = (0..count).map(|i| input(format!("{name}/in/{i}"))).collect();
    let dy = input(format!("{name}/dy"));
    let y = apply(op, &case["args"], &x);
    b.output("y", &y);
    let wanted: Vec<usize> =
        (0..count).filter(|i| reference.find(&format!("{name}/din/{i}")).is_some()).collect();
    let wrt: Vec<Tensor> = wanted.iter().map(|&i| x[i].clone()).collect();
    let loss = (&y * &dy).sum_all();
    for (i, d) in wanted.iter().zip(differentiate(&loss, &wrt).expect("a gradient")) {
        b.output(&format!("d{i}"), &d);
    }
    let plan = Arc::new(plan(&b.graph(), device.caps(), &PlanOptions::default()).expect("a plan"));
    let mut memory = device.memory(&plan.layout).expect("memory");
    let mut program = device.program(plan.clone(), &memory).expect("a program");
    let words: Vec<&[u32]> = plan
        .inputs
        .iter()
        .map(|i| values.iter().find(|v| v.0 == i.name).expect("an input").1.words.as_slice())
        .collect();
    program.step(&mut memory, &words, &[0, 0]).expect("a step");
    let results = program.wait().expect("results").expect("a step is under way");
    for (named, words) in plan.outputs.iter().zip(results) {
        let got = HostTensor { ty: named.ty.clone(), words }.to_array();
        let key = match named.name.as_str() {
            "y" => format!("{name}/out"),
            d => format!("{name}/din/{}", &d[1..]),
        };
        compare(&format!("{name} on {label}"), &named.name, reference.get(&key), &got, tolerance(op));
    }
}

#[test]
fn golden_ops() {
    let reference = read("ops.safetensors");
    let cases = reference.cases();
    assert!(cases.len() >= 69, "only {} cases", cases.len());
    for (label, device) in devices() {
        for c in &cases {
            case(&reference, c, label, &device);
        }
    }
}
