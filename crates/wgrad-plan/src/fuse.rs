//! Decides which nodes get memory of their own and which are recomputed inside their readers.

use std::collections::BTreeSet;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Graph, Value};

/// Kinds of node, as seen by fusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Lives in memory from outside: inputs, parameters, literals.
    Stored,
    /// A leaf computed on the spot: constants, scalars, iota, random.
    Generated,
    /// Runs inside a fused expression.
    Elementwise,
    /// A view.
    Movement,
    /// A kernel of its own.
    Heavy,
}

pub(crate) fn class(op: &Op) -> Class {
    match op {
        Op::Leaf(Leaf::Input { .. } | Leaf::Param { .. } | Leaf::Literal { .. }) => Class::Stored,
        Op::Leaf(_) => Class::Generated,
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select(_) | Op::Cast(_) => Class::Elementwise,
        Op::Reshape(_) | Op::Permute(_) | Op::Broadcast(_) | Op::Slice(_) | Op::Pad(_) | Op::Detach(_) => {
            Class::Movement
        }
        _ => Class::Heavy,
    }
}

/// Limits of one fused expression: WebGPU binds 8 buffers, shared with outputs and scalars, and long bodies
/// cost compile time on software adapters.
const MAX_LOADS: usize = 4;
const MAX_FLOPS: usize = 96;
/// A value with several readers is recomputed in each if it is this cheap, stored otherwise.
const CHEAP_LOADS: usize = 2;
const CHEAP_FLOPS: usize = 4;

/// The decisions.
pub(crate) struct Fusion {
    /// Nodes something needs.
    pub live: Vec<bool>,
    /// Nodes stored in memory for their readers (a heavy node may still be absorbed by its only reader).
    pub stored: Vec<bool>,
    /// Reading edges of each node, results and updates included.
    pub uses: Vec<usize>,
    /// Nodes that must not vanish into a reader's epilogue: materialized values and results.
    pub pinned: BTreeSet<Value>,
}

/// A reader at the end of a chain of movements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Node(Value),
    Output(usize),
    Update(u32),
}

/// Decides for every node. `forced` nodes must be stored: emission found that it cannot inline them.
pub(crate) fn fuse(graph: &Graph, forced: &BTreeSet<Value>) -> Fusion {
    let n = graph.nodes.len();
    let live = graph.live();
    let mut consumers: Vec<Vec<Reader>> = vec![Vec::new(); n];
    for i in (0..n).filter(|&i| live[i]) {
        for v in &graph.nodes[i].inputs {
            consumers[v.index()].push(Reader::Node(Value(i as u32)));
        }
    }
    for (i, (_, v)) in graph.outputs.iter().enumerate() {
        consumers[v.index()].push(Reader::Output(i));
    }
    for u in &graph.updates {
        consumers[u.value.index()].push(Reader::Update(u.group));
    }
    let pinned: BTreeSet<Value> =
        graph.materialized.iter().copied().chain(graph.outputs.iter().map(|o| o.1)).collect();
    let owner = update_owner(graph, &live, &consumers, &pinned);
    let uses: Vec<usize> = consumers.iter().map(Vec::len).collect();
    let mut stored = vec![false; n];
    // Per node the price of computing it inside a reader: loads, arithmetic, whether a heavy result would be its epilogue.
    let mut price = vec![(0usize, 0usize, false); n];
    for i in (0..n).filter(|&i| live[i]) {
        let (node, v) = (&graph.nodes[i], Value(i as u32));
        let own = class(&node.op);
        let inner: Vec<(usize, usize, bool)> = node
            .inputs
            .iter()
            .map(|x| match stored[x.index()] {
                true => (1, 0, class(&graph.node(*x).op) == Class::Heavy && uses[x.index()] == 1),
                false => price[x.index()],
            })
            .collect();
        // A value read along many paths counts along each: the count may pass any number.
        let all =
            |of: fn(&(usize, usize, bool)) -> usize| inner.iter().map(of).fold(0, usize::saturating_add);
        let loads = all(|p| p.0);
        let flops = all(|p| p.1).saturating_add(usize::from(own == Class::Elementwise));
        price[i] = match own {
            Class::Generated if matches!(node.op, Op::Leaf(Leaf::Random { .. })) => (0, 40, false),
            _ => (loads, flops, inner.iter().any(|p| p.2)),
        };
        stored[i] = match own {
            Class::Stored | Class::Heavy => true,
            _ if forced.contains(&v) => true,
            Class::Generated | Class::Movement => false,
            Class::Elementwise => {
                owner[i].is_none()
                    && (pinned.contains(&v) || loads > MAX_LOADS || flops > MAX_FLOPS || {
                        let (readers, enlarged) = readers(graph, &consumers, v);
                        must_store(graph, &readers)
                            || (enlarged && flops > 0 && !(graph.ty(v).numel() == 1 && flops <= CHEAP_FLOPS))
                            || {
                                let shared = readers.len() > 1;
                                shared && (loads > CHEAP_LOADS || flops > CHEAP_FLOPS || price[i].2)
                            }
                    })
            }
        };
    }
    Fusion { live, stored, uses, pinned }
}

/// Update group of nodes read by that group alone: they run inside its kernel however many uses they have.
fn update_owner(
    graph: &Graph,
    live: &[bool],
    consumers: &[Vec<Reader>],
    pinned: &BTreeSet<Value>,
) -> Vec<Option<u32>> {
    let mut owner: Vec<Option<u32>> = vec![None; graph.nodes.len()];
    for i in (0..graph.nodes.len()).rev().filter(|&i| live[i]) {
        let group = |r: &Reader| match r {
            Reader::Update(g) => Some(*g),
            Reader::Node(v) if class(&graph.node(*v).op) != Class::Heavy => owner[v.index()],
            _ => None,
        };
        let first = consumers[i].first().and_then(group);
        if first.is_some()
            && !pinned.contains(&Value(i as u32))
            && consumers[i].iter().all(|r| group(r) == first)
        {
            owner[i] = first;
        }
    }
    owner
}

/// Readers of a node through movements, and true if a broadcast on the way enlarges it.
fn readers(graph: &Graph, consumers: &[Vec<Reader>], v: Value) -> (BTreeSet<Reader>, bool) {
    let (mut found, mut enlarged, mut todo) = (BTreeSet::new(), false, vec![v]);
    while let Some(v) = todo.pop() {
        for r in &consumers[v.index()] {
            match r {
                Reader::Node(c) if class(&graph.node(*c).op) == Class::Movement => {
                    enlarged |= matches!(graph.node(*c).op, Op::Broadcast(_))
                        && graph.ty(*c).numel() > graph.ty(v).numel();
                    todo.push(*c);
                }
                r => {
                    found.insert(*r);
                }
            }
        }
    }
    (found, enlarged)
}

/// Results, and heavy kernels other than reductions, read memory, not expressions.
fn must_store(graph: &Graph, readers: &BTreeSet<Reader>) -> bool {
    readers.iter().any(|r| match r {
        Reader::Output(_) => true,
        Reader::Update(_) => false,
        Reader::Node(c) => {
            class(&graph.node(*c).op) == Class::Heavy && !matches!(graph.node(*c).op, Op::Reduce(_))
        }
    })
}
