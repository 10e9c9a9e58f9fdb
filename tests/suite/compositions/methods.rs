//! Methods of `Tensor` and operators, by the names of the cases.

use super::{check_case, read};
use serde_json::Value;
use wgrad_graph::ops::{AttentionGrad, AttentionOperand, ConvSpec, Window};
use wgrad_graph::{CrossEntropy, Interpolation, Tensor};
use wgrad_types::DType;

fn numbers(v: &Value) -> Vec<usize> {
    v.as_array().expect("a list").iter().map(|n| n.as_u64().expect("a number") as usize).collect()
}

pub(super) fn pair(v: &Value) -> [usize; 2] {
    numbers(v).try_into().expect("two numbers")
}

fn pairs(v: &Value) -> Vec<(usize, usize)> {
    v.as_array().expect("a list").iter().map(pair).map(|[a, b]| (a, b)).collect()
}

pub(super) fn conv(a: &Value) -> ConvSpec {
    ConvSpec {
        stride: pair(&a["stride"]),
        padding: pair(&a["padding"]),
        dilation: pair(&a["dilation"]),
        groups: a["groups"].as_u64().expect("a number") as usize,
    }
}

fn window(a: &Value) -> Window {
    Window { kernel: pair(&a["kernel"]), stride: pair(&a["stride"]), padding: pair(&a["padding"]) }
}

fn apply(method: &str, a: &Value, x: &[Tensor]) -> Vec<Tensor> {
    let all: Vec<&Tensor> = x.iter().collect();
    let y = match method {
        "unbind" => return x[0].unbind(count(a, "axis")),
        "lstm_cell" => {
            let state = x.get(3).map(|h| (h, &x[4]));
            let (h, c) = x[0].lstm_cell(state, &x[1], &x[2]);
            return vec![h, c];
        }
        "batch_norm_train" => {
            let found = x[0].batch_norm_train(&x[1], &x[2], number(a, "eps"));
            // The reference has no gradient through them.
            return vec![found.y, found.mean.detach(), found.var.detach()];
        }
        "stack" => Tensor::stack(&all, count(a, "axis")),
        "concat" => Tensor::concat(&all, count(a, "axis")),
        _ => crate::golden::special::function(method, &x[0])
            .or_else(|| elementwise(method, a, x))
            .or_else(|| reduced(method, a, &x[0]))
            .or_else(|| moved(method, a, &x[0]))
            .or_else(|| layer(method, a, x))
            .or_else(|| super::losses::loss(method, a, x))
            .unwrap_or_else(|| panic!("no method {method:?}")),
    };
    vec![y]
}

pub(super) fn number(a: &Value, key: &str) -> f64 {
    a[key].as_f64().unwrap_or_else(|| panic!("no {key} in {a}"))
}

pub(super) fn count(a: &Value, key: &str) -> usize {
    a[key].as_u64().unwrap_or_else(|| panic!("no {key} in {a}")) as usize
}

fn elementwise(method: &str, a: &Value, x: &[Tensor]) -> Option<Tensor> {
    Some(match method {
        "finite" => x[0].finite(),
        "pow" => x[0].pow(&x[1]),
        "powf" => x[0].powf(number(a, "exponent")),
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        "eq" => x[0].eq(&x[1]),
        "ne" => x[0].ne(&x[1]),
        "lt" => x[0].lt(&x[1]),
        "le" => x[0].le(&x[1]),
        "gt" => x[0].gt(&x[1]),
        "ge" => x[0].ge(&x[1]),
        "select" => x[0].cast(DType::Bool).select(&x[1], &x[2]),
        "cast" => x[0].cast(DType::Bool).cast(DType::F32),
        "to_f32" => x[0].to_f32(),
        "add" => &x[0] + &x[1],
        "sub" => &x[0] - &x[1],
        "mul" => &x[0] * &x[1],
        "div" => &x[0] / &x[1],
        "add_number" => &x[0] + 1.5,
        "sub_number" => &x[0] - 1.5,
        "mul_number" => &x[0] * 1.5,
        "div_number" => &x[0] / 1.5,
        "number_add" => 1.5 + &x[0],
        "number_sub" => 1.5 - &x[0],
        "number_mul" => 1.5 * &x[0],
        "number_div" => 1.5 / &x[0],
        "leaky_relu" => x[0].leaky_relu(number(a, "slope")),
        "elu" => x[0].elu(number(a, "alpha")),
        "gelu" => x[0].gelu(),
        "gelu_tanh" => x[0].gelu_tanh(),
        "clamp" => x[0].clamp(number(a, "low"), number(a, "high")),
        _ => return None,
    })
}

fn reduced(method: &str, a: &Value, x: &Tensor) -> Option<Tensor> {
    let (axes, dim) = (|| numbers(&a["axes"]), || a["dim"].as_i64().expect("a dimension") as isize);
    Some(match method {
        "sum" => x.sum(&axes()),
        "sum_keep" => x.sum_keep(&axes()),
        "sum_all" => x.sum_all(),
        "mean" => x.mean(&axes()),
        "mean_keep" => x.mean_keep(&axes()),
        "mean_all" => x.mean_all(),
        "amax" => x.amax(&axes()),
        "amax_keep" => x.amax_keep(&axes()),
        "amin" => x.amin(&axes()),
        "var" => x.var(&axes(), count(a, "correction")),
        "argmax" => x.argmax(dim()),
        "cumsum" => x.cumsum(dim()),
        "sum_to" => x.sum_to(&numbers(&a["shape"])),
        "logsumexp_keep" => x.logsumexp_keep(&axes()),
        "logsumexp" => x.logsumexp(dim()),
        "softmax" => x.softmax(dim()),
        "log_softmax" => x.log_softmax(dim()),
        _ => return None,
    })
}

fn moved(method: &str, a: &Value, x: &Tensor) -> Option<Tensor> {
    Some(match method {
        "detach" => x.detach() * x,
        "reshape" => x.reshape(&numbers(&a["shape"])),
        "flatten" => x.flatten(count(a, "start")),
        "unsqueeze" => x.unsqueeze(count(a, "axis")),
        "squeeze" => x.squeeze(count(a, "axis")),
        "permute" => x.permute(&numbers(&a["axes"])),
        "transpose" => x.transpose(count(a, "a"), count(a, "b")),
        "t" => x.t(),
        "broadcast_to" => x.broadcast_to(&numbers(&a["shape"])),
        "slice" => x.slice(&pairs(&a["ranges"])),
        "narrow" => x.narrow(count(a, "axis"), count(a, "start"), count(a, "len")),
        "pad" => x.pad(&pairs(&a["pads"])),
        _ => return None,
    })
}

fn layer(method: &str, a: &Value, x: &[Tensor]) -> Option<Tensor> {
    let causal = || a["causal"].as_bool().expect("a truth value");
    let (eps, axis) = (|| number(a, "eps"), || count(a, "axis"));
    Some(match method {
        "matmul" => x[0].matmul(&x[1]),
        "linear" => x[0].linear(&x[1], x.get(2)),
        "conv2d" => x[0].conv2d(&x[1], x.get(2), conv(a)),
        "conv2d_input_grad" => x[0].conv2d_input_grad(&x[1], conv(a), pair(&a["size"])),
        "conv2d_weight_grad" => x[0].conv2d_weight_grad(&x[1], conv(a), pair(&a["kernel"])),
        "conv_transpose2d" => x[0].conv_transpose2d(&x[1], x.get(2), conv(a), pair(&a["output_padding"])),
        "max_pool2d" => x[0].max_pool2d(window(a)),
        "avg_pool2d" => x[0].avg_pool2d(window(a)),
        "max_pool2d_grad" => x[0].max_pool2d_grad(&x[1], window(a)),
        "avg_pool2d_grad" => x[0].avg_pool2d_grad(window(a), pair(&a["size"])),
        "adaptive_avg_pool2d" => x[0].adaptive_avg_pool2d(pair(&a["size"])),
        "interpolate" => {
            let bilinear = a["mode"] == "bilinear";
            x[0].interpolate(
                pair(&a["size"]),
                if bilinear { Interpolation::Bilinear } else { Interpolation::Nearest },
            )
        }
        "local_response_norm" => {
            x[0].local_response_norm(count(a, "size"), number(a, "alpha"), number(a, "beta"), number(a, "k"))
        }
        "batch_norm_eval" => x[0].batch_norm_eval(&x[1], &x[2], &x[3], &x[4], eps()),
        "layer_norm" => x[0].layer_norm(&x[1], x.get(2), eps()),
        "rms_norm" => x[0].rms_norm(&x[1], eps()),
        "group_norm" => x[0].group_norm(count(a, "groups"), &x[1], &x[2], eps()),
        "gather" => x[0].gather(axis(), &x[1]),
        "gather_grad" => x[0].gather_grad(&x[1], axis(), count(a, "size")),
        "embedding" => x[0].embedding(&x[1]),
        "scaled_dot_product_attention" => x[0].scaled_dot_product_attention(&x[1], &x[2], causal()),
        "attention_lse" => x[0].attention_lse(&x[1], causal()),
        "attention_grad" => {
            let of = match a["of"].as_str() {
                Some("q") => AttentionOperand::Q,
                Some("k") => AttentionOperand::K,
                _ => AttentionOperand::V,
            };
            x[0].attention_grad(AttentionGrad { causal: causal(), of }, [&x[1], &x[2], &x[3], &x[4], &x[5]])
        }
        "masked_dot_product_attention" => {
            x[0].masked_dot_product_attention(&x[1], &x[2], &x[3].cast(DType::Bool))
        }
        "repeat_heads" => x[0].repeat_heads(count(a, "times")),
        "rotary" => x[0].rotary(&x[1], count(a, "limit"), number(a, "base")),
        "sinusoidal_positions" => x[0].sinusoidal_positions(count(a, "limit"), count(a, "width")),
        "rnn_cell" => x[0].rnn_cell(x.get(3), &x[1], &x[2], a["relu"].as_bool().expect("a truth value")),
        "gru_cell" => x[0].gru_cell(x.get(3), &x[1], &x[2]),
        _ => return None,
    })
}

/// As the reference's arguments say.
pub(super) fn cross_entropy(a: &Value) -> CrossEntropy {
    CrossEntropy {
        label_smoothing: number(a, "label_smoothing"),
        ignore_index: a["ignore_index"].as_i64().expect("a label") as i32,
    }
}

#[test]
fn methods_match_pytorch() {
    let reference = read("compositions.safetensors");
    let failures: Vec<String> = reference
        .cases()
        .iter()
        .flat_map(|case| {
            let method = case["method"].as_str().expect("a method");
            check_case(&reference, case, |x| apply(method, &case["args"], x))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
