//! Half precision as a rewrite of a recorded graph: products, convolutions and attention read f16 operands,
//! stored as f16. Everything else computes in f32 as before.
//!
//! An operand of a product is rounded once, at its computation: the product reads the f16, all other readers
//! the same f16 widened again, so that one copy is stored, and the backward pass sees the same values as the
//! forward pass. Parameters stay f32 and are read as f16 copies. Products, reductions, losses and optimizers
//! add up in f32.

use crate::ops::{Cast, Op};
use crate::{Graph, Update, Value};
use wgrad_types::DType;

/// Number of an operation's leading operands read as f16. Attention's statistics stay f32.
fn f16_operands(op: &Op) -> usize {
    match op {
        Op::MatMul(_) | Op::Conv2d(_) | Op::Conv2dInputGrad(_) | Op::Conv2dWeightGrad(_) => 2,
        Op::AttentionLse(_) => 2,
        Op::Attention(_) => 3,
        Op::AttentionGrad(_) => 4,
        _ => 0,
    }
}

/// The value behind movements.
fn behind(graph: &Graph, mut v: Value) -> Value {
    while graph.node(v).op.is_movement() {
        v = graph.node(v).inputs[0];
    }
    v
}

/// Nodes contributing to gradients and results, without the optimizer's own.
fn below_gradients(graph: &Graph) -> Vec<bool> {
    let mut below = vec![false; graph.nodes.len()];
    graph.materialized.iter().chain(graph.outputs.iter().map(|o| &o.1)).for_each(|v| below[v.index()] = true);
    for i in (0..graph.nodes.len()).rev() {
        if below[i] {
            graph.nodes[i].inputs.iter().for_each(|v| below[v.index()] = true);
        }
    }
    below
}

/// The graph with f16 operands of products, convolutions and attention, as far as gradients
/// (`Graph::materialized`) and results depend on them.
pub fn autocast(graph: &Graph) -> Graph {
    let below = below_gradients(graph);
    let read = |i: usize| if below[i] { f16_operands(&graph.nodes[i].op) } else { 0 };
    let mut halved = vec![false; graph.nodes.len()];
    for v in (0..graph.nodes.len()).flat_map(|i| graph.nodes[i].inputs.iter().take(read(i))) {
        let base = behind(graph, *v);
        halved[base.index()] = graph.ty(base).dtype == DType::F32;
    }
    // Results, updates and gradients keep the precision they are computed in.
    let mut ends = vec![false; graph.nodes.len()];
    let results = graph.materialized.iter().chain(graph.outputs.iter().map(|o| &o.1));
    results.chain(graph.updates.iter().map(|u| &u.value)).for_each(|v| ends[v.index()] = true);
    let mut to = Graph::default();
    // The new value of each node, and its f16, if it has one.
    let mut new: Vec<(Value, Option<Value>)> = Vec::with_capacity(graph.nodes.len());
    // The value for readers of f32.
    let mut seen: Vec<Value> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        to.set_scope(&node.scope);
        let push = |to: &mut Graph, op: Op, inputs: &[Value]| {
            to.try_push(op, inputs).expect("f16 stands where f32 stood")
        };
        let half = |v: &Value| new[v.index()].1.unwrap_or(seen[v.index()]);
        let (halves, wholes) = node.inputs.split_at(read(i).min(node.inputs.len()));
        let inputs: Vec<Value> =
            halves.iter().map(half).chain(wholes.iter().map(|v| seen[v.index()])).collect();
        let here = push(&mut to, node.op.clone(), &inputs);
        let f16 = if halved[i] {
            Some(push(&mut to, Cast(DType::F16).into(), &[here]))
        } else if node.op.is_movement() && new[node.inputs[0].index()].1.is_some() {
            let inner = new[node.inputs[0].index()].1.expect("just found");
            Some(push(&mut to, node.op.clone(), &[inner]))
        } else {
            None
        };
        let stays = node.inputs.is_empty() || ends[i];
        seen.push(match f16 {
            Some(f16) if halved[i] && !stays => push(&mut to, Cast(DType::F32).into(), &[f16]),
            _ => here,
        });
        new.push((here, f16));
    }
    let own = |v: Value| new[v.index()].0;
    to.outputs = graph.outputs.iter().map(|(name, v)| (name.clone(), own(*v))).collect();
    to.updates = graph
        .updates
        .iter()
        .map(|u| Update { target: own(u.target), value: own(u.value), group: u.group })
        .collect();
    to.materialized = graph.materialized.iter().map(|v| own(*v)).collect();
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Role, differentiate, print};
    use wgrad_types::Type;

    #[test]
    fn autocast_products_share_one_f16_copy() {
        let b = Builder::new();
        let (x, w) = (b.input("x", Type::f32(&[2, 3])), b.param("w", &[3, 3], Role::Weight));
        let h = x.matmul(&w).relu();
        let loss = h.matmul(&w.t()).square().sum_all();
        let gradient = differentiate(&loss, std::slice::from_ref(&w)).expect("a gradient").remove(0);
        b.output("loss", &loss);
        b.keep(&gradient);
        b.update(&[(&w, &(&w - &gradient * 0.1))]);
        let half = autocast(&b.graph());
        let live: Vec<_> = half.nodes.iter().zip(half.live()).filter(|n| n.1).map(|n| n.0).collect();
        let casts = |to| live.iter().filter(|n| n.op == Op::Cast(Cast(to))).count();
        let products = live.iter().filter(|n| matches!(n.op, Op::MatMul(_)));
        for product in products {
            assert!(product.inputs.iter().all(|v| half.ty(*v).dtype == DType::F16), "{}", print(&half));
            assert_eq!(product.ty.dtype, DType::F32);
        }
        // x, w, h and the gradients of both products' results, each rounded once.
        assert_eq!(casts(DType::F16), 5, "{}", print(&half));
        let value = half.node(half.updates[0].value);
        assert_eq!(value.ty.dtype, DType::F32);
    }
}
