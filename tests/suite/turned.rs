//! A picture turned about its diagonal, settings exchanged: the result is the turned result. Needs no reference: it holds for the
//! f64 interpreter, the CPU and the adapter, forward and every gradient. (An exchange everywhere at once keeps it: PyTorch's
//! values in `golden::edges` tell.)

use std::sync::Arc;
use wgrad_device::Device;
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Builder, Env, Graph, Interpolation, Tensor, differentiate, interpret};
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::{cpu, gpu};
use wgrad_types::{Array, DType, HostTensor, Type};

/// Settings as they are, or exchanged.
#[derive(Clone, Copy)]
struct Turn(bool);

impl Turn {
    fn pair(self, [y, x]: [usize; 2]) -> [usize; 2] {
        if self.0 { [x, y] } else { [y, x] }
    }

    fn conv(self, [stride, padding, dilation]: [[usize; 2]; 3], groups: usize) -> ConvSpec {
        let [stride, padding, dilation] = [stride, padding, dilation].map(|p| self.pair(p));
        ConvSpec { stride, padding, dilation, groups }
    }

    fn window(self, [kernel, stride, padding]: [[usize; 2]; 3]) -> Window {
        let [kernel, stride, padding] = [kernel, stride, padding].map(|p| self.pair(p));
        Window { kernel, stride, padding }
    }
}

/// A function of pictures: its operands' shapes, and whether it runs on the adapter too, at a second of
/// compile time each.
struct Case {
    name: &'static str,
    shapes: &'static [[usize; 4]],
    everywhere: bool,
    build: fn(&[Tensor], Turn) -> Tensor,
}

const HIGH: [[usize; 2]; 3] = [[2, 1], [1, 2], [2, 3]];
const WIDE: [[usize; 2]; 3] = [[1, 2], [2, 0], [3, 1]];
const POOL: [[usize; 2]; 3] = [[4, 3], [3, 2], [2, 1]];

const CASES: &[Case] = &[
    Case {
        name: "conv2d",
        shapes: &[[2, 3, 13, 10], [5, 3, 3, 2]],
        everywhere: true,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv(HIGH, 1)),
    },
    Case {
        name: "conv2d of few channels, wide",
        shapes: &[[2, 3, 10, 13], [5, 3, 2, 4]],
        everywhere: false,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv(WIDE, 1)),
    },
    Case {
        name: "conv2d of channels that fill vectors",
        shapes: &[[2, 16, 9, 12], [16, 16, 3, 2]],
        everywhere: false,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv(HIGH, 1)),
    },
    Case {
        name: "conv2d of many images",
        shapes: &[[9, 16, 8, 9], [16, 16, 2, 3]],
        everywhere: false,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv(WIDE, 1)),
    },
    Case {
        name: "conv2d in groups",
        shapes: &[[2, 6, 11, 8], [9, 2, 3, 2]],
        everywhere: false,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv([[3, 2], [1, 2], [2, 1]], 3)),
    },
    Case {
        name: "conv2d by channel",
        shapes: &[[2, 4, 13, 11], [4, 1, 3, 2]],
        everywhere: true,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv(HIGH, 4)),
    },
    Case {
        name: "conv2d by Winograd's transform",
        shapes: &[[1, 64, 5, 8], [64, 64, 3, 3]],
        everywhere: true,
        build: |x, t| x[0].conv2d(&x[1], None, t.conv([[1, 1], [2, 0], [1, 1]], 1)),
    },
    Case {
        name: "conv_transpose2d",
        shapes: &[[2, 3, 5, 7], [3, 4, 3, 2]],
        everywhere: false,
        build: |x, t| x[0].conv_transpose2d(&x[1], None, t.conv([[2, 3], [1, 0], [2, 1]], 1), t.pair([1, 2])),
    },
    Case {
        name: "conv_transpose2d with zeros behind",
        shapes: &[[1, 13, 4, 5], [13, 16, 2, 3]],
        everywhere: false,
        build: |x, t| x[0].conv_transpose2d(&x[1], None, t.conv([[1, 2], [2, 1], [3, 2]], 1), t.pair([2, 1])),
    },
    Case {
        name: "max_pool2d",
        shapes: &[[2, 3, 11, 9]],
        everywhere: true,
        build: |x, t| x[0].max_pool2d(t.window(POOL)),
    },
    Case {
        name: "the slope of max_pool2d",
        shapes: &[[2, 3, 11, 9]],
        everywhere: true,
        build: |x, t| {
            let y = x[0].max_pool2d(t.window(POOL)).square().sum_all();
            differentiate(&y, &x[..1]).expect("a gradient").remove(0)
        },
    },
    Case {
        name: "avg_pool2d",
        shapes: &[[2, 3, 11, 9]],
        everywhere: true,
        build: |x, t| x[0].avg_pool2d(t.window(POOL)),
    },
    Case {
        name: "adaptive_avg_pool2d",
        shapes: &[[2, 3, 13, 10]],
        everywhere: true,
        build: |x, t| x[0].adaptive_avg_pool2d(t.pair([4, 7])),
    },
    Case {
        name: "interpolate, nearest",
        shapes: &[[2, 2, 4, 5]],
        everywhere: true,
        build: |x, t| x[0].interpolate(t.pair([12, 10]), Interpolation::Nearest),
    },
    Case {
        name: "interpolate, nearest, uneven",
        shapes: &[[1, 2, 5, 7]],
        everywhere: false,
        build: |x, t| x[0].interpolate(t.pair([9, 3]), Interpolation::Nearest),
    },
    Case {
        name: "interpolate, bilinear",
        shapes: &[[2, 2, 4, 7]],
        everywhere: true,
        build: |x, t| x[0].interpolate(t.pair([12, 5]), Interpolation::Bilinear),
    },
];

/// The last two axes exchanged.
fn turned(a: &Array) -> Array {
    let [n, c, h, w] = a.shape[..] else { panic!("a picture has four axes: {:?}", a.shape) };
    let at = |i: usize| {
        let (plane, rest) = (i / (h * w), i % (h * w));
        a.data[plane * h * w + rest % h * w + rest / h]
    };
    Array::from_fn(&[n, c, w, h], at)
}

/// Numbers without a pattern.
fn draw(shape: &[usize], salt: usize) -> Array {
    let mix = |i: usize| (i + 1).wrapping_mul(2_654_435_761 + 97 * salt) >> 7 & 0xffff;
    Array::from_fn(shape, |i| f64::from((mix(i) as f32 / 32768.0 - 1.0) * 2.0))
}

/// The case's graph with its result and the gradients by all operands, and its inputs.
fn graph(case: &Case, turn: Turn) -> (Graph, Env) {
    let (b, mut env) = (Builder::new(), Env::default());
    let oriented = |a: Array| if turn.0 { turned(&a) } else { a };
    let x: Vec<Tensor> = (case.shapes.iter().enumerate())
        .map(|(i, shape)| {
            let (name, array) = (format!("x{i}"), oriented(draw(shape, i)));
            let tensor = b.input(&name, Type::f32(&array.shape));
            env.inputs.insert(name, array);
            tensor
        })
        .collect();
    let y = (case.build)(&x, turn);
    let [n, c, h, w] = y.shape()[..] else { panic!("{} gives pictures", case.name) };
    let upright = if turn.0 { [n, c, w, h] } else { [n, c, h, w] };
    env.inputs.insert("dy".into(), oriented(draw(&upright, 7)));
    let loss = (&y * &b.input("dy", y.ty())).sum_all();
    b.output("y", &y);
    for (i, d) in differentiate(&loss, &x).expect("gradients").iter().enumerate() {
        b.output(&format!("d{i}"), d);
    }
    (b.graph(), env)
}

fn in_f64(graph: &Graph, env: &Env) -> Vec<Array> {
    let values = interpret(graph, env);
    graph.outputs.iter().map(|(_, v)| values[v.index()].clone().expect("outputs are evaluated")).collect()
}

fn on(device: &Device, graph: &Graph, env: &Env) -> Vec<Array> {
    let plan = Arc::new(plan(graph, device.caps(), &PlanOptions::default()).expect("a plan"));
    let inputs: Vec<HostTensor> =
        plan.inputs.iter().map(|i| env.inputs[&i.name].to_host(DType::F32)).collect();
    let words: Vec<&[u32]> = inputs.iter().map(|t| t.words.as_slice()).collect();
    let mut memory = device.memory(&plan.layout).expect("memory");
    let mut program = device.program(plan.clone(), &memory).expect("a program");
    program.step(&mut memory, &words, &[0, 0]).expect("a step");
    let results = program.wait().expect("results").expect("a step is under way");
    plan.outputs
        .iter()
        .zip(results)
        .map(|(n, words)| HostTensor { ty: n.ty.clone(), words }.to_array())
        .collect()
}

/// Every case's result and gradients, turned, are those of the turned operands.
fn holds(
    tolerance: f64,
    cases: impl Iterator<Item = &'static Case>,
    run: impl Fn(&Graph, &Env) -> Vec<Array>,
) {
    let mut failures = Vec::new();
    for case in cases {
        let [upright, across] = [false, true].map(|t| {
            let (graph, env) = graph(case, Turn(t));
            run(&graph, &env)
        });
        for (output, (want, got)) in upright.iter().map(turned).zip(&across).enumerate() {
            assert_eq!(want.shape, got.shape, "{}", case.name);
            let largest = want.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
            let near = |(w, g): (&f64, &f64)| (w - g).abs() <= tolerance * largest;
            if let Some(at) = want.data.iter().zip(&got.data).position(|p| !near(p)) {
                let (w, g) = (want.data[at], got.data[at]);
                failures.push(format!("{}: element {at} of output {output} is {g}, turned {w}", case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Windows large enough for pooling axis by axis, compared with loops over their elements.
#[test]
fn turned_large_windows_match_loops() {
    let ([h, w], [kh, kw], [sy, sx], [py, px]) = ([150, 160], [129, 131], [5, 7], [3, 1]);
    let window = Window { kernel: [kh, kw], stride: [sy, sx], padding: [py, px] };
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[1, 1, h, w]));
    let (most, mean) = (x.max_pool2d(window), x.avg_pool2d(window));
    b.output("most", &most);
    b.output("mean", &mean);
    let image = draw(&[1, 1, h, w], 3);
    let [_, _, oh, ow] = most.shape()[..] else { panic!("a picture") };
    let (mut wanted, mut wanted_mean) = (Vec::new(), Vec::new());
    for i in 0..oh {
        for j in 0..ow {
            let (mut most, mut sum) = (f64::NEG_INFINITY, 0.0);
            for r in (i * sy).saturating_sub(py)..(i * sy + kh - py).min(h) {
                for s in (j * sx).saturating_sub(px)..(j * sx + kw - px).min(w) {
                    most = f64::max(most, image.data[r * w + s]);
                    sum += image.data[r * w + s];
                }
            }
            wanted.push(most);
            wanted_mean.push(sum / (kh * kw) as f64);
        }
    }
    let env = Env { inputs: [("x".to_owned(), image)].into(), ..Env::default() };
    let found = in_f64(&b.graph(), &env);
    assert_eq!(found[0].data, wanted);
    let off = found[1].data.iter().zip(&wanted_mean).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
    assert!(off < 1e-12, "{off:e}");
}

#[test]
fn turned_pictures_in_f64() {
    holds(1e-12, CASES.iter(), in_f64);
}

#[test]
fn turned_pictures_on_cpu() {
    holds(2e-5, CASES.iter(), |graph, env| on(&cpu(), graph, env));
}

#[test]
fn turned_pictures_on_adapter() {
    holds(2e-5, CASES.iter().filter(|c| c.everywhere), |graph, env| on(&gpu(), graph, env));
}
