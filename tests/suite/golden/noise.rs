//! Effect of f32 rounding on a graph's values: the f64 interpreter with every result perturbed at random by
//! up to f32's error, and the decisions (comparisons, signs, maxima) changed by it.

use std::collections::BTreeMap;
use wgrad_graph::ops::{Leaf, Op, ReduceKind};
use wgrad_graph::{Env, Graph, Node, OpDef, Value, philox};
use wgrad_types::{Array, DType};

/// Half the distance between neighbours of 1 in f32: the largest error of one rounding.
pub(super) const ROUNDING: f64 = 1.0 / (1 << 24) as f64;
/// Largest error of a result, in roundings of its largest partial sum: a sum of n terms in any order is off
/// by about the square root of n of its partial sums' roundings, those in blocks by less, and a function of
/// the shading language by several.
pub(super) const ROUNDINGS: f64 = 8.0;

/// Every live node's value, perturbed by up to `roundings` of the magnitude of its partial sums. With 0
/// roundings the values are exact.
pub(super) fn shaken(graph: &Graph, env: &Env, roundings: f64, draw: u32) -> Vec<Option<Array>> {
    let mut values: Vec<Option<Array>> = Vec::with_capacity(graph.nodes.len());
    for (at, (node, live)) in graph.nodes.iter().zip(graph.live()).enumerate() {
        let value = live.then(|| {
            let operands: Vec<Array> =
                node.inputs.iter().map(|v| values[v.index()].clone().expect("a live operand")).collect();
            let mut value = result(node, env, &operands);
            if roundings > 0.0 && rounds(node) {
                let size = magnitude(node, &value, &operands);
                for (i, (v, size)) in value.data.iter_mut().zip(size.data).enumerate() {
                    let random = f64::from(philox::uniform(draw, 0, at as u32, i as u32)) * 2.0 - 1.0;
                    *v += random * roundings * ROUNDING * size;
                }
            }
            value
        });
        values.push(value);
    }
    values
}

/// A node's value by its reference, leaves from outside by name.
pub(super) fn result(node: &Node, env: &Env, operands: &[Array]) -> Array {
    match &node.op {
        Op::Leaf(Leaf::Input { name, .. } | Leaf::Scalar { name }) => env.inputs[name].clone(),
        Op::Leaf(Leaf::Param { name, role, .. }) => env.params[&(*role, name.clone())].clone(),
        op => op.reference(operands),
    }
}

/// True if a device rounds this node's result.
fn rounds(node: &Node) -> bool {
    let exact = match &node.op {
        Op::Leaf(_) | Op::Select(_) | Op::Cast(_) | Op::MaxPool2d(_) | Op::Gather(_) => true,
        Op::Reduce(r) => r.kind != ReduceKind::Sum,
        op => op.is_movement(),
    };
    !exact && node.ty.dtype == DType::F32
}

/// Magnitude of a result's partial sums: the operation on its operands' magnitudes if it adds up.
fn magnitude(node: &Node, value: &Array, operands: &[Array]) -> Array {
    let absolute =
        |a: &Array| Array { shape: a.shape.clone(), data: a.data.iter().map(|v| v.abs()).collect() };
    match &node.op {
        Op::MatMul(_) | Op::Conv2d(_) | Op::Conv2dInputGrad(_) | Op::Conv2dWeightGrad(_) | Op::Reduce(_) => {
            node.op.reference(&operands.iter().map(absolute).collect::<Vec<_>>())
        }
        _ => absolute(value),
    }
}

/// True if a value shows a decision: a number's side of 0, or a window's largest element.
pub(super) fn decides(op: &Op) -> bool {
    match op {
        Op::Compare(_) | Op::MaxPool2dGrad(_) => true,
        Op::Unary(_) => ["sign", "relu"].contains(&op.name()),
        _ => false,
    }
}

/// The decisions that differ between two evaluations of a graph, each by its layer, node and element.
pub(super) fn changed_decisions(graph: &Graph, a: &[Option<Array>], b: &[Option<Array>]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, (node, pair)) in graph.nodes.iter().zip(a.iter().zip(b)).enumerate() {
        let (Some(a), Some(b)) = pair else { continue };
        if decides(&node.op) {
            let way = |v: f64| v.partial_cmp(&0.0);
            let differ =
                a.data.iter().zip(&b.data).position(|(a, b)| (*a == 0.0 || *b == 0.0) && way(*a) != way(*b));
            found.extend(differ.map(|i| {
                format!("{} of {:?} (node {at}) at element {i}", node.op.name(), layer(graph, node))
            }));
        }
    }
    found
}

/// The layer of a node, or of its first operand.
fn layer<'a>(graph: &'a Graph, mut node: &'a Node) -> &'a str {
    while node.scope.is_empty() {
        let Some(first) = node.inputs.first() else { return "" };
        node = graph.node(*first);
    }
    &node.scope
}

/// Values of the wanted nodes and the possible rounding error of each element, if everything between them and
/// `given` is element-wise: each operand's error is followed to both sides, and each operation adds its own.
pub(super) fn bounded(
    graph: &Graph,
    env: &Env,
    given: &BTreeMap<Value, Array>,
    wanted: &[Value],
) -> BTreeMap<Value, (Array, Array)> {
    let mut known: BTreeMap<Value, (Array, Array)> =
        given.iter().map(|(v, a)| (*v, (a.clone(), Array::zeros(&a.shape)))).collect();
    for v in wanted {
        reach(graph, env, *v, &mut known);
    }
    known
}

fn reach(graph: &Graph, env: &Env, v: Value, known: &mut BTreeMap<Value, (Array, Array)>) {
    if known.contains_key(&v) {
        return;
    }
    let node = graph.node(v);
    for operand in &node.inputs {
        reach(graph, env, *operand, known);
    }
    let operands: Vec<&(Array, Array)> = node.inputs.iter().map(|i| &known[i]).collect();
    let plain: Vec<Array> = operands.iter().map(|o| o.0.clone()).collect();
    let value = result(node, env, &plain);
    let mut error = Array::zeros(&value.shape);
    if node.ty.dtype == DType::F32 {
        for (at, (a, e)) in operands.iter().enumerate() {
            for sign in [-1.0, 1.0] {
                let mut moved = plain.clone();
                moved[at].data =
                    a.data.iter().zip(&e.data).map(|(a, e)| shifted(node, *a, sign * e)).collect();
                let other = node.op.reference(&moved);
                for ((e, o), v) in error.data.iter_mut().zip(&other.data).zip(&value.data) {
                    *e += (o - v).abs();
                }
            }
        }
    }
    if rounds(node) {
        // WGSL's accuracy: a correctly rounded sum or product, 2.5 units for a division, twice that for a root.
        let own = match node.op.name() {
            "div" | "reciprocal" => 5.0,
            "sqrt" | "rsqrt" => 9.0,
            _ => 1.0,
        };
        for (e, v) in error.data.iter_mut().zip(&value.data) {
            // The smallest normal number: adapters may flush smaller ones to 0.
            *e += own * ROUNDING * v.abs() + f64::from(f32::MIN_POSITIVE);
        }
    }
    known.insert(v, (value, error));
}

/// A root's operand does not pass 0.
fn shifted(node: &Node, a: f64, by: f64) -> f64 {
    if ["sqrt", "rsqrt"].contains(&node.op.name()) { (a + by).max(0.0) } else { a + by }
}
