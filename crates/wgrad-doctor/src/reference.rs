//! A case's references, and results held against them.

use crate::case::{Built, Case};
use crate::compare::{Distance, allowed, distance, each_distance};
use wgrad_graph::{Value, interpret, interpret_rounded};
use wgrad_types::{Array, HostTensor};

/// The graph's outputs in f64. If each element is judged by itself, there are two more: with every operation's results rounded
/// to f32, overflow included; and the same with subnormal numbers flushed to zero. They take
/// the place of the first, unless arguments are large.
pub(crate) fn references(case: &Case, built: &Built) -> Vec<Vec<Array>> {
    let outputs = |values: Vec<Option<Array>>| {
        let output = |(_, v): &(String, Value)| values[v.index()].clone().expect("outputs are evaluated");
        built.graph.outputs.iter().map(output).collect::<Vec<_>>()
    };
    let exact = || outputs(interpret(&built.graph, &built.env));
    if !case.each() {
        return vec![exact()];
    }
    let rounded = |v: f64| f64::from(v as f32);
    let least = f64::from(f32::MIN_POSITIVE);
    let flushed = |v: f64| if rounded(v).abs() < least { 0f64.copysign(v) } else { rounded(v) };
    let mut all = if case.peaked() { vec![exact()] } else { Vec::new() };
    all.push(outputs(interpret_rounded(&built.graph, &built.env, rounded)));
    all.push(outputs(interpret_rounded(&built.graph, &built.env, flushed)));
    all
}

/// Checks for large arguments with moderate results: outputs must be finite in f64.
pub(crate) fn finite(case: &Case, built: &Built) -> Result<(), String> {
    let outputs = references(case, built).remove(0);
    for ((name, _), array) in built.graph.outputs.iter().zip(outputs) {
        if let Some(at) = array.data.iter().position(|v| !v.is_finite()) {
            return Err(format!("{name}[{at}] is {} in f64: exp of a large argument", array.data[at]));
        }
    }
    Ok(())
}

/// Distance of output number `output` from its references, and an error in words if it is more than the case allows.
pub(crate) fn judged(
    case: &Case,
    references: &[Vec<Array>],
    output: usize,
    name: &str,
    got: &HostTensor,
) -> (Distance, Result<(), String>) {
    let wanted: Vec<&Array> = references.iter().map(|outputs| &outputs[output]).collect();
    let want = wanted[0];
    let (found, share) = match case.each() {
        true => (each_distance(&wanted, got, floor(case, output, want)), "itself"),
        false => (distance(want, got), "the largest"),
    };
    let tolerance = allowed(case.tolerance, got.ty.dtype);
    if found.relative <= tolerance {
        return (found, Ok(()));
    }
    let at = |data: &[f64]| data.get(found.at).copied().unwrap_or(f64::NAN);
    let why = format!(
        "{name}[{}] is {}, the reference {} (off by {:.1e} of {share}, {tolerance:.0e} allowed)",
        found.at,
        at(&got.to_array().data),
        at(&want.data),
        found.relative,
    );
    (found, Err(why))
}

/// Holds a case's results, in the order of its graph's outputs, against its [`references`].
///
/// # Errors
/// The first result farther off than the case's tolerance.
pub fn judge(case: &Case, built: &Built, results: &[HostTensor]) -> Result<(), String> {
    let references = references(case, built);
    for (o, ((name, _), got)) in built.graph.outputs.iter().zip(results).enumerate() {
        judged(case, &references, o, name, got).1?;
    }
    Ok(())
}

/// Absolute floor of differences for large arguments: a gradient's terms, each of the size of the largest gradient, cancel;
/// a logarithm's argument near 1 has lost the exp of a far smaller argument.
fn floor(case: &Case, output: usize, want: &Array) -> f64 {
    let share = match (case.peaked(), output) {
        (false, _) => return 0.0,
        (true, 0) => 1e-10,
        (true, _) => 1e-6,
    };
    share * want.data.iter().fold(0.0f64, |m, v| m.max(v.abs()))
}
