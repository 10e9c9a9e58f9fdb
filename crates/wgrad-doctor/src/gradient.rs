//! Mathematics: the gradient graph, evaluated in f64, against central differences of the loss. No device.

use crate::case::{Built, Case};
use wgrad_graph::{Env, Graph, Value, interpret};
use wgrad_types::DType;

/// Perturbed elements per argument.
const PROBES: usize = 24;
/// Step of the central difference.
const H: f64 = 1e-5;
/// Largest difference allowed, as a share of the largest element of the gradient (or of 1).
const TOLERANCE: f64 = 1e-6;

/// True if central differences are meaningful for the case.
fn comparable(case: &Case) -> bool {
    case.gradient && case.args.iter().all(|a| a.smooth() || a.ty().dtype != DType::F32)
}

/// Checks the case's gradients; the error names the first wrong element.
pub(crate) fn check(case: &Case, built: &Built) -> Result<(), String> {
    if !comparable(case) {
        return Ok(());
    }
    if built.gradients.is_empty() {
        return Err("there is no gradient to check".to_owned());
    }
    let values = interpret(&built.graph, &built.env);
    // Moved arguments need the loss only, not the gradients over again.
    let mut forward = built.graph.clone();
    forward.outputs = vec![("loss".to_owned(), built.loss)];
    for (input, v) in &built.gradients {
        let gradient = values[v.index()].as_ref().expect("gradients are outputs");
        let scale = gradient.data.iter().fold(1.0f64, |m, g| m.max(g.abs()));
        let n = gradient.data.len();
        for p in 0..n.min(PROBES) {
            let i = p * n / n.min(PROBES);
            let moved = |h: f64| {
                let mut env = built.env.clone();
                env.inputs.get_mut(input).expect("an input").data[i] += h;
                loss(&forward, built.loss, &env)
            };
            let h = H * built.env.inputs[input].data[i].abs().max(1.0);
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            let found = gradient.data[i];
            // Not `error > TOLERANCE`: that is false for NaN.
            let fits = (difference - found).abs() / scale < TOLERANCE;
            if !fits {
                return Err(format!("the gradient of {input}[{i}] is {found}, the difference {difference}"));
            }
        }
    }
    Ok(())
}

fn loss(graph: &Graph, v: Value, env: &Env) -> f64 {
    interpret(graph, env)[v.index()].as_ref().expect("the loss is evaluated").data[0]
}
