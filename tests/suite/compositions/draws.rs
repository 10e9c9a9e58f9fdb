//! Random draws by their statistics, and the positions of dropout: present in training as in the published models,
//! gone in evaluation, each layer with a mask of its own.

use super::{exact, weighted};
use std::collections::BTreeSet;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Builder, Env, Graph, Role, Tensor, differentiate};
use wgrad_models::{Autoencoder, ImageModel, ModelKind, TextKind, TextModel, UNet, ZOO};
use wgrad_nn::{Mode, Net, Recurrent, RecurrentKind};
use wgrad_session::Session;
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Array, HostTensor, Type};

const SIDE: usize = 64;
const COUNT: f64 = (SIDE * SIDE) as f64;

/// Asserts a share of [`COUNT`] trials within five standard deviations of a probability.
fn near(what: &str, hits: usize, p: f64) {
    let (share, spread) = (hits as f64 / COUNT, (p * (1.0 - p) / COUNT).sqrt());
    assert!((share - p).abs() <= 5.0 * spread, "{what}: a share of {share} where {p} is expected");
}

/// Outputs of a graph over one input `x` of `SIDE` squared for a seed and a step, in f64, then on the CPU and
/// on the adapter.
fn outputs(graph: &Graph, x: &Array, seed: u32, step: u32) -> Vec<Vec<Array>> {
    let env = Env { inputs: [("x".into(), x.clone())].into(), seed, step, ..Env::default() };
    let mut all = vec![exact(graph, &env).into_iter().map(|o| o.1).collect::<Vec<_>>()];
    for device in [cpu(), gpu()] {
        let (mut session, mut runner) = Session::new(&device, graph, &Vec::new(), seed).expect("a session");
        let x: HostTensor = x.to_host(wgrad_types::DType::F32);
        runner.step(&mut session, u64::from(step), &[("x", &x)], &[]).expect("a step");
        let found = runner.wait().expect("results").expect("a step is under way");
        all.push(graph.outputs.iter().map(|(name, _)| found.get(name).to_array()).collect());
    }
    all
}

fn pixels() -> Array {
    Array::from_fn(&[SIDE, SIDE], |i| f64::from((1.0 + (i % 97) as f64 / 40.0) as f32))
}

/// Mask of kept elements; each is 0 or the input's by `1 / (1 - p)`.
fn kept(what: &str, x: &Array, y: &Array, p: f64) -> Vec<bool> {
    let one = |(i, (x, y)): (usize, (&f64, &f64))| {
        let whole = x / (1.0 - p);
        assert!(*y == 0.0 || (y - whole).abs() < 1e-5 * whole, "{what}[{i}] is {y}, of {x} with p {p}");
        *y != 0.0
    };
    x.data.iter().zip(&y.data).enumerate().map(one).collect()
}

fn both(a: &[bool], b: &[bool]) -> usize {
    a.iter().zip(b).filter(|(a, b)| **a && **b).count()
}

#[test]
fn dropout_share_scale_and_gradient_mask() {
    let x = pixels();
    for p in [0.1, 0.3, 0.5, 0.8] {
        let b = Builder::new();
        let input = b.input("x", Type::f32(&[SIDE, SIDE]));
        let y = input.dropout(p);
        b.output("y", &y);
        let total = weighted(std::slice::from_ref(&y)).expect("an output");
        b.output("dx", &differentiate(&total, &[input]).expect("a gradient")[0]);
        for found in outputs(&b.graph(), &x, 3, 5) {
            let mask = kept("dropout", &x, &found[0], p);
            near("kept", mask.iter().filter(|k| **k).count(), 1.0 - p);
            // Neighbours along both axes fall as they like.
            let pairs =
                |step: usize| (0..mask.len()).filter(|&i| mask[i] && mask[(i + step) % mask.len()]).count();
            for step in [1, 2, 4, SIDE] {
                near(&format!("kept with the element {step} on"), pairs(step), (1.0 - p) * (1.0 - p));
            }
            let mean = |a: &Array| a.data.iter().sum::<f64>() / COUNT;
            let spread = (p / (1.0 - p) / COUNT).sqrt() * 2.5;
            assert!((mean(&found[0]) - mean(&x)).abs() < 5.0 * spread, "the mean is kept");
            let slope = super::cotangent(&[SIDE, SIDE]);
            for (i, (d, c)) in found[1].data.iter().zip(&slope.data).enumerate() {
                let want = if mask[i] { c / (1.0 - p) } else { 0.0 };
                assert!((d - want).abs() < 1e-5, "gradient [{i}] is {d}, with the mask {want}");
            }
        }
    }
}

#[test]
fn draws_are_independent_by_stream_step_and_seed() {
    let x = pixels();
    let b = Builder::new();
    let input = b.input("x", Type::f32(&[SIDE, SIDE]));
    let p = 0.5;
    (0..3).for_each(|i| b.output(&format!("y{i}"), &input.dropout(p)));
    b.output("draw", &b.rand(&[SIDE, SIDE]));
    let at = |seed, step| {
        outputs(&b.graph(), &x, seed, step)
            .into_iter()
            .map(|found| {
                let mut masks: Vec<Vec<bool>> =
                    found[..3].iter().map(|y| kept("dropout", &x, y, p)).collect();
                masks.push(found[3].data.iter().map(|v| *v >= p).collect());
                masks
            })
            .collect::<Vec<_>>()
    };
    let (first, again) = (at(3, 5), at(3, 5));
    assert!(first == again, "one seed and step draw the same");
    assert!(first.iter().all(|f| *f == first[0]), "every device draws the same");
    let all: Vec<Vec<bool>> = [(3, 5), (3, 6), (4, 5), (3, 0)]
        .into_iter()
        .flat_map(|(seed, step)| at(seed, step).remove(0))
        .collect();
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate().skip(i + 1) {
            near(&format!("draws {i} and {j}: kept by both"), both(a, b), 0.25);
        }
    }
}

#[test]
fn draws_are_uniform() {
    let b = Builder::new();
    b.output("draw", &b.rand(&[SIDE, SIDE]));
    // An input, as every graph here has one.
    b.output("x", &(b.input("x", Type::f32(&[SIDE, SIDE])) + 0.0));
    for found in outputs(&b.graph(), &pixels(), 7, 1) {
        let draw = &found[0].data;
        assert!(draw.iter().all(|v| (0.0..1.0).contains(v)));
        for cell in 0..16 {
            let (low, high) = (f64::from(cell) / 16.0, f64::from(cell + 1) / 16.0);
            near("a sixteenth", draw.iter().filter(|v| (low..high).contains(*v)).count(), 1.0 / 16.0);
        }
    }
}

/// Streams of a graph's live draws.
fn streams(graph: &Graph) -> Vec<u32> {
    let live = graph.live();
    let of = |(node, live): (&wgrad_graph::Node, bool)| match &node.op {
        Op::Leaf(Leaf::Random { stream, .. }) if live => Some(*stream),
        _ => None,
    };
    graph.nodes.iter().zip(live).filter_map(of).collect()
}

/// A stack of copying layers with dropout between them: each element is 0 or scaled once per gap, and the
/// last layer's own result is not dropped.
#[test]
fn dropout_between_recurrent_layers_in_training_only() {
    let (rows, steps, width, p) = (32, 8, 16, 0.5);
    assert_eq!((rows * steps * width) as f64, COUNT);
    for (layers, bidirectional) in [(1, false), (2, false), (3, false), (2, true)] {
        let own =
            Recurrent { dropout: p, bidirectional, ..Recurrent::new(RecurrentKind::RnnRelu, width, layers) };
        let build = |mode: Mode| {
            let net = Net::new(mode);
            let x = net.input("x", Type::f32(&[rows, steps, width]));
            let y = net.recurrent("rnn", &x, own).y;
            // One direction is as good as both.
            net.builder().output("y", &y.narrow(2, 0, width));
            net
        };
        let x = Array::from_fn(&[rows, steps, width], |i| 1.0 + (i % 13) as f64 / 16.0);
        let found = |net: &Net| {
            // Weights of the input: the identity, once for each direction below at half the size; of the state: none.
            let value = |name: &str, shape: &[usize]| {
                let share = if name.contains("_l0") || !bidirectional { 1.0 } else { 0.5 };
                let own = name.contains("weight_ih");
                Array::from_fn(shape, |i| {
                    let (row, column) = (i / shape.last().unwrap_or(&1), i % shape.last().unwrap_or(&1));
                    if own && column % width == row { share } else { 0.0 }
                })
            };
            let params = net
                .weights()
                .into_iter()
                .map(|w| ((Role::Weight, w.name.clone()), value(&w.name, &w.tensor.shape())));
            let env =
                Env { inputs: [("x".into(), x.clone())].into(), params: params.collect(), seed: 1, step: 2 };
            exact(&net.builder().graph(), &env).remove(0).1
        };
        let (train, eval) = (build(Mode::Train), build(Mode::Eval));
        let drawn = streams(&train.builder().graph());
        assert_eq!(drawn.len(), layers - 1, "a draw a gap");
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), layers - 1, "each its own");
        assert!(streams(&eval.builder().graph()).is_empty(), "none in evaluation");
        let (trained, judged) = (found(&train), found(&eval));
        for (got, want) in judged.data.iter().zip(&x.data) {
            assert!((got - want).abs() < 1e-6, "evaluation copies {want}, not {got}");
        }
        let gaps = (layers - 1) as i32;
        if bidirectional {
            // Halves of two draws: none, one or both.
            let times = |n: f64| {
                trained.data.iter().zip(&x.data).filter(|(y, x)| (**y - n * **x).abs() < 1e-5).count()
            };
            near("both halves", times(2.0), 0.25);
            near("one half", times(1.0), 0.5);
            continue;
        }
        let scale = (1.0 - p).powi(gaps);
        let whole = trained.data.iter().zip(&x.data).filter(|(y, x)| (*y - *x / scale).abs() < 1e-5).count();
        let gone = trained.data.iter().filter(|y| **y == 0.0).count();
        assert_eq!(whole + gone, trained.data.len(), "nothing between");
        if gaps > 0 {
            near("kept through all gaps", whole, scale);
        } else {
            assert_eq!(gone, 0, "one layer drops nothing");
        }
    }
}

/// Draws of a model in training, as its paper or torchvision has them.
fn draws(kind: ModelKind) -> usize {
    match kind {
        ModelKind::AlexNet | ModelKind::Vgg11 => 2,
        // One before the classifier, one in each head on the way.
        ModelKind::Inception => 3,
        ModelKind::MobileNetV2 | ModelKind::SqueezeNet => 1,
        ModelKind::Linear | ModelKind::Mlp | ModelKind::LeNet | ModelKind::CifarCnn | ModelKind::ViT => 0,
        ModelKind::ResNet18 | ModelKind::ResNet34 | ModelKind::ResNet50 => 0,
    }
}

/// Asserts the number of draws in training, each on a stream of its own, and none in evaluation.
fn drawn(name: &str, count: usize, build: impl Fn(&Net) -> Vec<Tensor>) {
    let graph = |mode: Mode| {
        let net = Net::new(mode);
        build(&net).iter().enumerate().for_each(|(i, y)| net.builder().output(&format!("y{i}"), y));
        net.builder().graph()
    };
    let (train, eval) = (streams(&graph(Mode::Train)), streams(&graph(Mode::Eval)));
    assert_eq!(train.len(), count, "{name}: draws in training");
    assert_eq!(train.iter().collect::<BTreeSet<_>>().len(), count, "{name}: layers share a draw");
    assert!(eval.is_empty(), "{name} draws in evaluation");
}

#[test]
fn dropout_of_models_in_training_only() {
    for &(name, kind, _) in ZOO {
        let side = kind.image_size().unwrap_or(32).min(64);
        let model = ImageModel { kind, channels: 3, size: (side, side), classes: 4, width: 0.1 };
        drawn(name, draws(kind), |net| {
            let (logits, heads) =
                model.build_for_training(net, &net.input("x", model.input(2))).expect("a model");
            std::iter::once(logits).chain(heads.into_iter().map(|h| h.0)).collect()
        });
    }
    for (kind, count) in [
        (TextKind::Gpt, 1 + 2 * 3),
        (TextKind::Bert, 1 + 2 * 3),
        // Between layers, and before the head.
        (TextKind::Recurrent(RecurrentKind::Lstm), 2 + 1),
        (TextKind::Recurrent(RecurrentKind::Gru), 2 + 1),
        (TextKind::Recurrent(RecurrentKind::RnnTanh), 2 + 1),
    ] {
        let usual = TextModel::new(kind, 11);
        let model =
            TextModel { context: 6, layers: 3, hidden: 8, heads: 2, key_heads: 2, dropout: 0.2, ..usual };
        let x = |net: &Net| net.input("x", Type::i32(&[2, 6]));
        drawn(kind.name(), count, |net| vec![model.build(net, &x(net)).expect("a model")]);
    }
    let unet = UNet { classes: 3, width: 0.1 };
    drawn("unet", 0, |net| {
        vec![unet.build(net, &net.input("x", Type::f32(&[2, 3, 32, 32]))).expect("a model")]
    });
    let picture = |net: &Net| net.input("x", Type::f32(&[2, 1, 16, 16]));
    drawn("autoencoder", 0, |net| {
        vec![Autoencoder { width: 0.05, ..Autoencoder::default() }.build(net, &picture(net))]
    });
}

/// A mask of each of twenty layers, in a graph of its own.
fn layers() -> Graph {
    let b = Builder::new();
    let input = b.input("x", Type::f32(&[SIDE, SIDE]));
    for i in 0..20 {
        b.output(&format!("y{i}"), &input.dropout(0.5));
    }
    b.graph()
}

#[test]
fn dropout_masks_of_20_layers_differ() {
    for (at, found) in outputs(&layers(), &pixels(), 3, 1).into_iter().enumerate() {
        for (i, a) in found.iter().enumerate() {
            assert!(!found[..i].contains(a), "layer {i} has the mask of one before it (device {at})");
        }
    }
}

#[test]
fn dropout_mask_depends_on_high_bits() {
    let b = Builder::new();
    b.output("y", &b.input("x", Type::f32(&[SIDE, SIDE])).dropout(0.5));
    let (graph, x) = (b.graph(), pixels());
    let first = outputs(&graph, &x, 3, 5);
    for bit in [4, 9, 15, 19, 26, 31] {
        for (what, other) in [
            ("seed", outputs(&graph, &x, 3 ^ (1 << bit), 5)),
            ("step", outputs(&graph, &x, 3, 5 ^ (1 << bit))),
        ] {
            for (device, (a, b)) in first.iter().zip(&other).enumerate() {
                assert_ne!(a, b, "bit {bit} of the {what} (device {device})");
            }
            assert_eq!(other[0], other[1], "bit {bit} of the {what}: the CPU draws by the same rule");
            assert_eq!(other[0], other[2], "bit {bit} of the {what}: the adapter draws by the same rule");
        }
    }
}
