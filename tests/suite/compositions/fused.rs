//! Fused kernels against compositions of other operations: both give the same.

use super::{Values, differ, on_cpu, weighted};
use wgrad_graph::ops::ConvSpec;
use wgrad_graph::{Builder, Tensor, differentiate};
use wgrad_types::{Array, DType, Type};

/// Far above rounding, far below a wrong factor.
const SAME: (f64, f64) = (1e-4, 2e-5);

/// A way to compute something of some tensors.
type Way<'a> = &'a dyn Fn(&[Tensor]) -> Tensor;

/// Values and gradients of both ways on the CPU.
fn same(what: &str, shapes: &[&[usize]], ways: [Way<'_>; 2]) {
    let found = ways.map(|way| {
        let (b, mut fed) = (Builder::new(), Values::new());
        let x: Vec<Tensor> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| {
                let value =
                    |at: usize| f64::from((((at * 37 + i * 11 + at * at % 7) % 101) as f32 / 50.0) - 1.0);
                fed.insert(format!("x{i}"), (Array::from_fn(shape, value), false));
                b.input(&format!("x{i}"), Type::f32(shape))
            })
            .collect();
        let y = way(&x);
        b.output("y", &y);
        let total = weighted(std::slice::from_ref(&y)).expect("an output");
        let slopes = differentiate(&total, &x).expect("gradients");
        slopes.iter().enumerate().for_each(|(i, g)| b.output(&format!("d{i}"), g));
        on_cpu(&b.graph(), &fed)
    });
    for ((name, a), (_, b)) in found[0].iter().zip(&found[1]) {
        if let Some(why) = differ(&format!("{what}: {name}"), b, a, SAME) {
            panic!("{why} of the composition");
        }
    }
}

/// Attention by products and a softmax, masked by hand, heads shared by gathering.
fn composed(q: &Tensor, k: &Tensor, v: &Tensor, causal: bool) -> Tensor {
    let (s, keys) = (q.shape(), k.shape());
    let owner: Vec<f64> = (0..s[1]).map(|h| (h / (s[1] / keys[1])) as f64).collect();
    let own = |x: &Tensor| {
        let shape = [s[0], s[1], x.shape()[2], x.shape()[3]];
        let at = q.builder().literal(&Array::new(&[1, s[1], 1, 1], owner.clone())).cast(DType::I32);
        x.gather(1, &at.broadcast_to(&shape))
    };
    let (k, v) = (own(k), own(v));
    let scores = q.matmul(&k.permute(&[0, 1, 3, 2])) / (s[3] as f64).sqrt();
    let hidden =
        Array::from_fn(&[s[2], keys[2]], |i| if causal && i % keys[2] > i / keys[2] { -1e30 } else { 0.0 });
    let e = (scores + q.builder().literal(&hidden)).exp();
    (&e / &e.sum_keep(&[3])).matmul(&v)
}

#[test]
fn attention_fused_matches_products() {
    for (b, h, g, l, s, d, e, causal) in [
        (2, 4, 2, 37, 70, 8, 12, false),
        (1, 6, 2, 70, 70, 16, 8, true),
        (1, 2, 2, 9, 130, 4, 4, false),
        (1, 4, 1, 66, 40, 12, 12, true),
        (2, 4, 2, 7, 9, 5, 3, true),
        (1, 3, 3, 1, 33, 8, 8, false),
    ] {
        same(
            &format!("attention of {h} heads over {g}, {l} by {s}, {d} and {e} wide"),
            &[&[b, h, l, d], &[b, g, s, d], &[b, g, s, e]],
            [&|x| x[0].scaled_dot_product_attention(&x[1], &x[2], causal), &|x| {
                composed(&x[0], &x[1], &x[2], causal)
            }],
        );
    }
}

/// A convolution as shifted copies and products of matrices.
fn taps(x: &Tensor, w: &Tensor, spec: ConvSpec) -> Tensor {
    let (s, k) = (x.shape(), w.shape());
    let [ph, pw] = spec.padding;
    let padded = x.pad(&[(0, 0), (0, 0), (ph, ph), (pw, pw)]);
    let out = |d: usize| {
        (s[2 + d] + 2 * spec.padding[d] - spec.dilation[d] * (k[2 + d] - 1) - 1) / spec.stride[d] + 1
    };
    let picked = |x: &Tensor, axis: usize, from: usize, d: usize| {
        let at: Vec<f64> = (0..out(d)).map(|i| (from + i * spec.stride[d]) as f64).collect();
        let mut along = [1; 4];
        along[axis] = at.len();
        let mut shape = x.shape();
        shape[axis] = at.len();
        let at = x.builder().literal(&Array::new(&along, at)).cast(DType::I32).broadcast_to(&shape);
        x.gather(axis, &at)
    };
    let (cin, cout) = (k[1], k[0] / spec.groups);
    let mut groups = Vec::new();
    for g in 0..spec.groups {
        let mut sum: Option<Tensor> = None;
        for r in 0..k[2] {
            for q in 0..k[3] {
                let rows = picked(&padded, 2, r * spec.dilation[0], 0);
                let tap = picked(&rows, 3, q * spec.dilation[1], 1).narrow(1, g * cin, cin);
                let flat = tap.reshape(&[s[0], cin, out(0) * out(1)]);
                let w = w.slice(&[(g * cout, cout), (0, cin), (r, 1), (q, 1)]).reshape(&[cout, cin]);
                let part = w.broadcast_to(&[s[0], cout, cin]).matmul(&flat);
                sum = Some(sum.map_or(part.clone(), |sum| sum + part));
            }
        }
        groups.push(sum.expect("a tap").reshape(&[s[0], cout, out(0), out(1)]));
    }
    Tensor::concat(&groups.iter().collect::<Vec<_>>(), 1)
}

#[test]
fn conv_paths_match_shifted_products() {
    let spec = |stride, padding, dilation, groups| ConvSpec { stride, padding, dilation, groups };
    for (x, w, spec) in [
        // Winograd's shape, then the first layer's, strides, depthwise, groups, unequal dilations.
        (&[1, 16, 12, 10][..], &[16, 16, 3, 3][..], spec([1, 1], [1, 1], [1, 1], 1)),
        (&[2, 3, 11, 14], &[16, 3, 5, 3], spec([2, 1], [2, 1], [1, 1], 1)),
        (&[1, 16, 9, 12], &[24, 16, 3, 3], spec([1, 2], [0, 1], [1, 1], 1)),
        (&[2, 16, 9, 8], &[16, 1, 3, 3], spec([1, 2], [1, 0], [1, 1], 16)),
        (&[1, 32, 7, 9], &[32, 16, 2, 3], spec([1, 1], [0, 2], [1, 1], 2)),
        (&[1, 16, 13, 11], &[16, 16, 3, 3], spec([1, 1], [3, 1], [3, 2], 1)),
    ] {
        same(
            &format!("conv2d {x:?} by {w:?}, {spec:?}"),
            &[x, w],
            [&|t| t[0].conv2d(&t[1], None, spec), &|t| taps(&t[0], &t[1], spec)],
        );
    }
}

/// Functions along an axis.
type AlongAxis = fn(&Tensor, isize) -> Tensor;

/// Chains over rows: softmax and layer norm along the last axis run as one step there, and in pieces over another axis.
#[test]
fn row_chains_match_other_axes() {
    let last: [(&str, AlongAxis); 3] = [
        ("softmax", |x, d| x.softmax(d)),
        ("log_softmax", |x, d| x.log_softmax(d)),
        ("standardised", |x, d| {
            let axis = [d as usize];
            let centred = x - &x.mean_keep(&axis);
            &centred * &(centred.square().mean_keep(&axis) + 1e-5).rsqrt()
        }),
    ];
    for (name, f) in last {
        for shape in [[5, 33], [3, 300], [2, 1025]] {
            same(&format!("{name} of {shape:?}"), &[&shape], [&|x| f(&x[0], 1), &|x| f(&x[0].t(), 0).t()]);
        }
    }
}
