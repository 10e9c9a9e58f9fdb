//! PyTorch's results at NaN, infinities, zeros, subnormal and the largest numbers, against our mathematics with every
//! operation rounded to f32. Doctor's `special` rows hold kernels to the same mathematics.

use super::{Reference, read};
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Builder, Env, Interpolation, Tensor, differentiate, interpret_rounded};
use wgrad_types::{Array, DType, Type};

/// Results that differ from PyTorch's, with the reason. All others are equal.
const EXCEPT: &[(&str, &str, &str)] = &[
    // hardswish and elu have gradient 1 at NaN there: the gradient of a NaN says nothing.
    ("hardswish", "din/0", "at NaN"),
    ("elu", "din/0", "at NaN"),
    // From y + 1 there, without digits left at y = -1.
    ("expm1", "din/0", "below -15"),
    // x times 6 overflows there before it is divided.
    ("hardswish", "out", "beyond 1e38"),
    // PyTorch's is another power: 0 at negative infinity, without the sign of -0.
    ("powf_minus_half", "din/0", "below -15"),
    ("powf_minus_half", "din/0", "at zero"),
];

/// Functions of one tensor without settings, by their names in the references.
pub(crate) fn function(name: &str, x: &Tensor) -> Option<Tensor> {
    Some(match name {
        "neg" => -x,
        "abs" => x.abs(),
        "sign" => x.sign(),
        "floor" => x.floor(),
        "exp" => x.exp(),
        "expm1" => x.expm1(),
        "log" => x.log(),
        "log1p" => x.log1p(),
        "sqrt" => x.sqrt(),
        "rsqrt" => x.rsqrt(),
        "reciprocal" => x.reciprocal(),
        "square" => x.square(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tanh" => x.tanh(),
        "erf" => x.erf(),
        "sigmoid" => x.sigmoid(),
        "relu" => x.relu(),
        "softplus" => x.softplus(),
        "silu" => x.silu(),
        "mish" => x.mish(),
        "hardswish" => x.hardswish(),
        "relu6" => x.relu6(),
        _ => return None,
    })
}

fn apply(name: &str, x: &[Tensor]) -> Tensor {
    if let Some(y) = function(name, &x[0]) {
        return y;
    }
    let padded = Window::new(3, 2, 1);
    let dilated =
        |dilation: usize, padding: usize| ConvSpec { dilation: [dilation; 2], ..ConvSpec::new(1, padding) };
    match name {
        "leaky_relu" => x[0].leaky_relu(0.01),
        "elu" => x[0].elu(1.0),
        "clamp" => x[0].clamp(-1.0, 2.5),
        "powf_zero" => x[0].powf(0.0),
        "powf_half" => x[0].powf(0.5),
        "powf_one" => x[0].powf(1.0),
        "powf_square" => x[0].powf(2.0),
        "powf_cube" => x[0].powf(3.0),
        "powf_minus_half" => x[0].powf(-0.5),
        "powf_inverse" => x[0].powf(-1.0),
        "powf_minus_two" => x[0].powf(-2.0),
        "powf_fifth" => x[0].powf(5.0),
        "powf_minus_three" => x[0].powf(-3.0),
        "powf_broken" => x[0].powf(2.5),
        "powf_minus_broken" => x[0].powf(-1.5),
        "pow" => x[0].pow(&x[1]),
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        "div" => &x[0] / &x[1],
        "amax" => x[0].amax(&[1]),
        "amin" => x[0].amin(&[1]),
        "argmax" => x[0].argmax(0),
        "softmax" => x[0].softmax(1),
        "log_softmax" => x[0].log_softmax(1),
        "logsumexp" => x[0].logsumexp(1),
        "max_pool2d" => x[0].max_pool2d(padded),
        "max_pool2d_low" => x[0].max_pool2d(Window::new(2, 2, 0)),
        "avg_pool2d" => x[0].avg_pool2d(padded),
        "adaptive_avg_pool2d" => x[0].adaptive_avg_pool2d([4, 5]),
        "interpolate_nearest" => x[0].interpolate([12, 18], Interpolation::Nearest),
        "interpolate_nearest_uneven" => x[0].interpolate([4, 9], Interpolation::Nearest),
        "interpolate_bilinear" => x[0].interpolate([9, 4], Interpolation::Bilinear),
        "bce_loss" => x[0].bce_loss(&x[1]),
        "dropout_one" => x[0].dropout(1.0),
        "cast_to_bool" => x[0].cast(DType::Bool).to_f32(),
        "conv_transpose2d_wide" => x[0].conv_transpose2d(&x[1], None, dilated(2, 0), [1, 1]),
        "conv_transpose2d_padded" => x[0].conv_transpose2d(&x[1], None, dilated(3, 1), [2, 2]),
        "gradient_penalty" => {
            let y = x[0].conv2d(&x[1], None, ConvSpec::new(1, 1)).tanh().max_pool2d(padded);
            let g = differentiate(&y.square().sum_all(), &[x[0].clone()]).expect("a gradient").remove(0);
            (g.square().sum(&[1, 2, 3]).sqrt() - 1.0).square().mean_all()
        }
        other => panic!("no function is called {other}"),
    }
}

/// The first element that differs.
fn unlike(want: &Array, got: &Array, least: f64, skip: impl Fn(usize) -> bool) -> Option<String> {
    assert_eq!(want.shape, got.shape);
    // Sums in another order differ by some units of their terms, not of the rest after cancellation.
    let most = |w: f64| least.max(2e-5 * w.abs() + if w.abs() > 1e-3 { 1e-7 } else { 1e-37 });
    want.data.iter().zip(&got.data).enumerate().find_map(|(i, (&w, &g))| {
        let like = w == g || (w.is_nan() && g.is_nan());
        let near = w.is_finite() && (w - g).abs() <= most(w);
        (!like && !near && !skip(i)).then(|| format!("[{i}] is {g}, PyTorch's {w}"))
    })
}

fn check(reference: &Reference, name: &str, inputs: usize) -> Vec<String> {
    let b = Builder::new();
    let mut env = Env::default();
    let mut x = Vec::new();
    for i in 0..inputs {
        let array = reference.get(&format!("{name}/in/{i}")).clone();
        x.push(b.input(&format!("x{i}"), Type::f32(&array.shape)));
        env.inputs.insert(format!("x{i}"), array);
    }
    let y = apply(name, &x);
    b.output("out", &y);
    let own: Vec<usize> =
        (0..inputs).filter(|i| reference.find(&format!("{name}/din/{i}")).is_some()).collect();
    // The target's gradient of a binary cross-entropy holds logarithms at -100; PyTorch's does not.
    let own: Vec<usize> = own.into_iter().filter(|&i| (name, i) != ("bce_loss", 1)).collect();
    if !own.is_empty() {
        let wrt: Vec<Tensor> = own.iter().map(|&i| x[i].clone()).collect();
        let found = differentiate(&y.sum_all(), &wrt).unwrap_or_else(|e| panic!("{name}: {e}"));
        own.iter().zip(found).for_each(|(i, g)| b.output(&format!("din/{i}"), &g));
    }
    let graph = b.graph();
    let values = interpret_rounded(&graph, &env, |v| f64::from(v as f32));
    let mut failures = Vec::new();
    for (output, v) in &graph.outputs {
        let got = values[v.index()].as_ref().expect("outputs are evaluated");
        let want = reference.get(&format!("{name}/{output}"));
        let exceptions = || EXCEPT.iter().filter(|e| (e.0, e.1) == (name, output.as_str())).map(|e| e.2);
        let at = |i: usize| env.inputs["x0"].data.get(i).copied().unwrap_or(0.0);
        let skip = |i: usize| {
            exceptions().any(|place| match place {
                "at NaN" => at(i).is_nan(),
                "below -15" => at(i) < -15.0,
                "beyond 1e38" => at(i).abs() > 1e38,
                _ => at(i) == 0.0,
            })
        };
        // Three passes, each a sum in f32: their rounding is a share of the largest.
        let largest = want.data.iter().fold(0f64, |m, v| m.max(v.abs()));
        let least = if name == "gradient_penalty" { 1e-5 * largest } else { 0.0 };
        failures.extend(unlike(want, got, least, skip).map(|why| format!("{name}/{output}{why}")));
    }
    failures
}

#[test]
fn functions_at_the_ends_of_the_line_are_pytorchs() {
    let reference = read("special.safetensors");
    let cases = reference.cases();
    assert!(cases.len() > 60, "{} cases", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            let (name, inputs) =
                (case["name"].as_str().expect("a name"), case["inputs"].as_u64().expect("a count"));
            check(&reference, name, inputs as usize)
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
