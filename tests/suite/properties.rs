//! Properties over random shapes: views against brute force, broadcasting, simplification, planning.

use proptest::prelude::*;
use wgrad_graph::{Builder, Env, Graph, Tensor, interpret, simplify};
use wgrad_plan::{PlanOptions, plan, verify};
use wgrad_tests::cpu;
use wgrad_types::{Array, DType, HostTensor, Type, broadcast_shapes};

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
    fn plans_compute_what_graphs_say(shape in prop::collection::vec(1usize..5, 1..4), choices in prop::collection::vec(any::<u32>(), 1..12)) {
        let (graph, env) = graph(&shape, &choices);
        let device = cpu();
        let plan = std::sync::Arc::new(plan(&graph, device.caps(), &PlanOptions::default()).expect("a plan"));
        verify(&plan).expect("sound memory");
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
