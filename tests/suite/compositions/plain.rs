//! Functions without a PyTorch counterpart, by plain loops.

use super::exact;
use wgrad_graph::{Builder, Env, NamedTensor, Role};
use wgrad_nn::{Conv, Heads, Mode, Net, Recurrent, RecurrentKind, join};
use wgrad_types::{Array, DType, Type};

#[test]
fn constants_have_requested_values() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[2, 3]));
    b.output("like", &x.full_like(2.5));
    b.output("zeros", &x.zeros_like());
    b.output("rows", &x.iota_like(0));
    b.output("columns", &x.iota_like(1));
    b.output("full", &b.full(&[3], -1.5));
    b.output("iota", &b.iota(4));
    b.output("literal", &b.literal(&Array::new(&[2], vec![0.5, 7.0])));
    let inputs = [("x".to_owned(), Array::full(&[2, 3], 9.0))].into();
    let found = exact(&b.graph(), &Env { inputs, ..Env::default() });
    let want: [(&str, &[usize], &[f64]); 7] = [
        ("like", &[2, 3], &[2.5; 6]),
        ("zeros", &[2, 3], &[0.0; 6]),
        ("rows", &[2, 3], &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
        ("columns", &[2, 3], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]),
        ("full", &[3], &[-1.5; 3]),
        ("iota", &[4], &[0.0, 1.0, 2.0, 3.0]),
        ("literal", &[2], &[0.5, 7.0]),
    ];
    for ((name, got), (wanted, shape, data)) in found.iter().zip(want) {
        assert_eq!((name.as_str(), &got.shape[..], &got.data[..]), (wanted, shape, data));
    }
    let whole = |t: wgrad_graph::Tensor| t.dtype() == DType::I32;
    assert!(whole(x.iota_like(0)) && whole(b.iota(4)), "coordinates are whole numbers");
}

#[test]
fn repeated_heads_are_consecutive() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[1, 2, 1, 2]));
    let heads = Heads { keys: 2, ..Heads::new(6, true) };
    assert!(heads.causal && heads.rotary.is_none() && Heads::new(6, false).keys == 6);
    b.output("shared", &heads.shared(&x));
    b.output("joined", &join(&heads.shared(&x)));
    let inputs = [("x".to_owned(), Array::new(&[1, 2, 1, 2], vec![1.0, 2.0, 3.0, 4.0]))].into();
    let found = exact(&b.graph(), &Env { inputs, ..Env::default() });
    let want = vec![1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0, 3.0, 4.0];
    assert_eq!((&found[0].1.shape, &found[0].1.data), (&vec![1, 6, 1, 2], &want));
    assert_eq!((&found[1].1.shape, &found[1].1.data), (&vec![1, 1, 12], &want));
}

#[test]
fn constructors_set_their_defaults() {
    let conv = Conv::new(5, 3, 2, 1);
    assert_eq!((conv.out, conv.kernel, conv.bias, conv.output_padding), (5, [3, 3], true, [0, 0]));
    let spec = conv.spec;
    assert_eq!((spec.stride, spec.padding, spec.dilation, spec.groups), ([2, 2], [1, 1], [1, 1], 1));
    assert!(!conv.no_bias().bias);
    let own = Recurrent::new(RecurrentKind::Gru, 4, 2);
    assert_eq!((own.hidden, own.layers, own.bidirectional, own.dropout), (4, 2, false, 0.0));
}

/// A layer used twice in a step updates its statistics twice, one use after the other.
#[test]
fn batch_norm_used_twice_updates_twice() {
    let net = Net::new(Mode::Train);
    let (a, b) = (net.input("a", Type::f32(&[4, 1])), net.input("b", Type::f32(&[4, 1])));
    let norm = wgrad_nn::Norm { eps: 1e-5, momentum: 0.25 };
    net.builder().output("a", &net.batch_norm("bn", &a, norm));
    net.builder().output("b", &net.shared(|| net.batch_norm("bn", &b, norm)));
    let graph = net.builder().graph();
    let arrays = [[1.0, 2.0, 4.0, 9.0], [-3.0, 0.0, 1.0, 6.0]];
    let inputs =
        ["a", "b"].into_iter().zip(arrays).map(|(n, d)| (n.to_owned(), Array::new(&[4, 1], d.to_vec())));
    let params = net.initial(0).into_iter().map(|t| ((t.role, t.name), t.value.to_array())).collect();
    let values = wgrad_graph::interpret(&graph, &Env { inputs: inputs.collect(), params, ..Env::default() });
    let (mut mean, mut var) = (0.0, 1.0);
    for data in arrays {
        let m = data.iter().sum::<f64>() / 4.0;
        let v = data.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / 3.0;
        (mean, var) = (0.75 * mean + 0.25 * m, 0.75 * var + 0.25 * v);
    }
    for (name, want) in [("bn.running_mean", mean), ("bn.running_var", var)] {
        let own = |u: &&wgrad_graph::Update| matches!(&graph.node(u.target).op, wgrad_graph::Op::Leaf(wgrad_graph::ops::Leaf::Param { name: n, role: Role::Buffer, .. }) if n == name);
        let update = graph.updates.iter().find(own).expect("an update");
        let got = values[update.value.index()].as_ref().expect("a value").data[0];
        assert!((got - want).abs() < 1e-6, "{name} is {got}, by hand {want}");
    }
}

/// First values of a layer's parameters, from PyTorch's documentation: a bound, or a mean and a deviation.
#[test]
fn layers_start_with_pytorch_distributions() {
    let net = Net::new(Mode::Train);
    let input = |name: &str, shape: &[usize]| net.input(name, Type::f32(shape));
    let picture = input("picture", &[1, 8, 9, 9]);
    let _ = net.linear("linear", &input("row", &[1, 50]), 40);
    let _ = net.linear_no_bias("bare", &input("bare", &[1, 50]), 40);
    let grouped = Conv { kernel: [3, 5], ..Conv::new(16, 3, 1, 0) };
    let grouped = Conv { spec: wgrad_graph::ops::ConvSpec { groups: 2, ..grouped.spec }, ..grouped };
    let _ = net.conv2d("conv", &picture, grouped);
    let _ = net.conv_transpose2d("turned", &picture, Conv { kernel: [3, 5], ..Conv::new(16, 3, 1, 0) });
    let _ = net.recurrent("rnn", &input("steps", &[1, 2, 30]), Recurrent::new(RecurrentKind::Lstm, 25, 1));
    let _ = net.multihead_attention("heads", &input("tokens", &[1, 3, 24]), Heads::new(4, false));
    let index = net.input("index", Type::i32(&[2]));
    let _ = net.embedding("tok", &index, 60, 20);
    let norm = wgrad_nn::Norm::default();
    let _ = (net.batch_norm("bn", &input("batch", &[4, 30]), norm), net.group_norm("gn", &picture, 2));
    let _ = (net.layer_norm("ln", &picture), net.rms_norm("rms", &picture, 1e-5));
    let root = |n: f64| 1.0 / n.sqrt();
    // Uniform within the bound; or all of one value.
    let bounds = [
        ("linear.weight", root(50.0)),
        ("linear.bias", root(50.0)),
        ("bare.weight", root(50.0)),
        ("conv.weight", root(4.0 * 15.0)),
        ("conv.bias", root(4.0 * 15.0)),
        // From the weight's second axis.
        ("turned.weight", root(16.0 * 15.0)),
        ("turned.bias", root(16.0 * 15.0)),
        ("rnn.weight_ih_l0", root(25.0)),
        ("rnn.weight_hh_l0", root(25.0)),
        ("rnn.bias_ih_l0", root(25.0)),
        ("rnn.bias_hh_l0", root(25.0)),
        ("heads.in_proj_weight", (6.0f64 / (24.0 + 72.0)).sqrt()),
        ("heads.out_proj.weight", root(24.0)),
    ];
    let all = [
        ("heads.in_proj_bias", 0.0),
        ("heads.out_proj.bias", 0.0),
        ("bn.weight", 1.0),
        ("bn.bias", 0.0),
        ("bn.running_mean", 0.0),
        ("bn.running_var", 1.0),
        ("gn.weight", 1.0),
        ("gn.bias", 0.0),
        ("ln.weight", 1.0),
        ("ln.bias", 0.0),
        ("rms.weight", 1.0),
    ];
    for NamedTensor { name, value: tensor, .. } in net.initial(3) {
        let data = tensor.to_array().data;
        let (n, most) = (data.len() as f64, data.iter().fold(0.0f64, |m, v| m.max(v.abs())));
        let mean = data.iter().sum::<f64>() / n;
        let deviation = (data.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        if let Some((_, value)) = all.iter().find(|a| a.0 == name) {
            assert!(data.iter().all(|v| v == value), "{name} starts at {value}");
        } else if let Some((_, bound)) = bounds.iter().find(|b| b.0 == name) {
            let near = 1.0 - (8.0 / n).min(0.5);
            assert!(most <= *bound && most > near * bound, "{name}: largest {most}, bound {bound}");
            assert!(mean.abs() < 4.0 * bound * root(3.0 * n), "{name}: mean {mean}");
            let off = deviation / (bound / 3f64.sqrt()) - 1.0;
            assert!(off.abs() < 4.0 * root(n), "{name}: deviation {deviation} for bound {bound}");
        } else {
            assert_eq!(name, "tok.weight", "no start is told of it");
            assert!(
                mean.abs() < 4.0 * root(n) && (deviation - 1.0).abs() < 4.0 * root(2.0 * n),
                "{name}: {mean}, {deviation}"
            );
        }
    }
}

/// Windows large enough for pooling axis by axis, compared with loops over both axes.
#[test]
fn pool_large_windows_match_loops() {
    let (height, width) = (131, 134);
    let window = wgrad_graph::ops::Window { kernel: [127, 130], stride: [2, 3], padding: [1, 4] };
    let out = [4, 5];
    let value = |i: usize| ((i * 7919 + i * i % 101) % 4093) as f64;
    let image = Array::from_fn(&[1, 1, height, width], value);
    let b = Builder::new();
    let x = b.input("x", Type::f32(&image.shape));
    for (name, y) in [("max", x.max_pool2d(window)), ("avg", x.avg_pool2d(window))] {
        assert_eq!(y.shape(), [1, 1, out[0], out[1]]);
        b.output(name, &y);
        let total = super::weighted(std::slice::from_ref(&y)).expect("an output");
        b.output(
            &format!("d{name}"),
            &wgrad_graph::differentiate(&total, std::slice::from_ref(&x)).expect("a gradient")[0],
        );
    }
    let slopes = super::cotangent(&[out[0], out[1]]).data;
    let mut want = [vec![0.0; 20], vec![0.0; height * width], vec![0.0; 20], vec![0.0; height * width]];
    for (o, slope) in slopes.iter().enumerate() {
        let (mut best, mut sum, mut inside) = (None, 0.0, Vec::new());
        for at in 0..127 * 130 {
            let (y, x) = (o / out[1] * 2 + at / 130, o % out[1] * 3 + at % 130);
            if (1..height + 1).contains(&y) && (4..width + 4).contains(&x) {
                let i = (y - 1) * width + x - 4;
                best = best.filter(|b| value(*b) >= value(i)).or(Some(i));
                sum += value(i);
                inside.push(i);
            }
        }
        let best = best.expect("a pixel");
        (want[0][o], want[2][o]) = (value(best), sum / (127.0 * 130.0));
        want[1][best] += slope;
        inside.into_iter().for_each(|i| want[3][i] += slope / (127.0 * 130.0));
    }
    let inputs = [("x".to_owned(), image.clone())].into();
    let fed = [("x".to_owned(), (image, false))].into();
    let graph = b.graph();
    let ways = [exact(&graph, &Env { inputs, ..Env::default() }), super::on_cpu(&graph, &fed)];
    for found in ways {
        for ((name, got), want) in found.iter().zip(&want) {
            let want = Array::new(&got.shape, want.clone());
            assert_eq!(super::differ(name, &want, got, super::ROUNDED), None);
        }
    }
}
