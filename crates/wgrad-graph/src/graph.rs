//! The graph: nodes in the order they were built, so operands always come before their users.

use crate::ops::{Leaf, Op, OpDef};
use std::collections::BTreeMap;
use std::rc::Rc;
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

/// Role of a persistent tensor. Decides its place in memory and its name in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A trainable parameter.
    Weight,
    /// Untrained part of the model: running statistics.
    Buffer,
    /// An optimizer's state.
    State,
}

/// One application of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The mathematics.
    pub op: Op,
    /// Operands, each an earlier node.
    pub inputs: Vec<Value>,
    /// Dtype and shape of the result.
    pub ty: Type,
    /// The layer of the node ("features.conv1"), empty outside any.
    pub scope: Rc<str>,
}

/// At the end of a step `target` (a `Param` leaf) takes `value`. Updates of one group read each other's old
/// values and run as one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The `Param` leaf to update.
    pub target: Value,
    /// Its new value.
    pub value: Value,
    /// Updates with the same number belong together (a parameter and its optimizer states).
    pub group: u32,
}

/// Nodes, named results, and the updates at the end of a step.
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
    known: BTreeMap<String, Value>,
    scope: Rc<str>,
    streams: u32,
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
        let key = format!("{op:?}{inputs:?}");
        if let Some(&v) = self.known.get(&key) {
            return Ok(v);
        }
        let v = Value(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(Node { op, inputs: inputs.to_vec(), ty, scope: self.scope.clone() });
        self.known.insert(key, v);
        Ok(v)
    }

    /// Sets the layer name of the following nodes, and returns the previous one.
    pub fn set_scope(&mut self, scope: &str) -> Rc<str> {
        std::mem::replace(&mut self.scope, scope.into())
    }

    /// The layer name in force.
    pub fn scope(&self) -> Rc<str> {
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
