//! Simplification: the same mathematics with fewer nodes. Every rule is exact in floating point, or holds for the
//! one constant it matches; property tests compare a graph with its simplified self.

use crate::ops::{Binary, BinaryKind, Broadcast, Leaf, Op, Permute, Reshape, Unary, UnaryKind};
use crate::{Graph, Node, Update, Value};

/// A graph with the same outputs and updates and nothing dead: identities dropped, movements merged, constants moved
/// through movements, `detach` removed (differentiation is over).
pub fn simplify(graph: &Graph) -> Graph {
    let mut to = Graph::default();
    let mut uses = vec![0usize; graph.nodes.len()];
    graph.nodes.iter().flat_map(|n| &n.inputs).for_each(|v| uses[v.index()] += 1);
    let mut map: Vec<Option<Value>> = Vec::with_capacity(graph.nodes.len());
    for (node, live) in graph.nodes.iter().zip(graph.live()) {
        if !live {
            map.push(None);
            continue;
        }
        let inputs: Vec<Value> =
            node.inputs.iter().map(|v| map[v.index()].expect("operands of a live node are live")).collect();
        to.set_scope(&node.scope);
        let only = node.inputs.first().is_some_and(|v| uses[v.index()] == 1);
        let flipped = if only { flip_product(&mut to, node, &inputs) } else { None };
        map.push(Some(flipped.unwrap_or_else(|| place(&mut to, node, &inputs))));
    }
    let at = |v: Value| map[v.index()].expect("results are live");
    to.outputs = graph.outputs.iter().map(|(name, v)| (name.clone(), at(*v))).collect();
    to.updates = graph
        .updates
        .iter()
        .map(|u| Update { target: at(u.target), value: at(u.value), group: u.group })
        .collect();
    to.materialized = graph.materialized.iter().filter_map(|v| map[v.index()]).collect();
    compact(&to)
}

/// Drops unused nodes.
fn compact(graph: &Graph) -> Graph {
    let live = graph.live();
    if live.iter().all(|&l| l) { graph.clone() } else { simplify(graph) }
}

fn constant(graph: &Graph, v: Value) -> Option<f64> {
    match graph.node(v).op {
        Op::Leaf(Leaf::Const { value, .. }) => Some(value),
        _ => None,
    }
}

fn push(to: &mut Graph, op: Op, inputs: &[Value]) -> Value {
    to.try_push(op, inputs).expect("a rewrite keeps types")
}

/// The node in the new graph: an existing value if a rule finds one, else the node itself.
fn place(to: &mut Graph, node: &Node, x: &[Value]) -> Value {
    match &node.op {
        Op::Detach(_) => return x[0],
        Op::Reshape(_) | Op::Permute(_) | Op::Broadcast(_) => {
            if to.ty(x[0]) == &node.ty && !matches!(node.op, Op::Permute(_)) {
                return x[0];
            }
            if let Some(value) = constant(to, x[0]) {
                return push(to, Leaf::Const { ty: node.ty.clone(), value }.into(), &[]);
            }
            return merge_movement(to, node, x);
        }
        Op::Binary(Binary(kind)) => {
            let (a, b) = (constant(to, x[0]), constant(to, x[1]));
            let fixed = match (kind, a, b) {
                (BinaryKind::Mul, Some(1.0), _) | (BinaryKind::Add, Some(0.0), _) => Some(x[1]),
                (BinaryKind::Mul | BinaryKind::Div, _, Some(1.0))
                | (BinaryKind::Add | BinaryKind::Sub, _, Some(0.0)) => Some(x[0]),
                _ => None,
            };
            if let Some(v) = fixed {
                return v;
            }
        }
        Op::Unary(Unary(UnaryKind::Neg)) => {
            let inner = to.node(x[0]);
            if inner.op == Op::Unary(Unary(UnaryKind::Neg)) {
                return inner.inputs[0];
            }
        }
        _ => {}
    }
    push(to, node.op.clone(), x)
}

/// A transposed product is the product of its transposed operands, swapped: views cost nothing, and a
/// weight's gradient then has the weight's layout.
fn flip_product(to: &mut Graph, node: &Node, x: &[Value]) -> Option<Value> {
    let Op::Permute(Permute(axes)) = &node.op else { return None };
    let rank = axes.len();
    let inner = to.node(x[0]).clone();
    let swaps_last = rank >= 2
        && axes[..rank - 2].iter().enumerate().all(|(d, &a)| d == a)
        && axes[rank - 2..] == [rank - 1, rank - 2];
    if !swaps_last || !matches!(inner.op, Op::MatMul(_)) {
        return None;
    }
    let mut transposed = |v: Value| {
        let r = to.ty(v).shape.len();
        let mut axes: Vec<usize> = (0..r).collect();
        axes.swap(r - 2, r - 1);
        let shape = axes.iter().map(|&a| to.ty(v).shape[a]).collect::<Vec<_>>();
        let ty = wgrad_types::Type::new(to.ty(v).dtype, &shape);
        let node = Node { op: Permute(axes).into(), inputs: vec![v], ty, scope: node.scope.clone() };
        place(to, &node, &[v])
    };
    let (a, b) = (transposed(inner.inputs[1]), transposed(inner.inputs[0]));
    Some(push(to, inner.op, &[a, b]))
}

/// Two consecutive reshapes, permutations or broadcasts are one; an identity permutation is none.
fn merge_movement(to: &mut Graph, node: &Node, x: &[Value]) -> Value {
    let inner = to.node(x[0]).clone();
    match (&node.op, &inner.op) {
        (Op::Reshape(Reshape(shape)), Op::Reshape(_)) => {
            if to.ty(inner.inputs[0]) == &node.ty {
                return inner.inputs[0];
            }
            push(to, Reshape(shape.clone()).into(), &inner.inputs)
        }
        (Op::Broadcast(Broadcast(shape)), Op::Broadcast(_)) => {
            push(to, Broadcast(shape.clone()).into(), &inner.inputs)
        }
        (Op::Permute(Permute(outer)), Op::Permute(Permute(first))) => {
            let merged: Vec<usize> = outer.iter().map(|&a| first[a]).collect();
            if merged.iter().enumerate().all(|(d, &a)| d == a) {
                return inner.inputs[0];
            }
            push(to, Permute(merged).into(), &inner.inputs)
        }
        _ => push(to, node.op.clone(), x),
    }
}
