//! Rewrites of inference graphs, using values that depend on persistent tensors alone: batch norm's factors
//! go into the weights of the product before it ([`fold`]), and constant values are computed outside the step
//! ([`hoist`]).
//!
//! Exact but for rounding: a sum of products is scaled before it is added up, not afterwards.

use crate::ops::{Binary, BinaryKind, Broadcast, Conv2dInputGrad, Leaf, Op, Reshape};
use crate::{Graph, Role, Update, Value, simplify};
use wgrad_types::{DType, Type, broadcast_shapes};

/// A graph in two: `once` computes tensors from persistent ones, `each` reads them at every step.
#[derive(Clone, Debug)]
pub struct Hoisted {
    /// Computes, once, the tensors read by `each`, as outputs under the same names.
    pub once: Graph,
    /// The graph with those as persistent tensors of role `Buffer`.
    pub each: Graph,
}

/// For every node, true if it is the same at every step: it depends only on constants, and on tensors without
/// updates.
fn fixed(graph: &Graph) -> Vec<bool> {
    let mut fixed = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        fixed.push(match &node.op {
            Op::Leaf(Leaf::Input { .. } | Leaf::Scalar { .. } | Leaf::Random { .. }) => false,
            Op::Leaf(_) => graph.updates.iter().all(|u| u.target.index() != i),
            _ => node.inputs.iter().all(|v| fixed[v.index()]),
        });
    }
    fixed
}

/// Splits a graph: [`fixed`] values with arithmetic are computed once, as long as they are no larger than the
/// tensors they depend on.
pub fn hoist(graph: &Graph) -> Hoisted {
    let graph = simplify(graph);
    let fixed = fixed(&graph);
    // Elements of the persistent tensors below each node.
    let mut below: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        below.push(match &node.op {
            Op::Leaf(Leaf::Param { ty, .. }) => ty.numel(),
            _ => node.inputs.iter().map(|v| below[v.index()]).fold(0, usize::saturating_add),
        });
    }
    let goes = |i: usize| {
        let node = &graph.nodes[i];
        let arithmetic = !node.inputs.is_empty() && !node.op.is_movement();
        fixed[i] && arithmetic && node.ty.dtype == DType::F32 && (1..=below[i]).contains(&node.ty.numel())
    };
    let mut needed = vec![false; graph.nodes.len()];
    let results = graph.outputs.iter().map(|o| o.1);
    results
        .chain(graph.updates.iter().flat_map(|u| [u.target, u.value]))
        .for_each(|v| needed[v.index()] = true);
    for i in (0..graph.nodes.len()).rev().filter(|&i| !goes(i)) {
        if needed[i] {
            graph.nodes[i].inputs.iter().for_each(|v| needed[v.index()] = true);
        }
    }
    let (mut once, mut each) = (graph.clone(), Graph::default());
    (once.outputs, once.updates, once.materialized) = (Vec::new(), Vec::new(), Vec::new());
    let mut map: Vec<Option<Value>> = Vec::with_capacity(graph.nodes.len());
    for (i, node) in graph.nodes.iter().enumerate() {
        each.set_scope(&node.scope);
        map.push(match (needed[i], goes(i)) {
            (false, _) => None,
            (true, false) => Some(push(&mut each, node.op.clone(), &mapped(&map, &node.inputs))),
            (true, true) => {
                let name = format!("folded.{}", once.outputs.len());
                once.outputs.push((name.clone(), Value(i as u32)));
                let leaf = Leaf::Param { name, ty: node.ty.clone(), role: Role::Buffer };
                Some(push(&mut each, leaf.into(), &[]))
            }
        });
    }
    copy_results(&graph, &mut each, |v| map[v.index()]);
    Hoisted { once: simplify(&once), each }
}

fn push(to: &mut Graph, op: Op, inputs: &[Value]) -> Value {
    to.try_push(op, inputs).expect("a rewrite keeps types")
}

fn mapped(map: &[Option<Value>], inputs: &[Value]) -> Vec<Value> {
    inputs.iter().map(|v| map[v.index()].expect("operands are there before their readers")).collect()
}

/// Results, updates and kept values of the new graph.
fn copy_results(from: &Graph, to: &mut Graph, at: impl Fn(Value) -> Option<Value>) {
    let there = |v: Value| at(v).expect("results are needed");
    to.outputs = from.outputs.iter().map(|(name, v)| (name.clone(), there(*v))).collect();
    let update = |u: &Update| Update { target: there(u.target), value: there(u.value), group: u.group };
    to.updates = from.updates.iter().map(update).collect();
    to.materialized = from.materialized.iter().filter_map(|v| at(*v)).collect();
}

/// Multiplies fixed factors along the channels of a convolution's result, or along the columns of a
/// product's, into its fixed weights, and merges fixed summands: batch norm in evaluation becomes a bias.
pub fn fold(graph: &Graph) -> Graph {
    let from = simplify(graph);
    let mut uses = vec![0usize; from.nodes.len()];
    from.nodes.iter().flat_map(|n| &n.inputs).for_each(|v| uses[v.index()] += 1);
    from.outputs.iter().for_each(|o| uses[o.1.index()] += 1);
    from.updates.iter().for_each(|u| uses[u.value.index()] += 1);
    let mut folding =
        Folding { from: &from, fixed: fixed(&from), uses, to: Graph::default(), map: Vec::new() };
    for (i, node) in from.nodes.iter().enumerate() {
        folding.to.set_scope(&node.scope);
        let folded = if node.ty.dtype == DType::F32 { folding.folded(i) } else { None };
        let here = folded.unwrap_or_else(|| {
            let inputs = mapped(&folding.map, &node.inputs);
            push(&mut folding.to, node.op.clone(), &inputs)
        });
        folding.map.push(Some(here));
    }
    let Folding { mut to, map, .. } = folding;
    copy_results(&from, &mut to, |v| map[v.index()]);
    simplify(&to)
}

struct Folding<'g> {
    from: &'g Graph,
    /// Fixed nodes of `from`.
    fixed: Vec<bool>,
    uses: Vec<usize>,
    to: Graph,
    map: Vec<Option<Value>>,
}

/// A vector multiplying a result along one axis, counted from the end.
#[derive(Clone, Copy)]
struct Factor {
    vector: Value,
    axis: usize,
}

impl Folding<'_> {
    /// The node's rewritten value, if a rule applies.
    fn folded(&mut self, i: usize) -> Option<Value> {
        let Op::Binary(Binary(kind @ (BinaryKind::Mul | BinaryKind::Add))) = self.from.nodes[i].op else {
            return None;
        };
        let (y, other) = self.variable_and_fixed(i)?;
        let other = self.map[other.index()]?;
        match kind {
            BinaryKind::Mul => {
                let factor = self.factor(other)?;
                self.scaled(y, factor)
            }
            _ => self.merge_summands(y, other),
        }
    }

    /// The variable operand of two, if it has no other reader, and the fixed one.
    fn variable_and_fixed(&self, i: usize) -> Option<(Value, Value)> {
        let [a, b] = self.from.nodes[i].inputs[..] else { return None };
        let (y, other) = match (self.fixed[a.index()], self.fixed[b.index()]) {
            (false, true) => (a, b),
            (true, false) => (b, a),
            _ => return None,
        };
        (self.uses[y.index()] == 1).then_some((y, other))
    }

    /// A value of the new graph as a factor, if it varies along one axis alone.
    fn factor(&mut self, v: Value) -> Option<Factor> {
        let v = self.before_broadcast(v);
        let shape = self.to.ty(v).shape.clone();
        let mut long = (0..shape.len()).filter(|&d| shape[d] > 1);
        let (axis, None) = (long.next()?, long.next()) else { return None };
        let vector = push(&mut self.to, Reshape(vec![shape[axis]]).into(), &[v]);
        Some(Factor { vector, axis: shape.len() - axis })
    }

    /// `y` times a factor, with the factor multiplied into the weights of the product behind `y`.
    fn scaled(&mut self, y: Value, by: Factor) -> Option<Value> {
        let node = self.from.node(y).clone();
        if self.uses[y.index()] != 1 {
            return None;
        }
        let weights = |f: &Self| node.inputs.get(1).copied().filter(|w| f.fixed[w.index()]);
        let at = match (&node.op, by.axis) {
            (Op::Conv2d(_), 3) => 0,
            (Op::Conv2dInputGrad(Conv2dInputGrad { spec, .. }), 3) if spec.groups == 1 => 1,
            (Op::MatMul(_), 1) => self.from.ty(weights(self)?).shape.len() - 1,
            (Op::Reshape(_), 1) => {
                let inner = node.inputs[0];
                if self.from.ty(inner).shape.last() != node.ty.shape.last() {
                    return None;
                }
                let inner = self.scaled(inner, by)?;
                return Some(push(&mut self.to, node.op, &[inner]));
            }
            (Op::Binary(Binary(BinaryKind::Add)), _) => {
                let (inner, other) = self.variable_and_fixed(y.index())?;
                let inner = self.scaled(inner, by)?;
                let mut shape = vec![1; by.axis];
                shape[0] = self.to.ty(by.vector).shape[0];
                let factor = push(&mut self.to, Reshape(shape).into(), &[by.vector]);
                let factor = self.broadcast_to(factor, &node.ty.shape);
                let other = self.map[other.index()]?;
                let other = self.combine_narrow(BinaryKind::Mul, other, factor);
                return Some(push(&mut self.to, Binary(BinaryKind::Add).into(), &[inner, other]));
            }
            _ => return None,
        };
        let w = self.map[weights(self)?.index()]?;
        let mut shape = vec![1; self.to.ty(w).shape.len()];
        shape[at] = self.to.ty(by.vector).shape[0];
        let factor = push(&mut self.to, Reshape(shape).into(), &[by.vector]);
        let w = self.combine_narrow(BinaryKind::Mul, w, factor);
        let x = self.map[node.inputs[0].index()]?;
        Some(push(&mut self.to, node.op, &[x, w]))
    }

    /// `(c + p) + other` as `c + (p + other)`.
    fn merge_summands(&mut self, y: Value, other: Value) -> Option<Value> {
        let sum = self.map[y.index()]?;
        let node = self.to.node(sum).clone();
        let Op::Binary(Binary(BinaryKind::Add)) = node.op else { return None };
        let fixed = fixed(&self.to);
        let (c, p) = match node.inputs[..] {
            [c, p] if fixed[p.index()] => (c, p),
            [p, c] if fixed[p.index()] => (c, p),
            _ => return None,
        };
        let summand = self.combine_narrow(BinaryKind::Add, p, other);
        Some(push(&mut self.to, Binary(BinaryKind::Add).into(), &[c, summand]))
    }

    /// Arithmetic on two values of one shape before they are stretched to it.
    fn combine_narrow(&mut self, kind: BinaryKind, p: Value, q: Value) -> Value {
        let full = self.to.ty(p).shape.clone();
        let (p, q) = (self.before_broadcast(p), self.before_broadcast(q));
        let shape = broadcast_shapes(&self.to.ty(p).shape, &self.to.ty(q).shape);
        let shape = shape.expect("both stretch to one shape");
        let (p, q) = (self.broadcast_to(p, &shape), self.broadcast_to(q, &shape));
        let both = push(&mut self.to, Binary(kind).into(), &[p, q]);
        self.broadcast_to(both, &full)
    }

    /// A value before its broadcast.
    fn before_broadcast(&mut self, v: Value) -> Value {
        let node = self.to.node(v).clone();
        match node.op {
            Op::Broadcast(_) => node.inputs[0],
            Op::Leaf(Leaf::Const { value, ty }) => {
                push(&mut self.to, Leaf::Const { ty: Type::new(ty.dtype, &[]), value }.into(), &[])
            }
            _ => v,
        }
    }

    fn broadcast_to(&mut self, v: Value, shape: &[usize]) -> Value {
        if self.to.ty(v).shape == shape {
            v
        } else {
            push(&mut self.to, Broadcast(shape.to_vec()).into(), &[v])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::ConvSpec;
    use crate::{Builder, Env, Tensor, interpret, print};
    use wgrad_types::Array;

    /// A layer `name` of batch norm with statistics of its own.
    fn norm(b: &Builder, name: &str, x: &Tensor) -> Tensor {
        let channels = [x.shape()[1]];
        let param = |part: &str, role| b.param(&format!("{name}.{part}"), &channels, role);
        x.batch_norm_eval(
            &param("running_mean", Role::Buffer),
            &param("running_var", Role::Buffer),
            &param("weight", Role::Weight),
            &param("bias", Role::Weight),
            1e-5,
        )
    }

    /// Values from -0.9 to 0.9; of variances from 0.05 to 0.95.
    fn value(name: &str, shape: &[usize]) -> Array {
        let seed: usize = name.bytes().map(usize::from).sum();
        let at = |i: usize| ((i * 37 + seed * 11) % 19) as f64 / 10.0 - 0.9;
        Array::from_fn(shape, |i| if name.ends_with("var") { at(i) / 2.0 + 0.5 } else { at(i) })
    }

    fn env(graph: &Graph) -> Env {
        let mut env = Env::default();
        for node in &graph.nodes {
            match &node.op {
                Op::Leaf(Leaf::Param { name, ty, role }) => {
                    env.params.insert((*role, name.clone()), value(name, &ty.shape));
                }
                Op::Leaf(Leaf::Input { name, ty }) => {
                    env.inputs.insert(name.clone(), value(name, &ty.shape));
                }
                _ => {}
            }
        }
        env
    }

    fn output(graph: &Graph, env: &Env, i: usize) -> Array {
        interpret(graph, env)[graph.outputs[i].1.index()].clone().expect("a result")
    }

    /// Folds and hoists a graph, compares its results, and returns the graph left for the step.
    fn check(b: &Builder) -> Graph {
        let graph = b.graph();
        let mut env = env(&graph);
        let Hoisted { once, each } = hoist(&fold(&graph));
        for (i, (name, _)) in once.outputs.iter().enumerate() {
            env.params.insert((Role::Buffer, name.clone()), output(&once, &env, i));
        }
        for i in 0..graph.outputs.len() {
            let (want, got) = (output(&graph, &env, i), output(&each, &env, i));
            assert_eq!(want.shape, got.shape);
            for (w, g) in want.data.iter().zip(&got.data) {
                assert!((w - g).abs() <= 1e-12 * w.abs().max(1.0), "{w} became {g}\n{}", print(&each));
            }
        }
        each
    }

    fn count(graph: &Graph, is: impl Fn(&Op) -> bool) -> usize {
        graph.nodes.iter().zip(graph.live()).filter(|(n, live)| *live && is(&n.op)).count()
    }

    fn binaries(graph: &Graph, kind: BinaryKind) -> usize {
        count(graph, |op| *op == Op::Binary(Binary(kind)))
    }

    #[test]
    fn fold_turns_batch_norm_into_bias() {
        let b = Builder::new();
        let x = b.input("x", Type::f32(&[2, 4, 5, 6]));
        let (w, bias) = (b.param("w", &[6, 2, 3, 3], Role::Weight), b.param("b", &[6], Role::Weight));
        let spec = ConvSpec { groups: 2, ..ConvSpec::new(1, 1) };
        let first = norm(&b, "bn1", &x.conv2d(&w, Some(&bias), spec)).relu();
        let v = b.param("v", &[6, 6, 1, 1], Role::Weight);
        let second = norm(&b, "bn2", &first.conv2d(&v, None, ConvSpec::default())) + &first;
        let u = b.param("u", &[6, 3, 2, 2], Role::Weight);
        let third = norm(&b, "bn3", &second.conv_transpose2d(&u, None, ConvSpec::new(2, 0), [0, 0]));
        b.output("y", &third);
        let each = check(&b);
        // Biases, and the second layer's addition to its input.
        assert_eq!(
            (binaries(&each, BinaryKind::Mul), binaries(&each, BinaryKind::Add)),
            (0, 4),
            "{}",
            print(&each)
        );
        assert_eq!(count(&each, |op| matches!(op, Op::Leaf(Leaf::Param { .. }))), 6, "{}", print(&each));
    }

    #[test]
    fn fold_factor_into_product_columns() {
        let b = Builder::new();
        let x = b.input("x", Type::f32(&[2, 3, 4]));
        let (w, bias) = (b.param("w", &[5, 4], Role::Weight), b.param("b", &[5], Role::Weight));
        let scale = b.param("scale", &[5], Role::Weight);
        b.output("y", &(x.linear(&w, Some(&bias)) * &scale));
        let each = check(&b);
        assert_eq!(
            (binaries(&each, BinaryKind::Mul), binaries(&each, BinaryKind::Add)),
            (0, 1),
            "{}",
            print(&each)
        );
    }

    /// A factor stays if its product has other readers, or if it lies along other axes.
    #[test]
    fn fold_keeps_factors_with_other_readers_or_axes() {
        let b = Builder::new();
        let (x, w) = (b.input("x", Type::f32(&[2, 3, 4, 4])), b.param("w", &[3, 3, 1, 1], Role::Weight));
        let y = x.conv2d(&w, None, ConvSpec::default());
        b.output("shared", &y);
        b.output("normal", &norm(&b, "bn", &y));
        b.output(
            "columns",
            &(y.relu().conv2d(&w, None, ConvSpec::default()) * &b.param("c", &[4], Role::Weight)),
        );
        b.output(
            "moving",
            &(x.conv2d(
                &x.narrow(0, 0, 1).reshape(&[3, 1, 4, 4]).narrow(1, 0, 1).broadcast_to(&[3, 3, 4, 4]),
                None,
                ConvSpec::default(),
            ) * &b.param("d", &[3, 1, 1], Role::Weight)),
        );
        assert_eq!(binaries(&check(&b), BinaryKind::Mul), 3);
    }

    /// A tensor updated in the step is not fixed, and values larger than the tensors they depend on are not
    /// hoisted.
    #[test]
    fn hoist_skips_updated_and_growing_values() {
        let b = Builder::new();
        let (x, s) = (b.input("x", Type::f32(&[4])), b.param("s", &[4], Role::State));
        let w = b.param("w", &[4], Role::Weight);
        b.output("y", &(&x + &s.exp()));
        b.update(&[(&s, &(&s + &x))]);
        b.output(
            "z",
            &(b.input("t", Type::f32(&[9, 4]))
                + &(w.broadcast_to(&[9, 4]) * &b.iota(9).to_f32().reshape(&[9, 1]))),
        );
        let Hoisted { once, each } = hoist(&b.graph());
        assert!(once.outputs.is_empty(), "{}", print(&once));
        assert_eq!(count(&each, |op| matches!(op, Op::Leaf(Leaf::Param { .. }))), 2);
    }
}
