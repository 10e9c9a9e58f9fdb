//! The graph: nodes in the order they were built, so operands always come before their users.

use crate::ops::{Leaf, Op, OpDef};
use crate::role::Role;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use wgrad_types::{ShapeError, Type};

/// A node's name: its index in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

impl Value {
    /// The index into `Graph::nodes`.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One application of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// The mathematics.
    pub op: Op,
    /// Operands, each an earlier node.
    pub inputs: Vec<Value>,
    /// Dtype and shape of the result.
    pub ty: Type,
    /// The layer that built the node ("features.conv1"), empty outside any.
    pub scope: Arc<str>,
}

/// At the end of a step `target` (a `Param` leaf) takes `value`. Updates of one group read each other's old values
/// and run as one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Update {
    /// The `Param` leaf to update.
    pub target: Value,
    /// Its new value.
    pub value: Value,
    /// Updates with the same number belong together (a parameter and its optimizer states).
    pub group: u32,
}

/// Nodes, the named results wanted of them, and the updates that end a step.
///
/// Two graphs are equal if their nodes, outputs, updates and stored values are, constants bit by bit.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// All nodes; operands precede users.
    pub nodes: Vec<Node>,
    /// Results the caller reads, by name.
    pub outputs: Vec<(String, Value)>,
    /// Changes to persistent tensors at the end of the step.
    pub updates: Vec<Update>,
    /// Values stored in memory of their own whatever fusion would do: parameter gradients, so that the
    /// optimizer's kernels are alike and can run as one.
    pub materialized: Vec<Value>,
    /// Nodes by the hash of operation and operands; equal hashes are told apart by comparison.
    known: BTreeMap<u64, Vec<Value>>,
    scope: Arc<str>,
    streams: u32,
}

impl PartialEq for Graph {
    fn eq(&self, other: &Self) -> bool {
        (&self.nodes, &self.outputs, &self.updates, &self.materialized)
            == (&other.nodes, &other.outputs, &other.updates, &other.materialized)
    }
}

impl Eq for Graph {}

impl Hash for Graph {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.nodes, &self.outputs, &self.updates, &self.materialized).hash(state);
    }
}

impl Graph {
    /// The node behind a value.
    pub fn node(&self, v: Value) -> &Node {
        &self.nodes[v.index()]
    }

    /// A value's type.
    pub fn ty(&self, v: Value) -> &Type {
        &self.node(v).ty
    }

    /// Adds a node, or finds the same one (same operation, same operands): the graph is pure, so equals may be shared.
    pub fn try_push(&mut self, op: Op, inputs: &[Value]) -> Result<Value, ShapeError> {
        let types: Vec<Type> = inputs.iter().map(|&v| self.ty(v).clone()).collect();
        let ty = op.infer(&types)?;
        // Fixed keys: the same graph in every run.
        let mut hasher = DefaultHasher::new();
        (&op, inputs).hash(&mut hasher);
        let alike = self.known.entry(hasher.finish()).or_default();
        let same = |v: &&Value| self.nodes[v.index()].op == op && self.nodes[v.index()].inputs == inputs;
        if let Some(&v) = alike.iter().find(same) {
            return Ok(v);
        }
        let v = Value(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node { op, inputs: inputs.to_vec(), ty, scope: self.scope.clone() });
        alike.push(v);
        Ok(v)
    }

    /// Sets the layer name that following nodes carry, and gives back the one before.
    pub fn set_scope(&mut self, scope: &str) -> Arc<str> {
        std::mem::replace(&mut self.scope, scope.into())
    }

    /// The layer name in force.
    pub fn scope(&self) -> Arc<str> {
        self.scope.clone()
    }

    /// A new stream number for a random leaf, so that two draws of the same shape differ.
    pub fn next_stream(&mut self) -> u32 {
        self.streams += 1;
        self.streams
    }

    /// The persistent tensors needed by outputs and updates.
    pub fn params(&self) -> impl Iterator<Item = (Role, &str, &Type)> {
        self.nodes.iter().zip(self.live()).filter_map(|(node, live)| match &node.op {
            Op::Leaf(Leaf::Param { name, ty, role }) if live => Some((*role, name.as_str(), ty)),
            _ => None,
        })
    }

    /// For every node, true if an output or an update needs it.
    pub fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        for v in self.outputs.iter().map(|o| o.1).chain(self.updates.iter().flat_map(|u| [u.target, u.value]))
        {
            live[v.index()] = true;
        }
        for i in (0..self.nodes.len()).rev() {
            if live[i] {
                for v in &self.nodes[i].inputs {
                    live[v.index()] = true;
                }
            }
        }
        live
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[test]
    fn constants_are_shared_bit_by_bit() {
        let b = Builder::new();
        let values = [0.0, -0.0, f64::NAN, 1.0].map(|v| (b.full(&[2], v).value(), b.full(&[2], v).value()));
        assert!(values.iter().all(|(first, again)| first == again), "the same bits are one node, NaN's too");
        let distinct: std::collections::BTreeSet<Value> = values.iter().map(|v| v.0).collect();
        assert_eq!(distinct.len(), 4, "0 and -0 are two");
    }

    #[test]
    fn graphs_compare_by_structure() {
        let graph = |value: f64, name: &str| {
            let b = Builder::new();
            let x = b.input("x", Type::f32(&[3]));
            b.output(name, &(x * value));
            b.graph()
        };
        let hash = |graph: &Graph| {
            let mut hasher = DefaultHasher::new();
            graph.hash(&mut hasher);
            hasher.finish()
        };
        let (a, twin) = (graph(2.0, "y"), graph(2.0, "y"));
        assert!(a == twin && hash(&a) == hash(&twin));
        assert!(a != graph(3.0, "y") && a != graph(2.0, "z"));
    }

    #[test]
    fn a_graph_moves_between_threads() {
        fn send<T: Send + Sync>() {}
        send::<Graph>();
    }
}
