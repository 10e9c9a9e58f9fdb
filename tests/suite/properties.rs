//! Properties over random shapes: views against brute force, broadcasting, simplification, planning.

use proptest::prelude::*;
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_graph::{Builder, Env, Graph, Role, Tensor, differentiate, interpret, simplify};
use wgrad_plan::{PlanOptions, plan, verify};
use wgrad_tests::cpu;
use wgrad_types::{AdapterClass, Array, Caps, DType, HostTensor, Type, broadcast_shapes};

/// One random movement or element-wise operation, chosen by a number.
fn mutate(t: &Tensor, choice: u32) -> Tensor {
    let shape = t.shape();
    let rank = shape.len();
    let pick = (choice / 16) as usize;
    match choice % 10 {
        0 if rank >= 2 => t.transpose(pick % rank, (pick / 7) % rank),
        1 => t.reshape(&[t.numel()]),
        2 if rank >= 1 && shape[pick % rank] > 1 => t.narrow(pick % rank, 1, shape[pick % rank] - 1),
        3 if rank >= 1 => {
            let mut pads = vec![(0, 0); rank];
            pads[pick % rank] = (pick % 2, pick % 3);
            t.pad(&pads)
        }
        4 => t.unsqueeze(pick % (rank + 1)),
        5 if rank >= 1 && shape[pick % rank] > 1 => t.sum_keep(&[pick % rank]),
        6 => t.sin(),
        7 => t + &t.cos(),
        8 if t.numel() < 200 => {
            let mut wide = vec![2];
            wide.extend(&shape);
            t.broadcast_to(&wide)
        }
        9 => t * 1.0 + 0.0,
        _ => t.tanh(),
    }
}

fn graph(shape: &[usize], choices: &[u32]) -> (Graph, Env) {
    let b = Builder::new();
    let x = b.input("x", Type::f32(shape));
    let mut all = vec![x];
    for &c in choices {
        let from = &all[(c >> 20) as usize % all.len()];
        let next = mutate(from, c & 0xf_ffff);
        all.push(next);
    }
    for (i, t) in all.iter().rev().take(3).enumerate() {
        b.output(&format!("y{i}"), t);
    }
    let mut env = Env::default();
    env.inputs.insert("x".into(), Array::from_fn(shape, |i| f64::from((i as f32 * 0.37).sin())));
    (b.graph(), env)
}

fn outputs(graph: &Graph, env: &Env) -> Vec<Array> {
    let values = interpret(graph, env);
    graph.outputs.iter().map(|(_, v)| values[v.index()].clone().expect("outputs are evaluated")).collect()
}

/// Planned for adapters of every class: memory is sound and every kernel fits.
fn plans_soundly(graph: &Graph) {
    let software = Caps { class: AdapterClass::Software, subgroup: Some(8), ..Caps::webgpu_baseline() };
    let discrete = Caps { class: AdapterClass::Discrete, ..Caps::webgpu_baseline() };
    for caps in [Caps::cpu(), Caps::webgpu_baseline(), software, discrete] {
        let plan = plan(graph, &caps, &PlanOptions::default()).expect("a plan");
        verify(&plan).expect("sound memory");
    }
}

/// A convolutional net of random extents with its gradients.
fn network(batch: usize, side: usize, widths: &[usize], stride: usize) -> Graph {
    let b = Builder::new();
    let mut x = b.input("x", Type::f32(&[batch, 2, side, side]));
    let mut weights = Vec::new();
    for (i, &width) in widths.iter().enumerate() {
        let shape = [width, x.shape()[1], 3, 3];
        let w = b.param(&format!("w{i}"), &shape, Role::Weight);
        let spec = ConvSpec { stride: [stride, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
        x = x.conv2d(&w, None, spec).relu();
        weights.push(w);
    }
    let x = x.max_pool2d(Window::new(2, 1, 0));
    let flat = x.reshape(&[batch, x.numel() / batch]);
    let w = b.param("fc", &[5, flat.shape()[1]], Role::Weight);
    let loss = flat.linear(&w, None).softmax(-1).square().sum(&[0, 1]);
    weights.push(w);
    let gradients = differentiate(&loss, &weights).expect("gradients");
    b.output("loss", &loss);
    for (w, g) in weights.iter().zip(&gradients) {
        b.keep(g);
        b.update(&[(w, &(w - &(g * 0.1)))]);
    }
    b.graph()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broadcasting_is_symmetric_and_idempotent(a in prop::collection::vec(1usize..4, 0..4), b in prop::collection::vec(1usize..4, 0..4)) {
        let ab = broadcast_shapes(&a, &b);
        prop_assert_eq!(&ab, &broadcast_shapes(&b, &a));
        if let Some(s) = ab {
            prop_assert_eq!(broadcast_shapes(&s, &a), Some(s.clone()));
            prop_assert_eq!(s.len(), a.len().max(b.len()));
        }
    }

    #[test]
    fn simplified_graphs_are_equal(shape in prop::collection::vec(1usize..5, 1..4), choices in prop::collection::vec(any::<u32>(), 1..12)) {
        let (graph, env) = graph(&shape, &choices);
        let simple = simplify(&graph);
        prop_assert!(simple.nodes.len() <= graph.nodes.len());
        prop_assert_eq!(outputs(&graph, &env), outputs(&simple, &env));
    }

    #[test]
    fn networks_plan_soundly_everywhere(batch in 1usize..4, side in 9usize..13, widths in prop::collection::vec(1usize..7, 1..4), stride in 1usize..3) {
        plans_soundly(&network(batch, side, &widths, stride));
    }

    #[test]
    fn plans_match_interpreter(shape in prop::collection::vec(1usize..5, 1..4), choices in prop::collection::vec(any::<u32>(), 1..12)) {
        let (graph, env) = graph(&shape, &choices);
        let device = cpu();
        let plan = std::sync::Arc::new(plan(&graph, device.caps(), &PlanOptions::default()).expect("a plan"));
        plans_soundly(&graph);
        let mut memory = device.memory(&plan.layout).expect("memory");
        let mut program = device.program(plan.clone(), &memory).expect("a program");
        let inputs: Vec<HostTensor> = plan.inputs.iter().map(|i| env.inputs[&i.name].to_host(DType::F32)).collect();
        let words: Vec<&[u32]> = inputs.iter().map(|t| t.words.as_slice()).collect();
        program.step(&mut memory, &words, &[0, 0]).expect("a step");
        let got = program.wait().expect("results").expect("a step is under way");
        for ((want, named), words) in outputs(&graph, &env).iter().zip(&plan.outputs).zip(got) {
            let got = HostTensor { ty: named.ty.clone(), words }.to_array();
            let scale = want.data.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            for (w, g) in want.data.iter().zip(&got.data) {
                prop_assert!((w - g).abs() < 1e-5 * scale, "{} is {} for {}", named.name, g, w);
            }
        }
    }
}
