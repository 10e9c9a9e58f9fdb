//! Mathematics: the gradient graph, evaluated in f64, against central differences of the loss. No device.

use crate::row::{Row, build};
use wgrad_graph::{Env, Graph, Value, interpret};

/// Elements of each argument that are moved.
const PROBES: usize = 24;
/// Step of the central difference.
const H: f64 = 1e-5;

fn loss(graph: &Graph, v: Value, env: &Env) -> f64 {
    interpret(graph, env)[v.index()].as_ref().expect("the loss is evaluated").data[0]
}

/// # Panics
/// Where a gradient differs from the central difference by more than 1e-6 of the largest.
pub fn check_gradient(row: &Row) {
    if !row.gradient || !row.args.iter().all(|a| a.smooth() || a.ty().dtype != wgrad_types::DType::F32) {
        return;
    }
    let mut built = build(row);
    assert!(!built.gradients.is_empty(), "{}: no gradient to check", row.name);
    built.graph.outputs.push(("loss".into(), built.loss));
    let values = interpret(&built.graph, &built.env);
    for (input, v) in &built.gradients {
        let gradient = values[v.index()].as_ref().expect("gradients are outputs");
        let scale = gradient.data.iter().fold(1.0f64, |m, g| m.max(g.abs()));
        let n = gradient.data.len();
        for p in 0..n.min(PROBES) {
            let i = p * n / n.min(PROBES);
            let moved = |h: f64| {
                let mut env = built.env.clone();
                env.inputs.get_mut(input).expect("an input").data[i] += h;
                loss(&built.graph, built.loss, &env)
            };
            let h = H * built.env.inputs[input].data[i].abs().max(1.0);
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            let error = (difference - gradient.data[i]).abs() / scale;
            assert!(
                error < 1e-6,
                "{}: gradient of {input}[{i}] is {}, the difference {difference}",
                row.name,
                gradient.data[i]
            );
        }
    }
}
