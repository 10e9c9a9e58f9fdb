//! `Tensor`: a handle on a node of a shared graph, with methods spelled as in PyTorch.
//!
//! Methods check shapes at once and panic at the caller's line with "max_pool2d: window 3x3 exceeds input ..":
//! a wrong shape is a bug in the program. `Graph::try_push` returns the error instead. Nothing is computed here.

mod activation;
mod arithmetic;
mod attention;
mod layers;
mod loss;
mod pool;
mod recurrent;
mod reduce;
mod resample;
mod shape;

#[cfg(test)]
mod identity_tests;

pub use layers::BatchNorm;
pub use loss::CrossEntropy;
pub use resample::Interpolation;

use crate::graph::{Graph, Update, Value};
use crate::interpret::{Env, interpret};
use crate::ops::{Custom, CustomOp, Leaf, Op, OpDef as _};
use crate::role::Role;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use wgrad_types::{Array, DType, Type};

/// Builds a graph: makes leaves, names outputs and updates. Cheap to clone; clones share the graph.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    graph: Rc<RefCell<Graph>>,
}

/// A node of a graph under construction. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tensor {
    graph: Rc<RefCell<Graph>>,
    value: Value,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The graph built so far.
    pub fn graph(&self) -> Graph {
        self.graph.borrow().clone()
    }

    /// Returns to an earlier state of the graph, taken by [`Builder::graph`]. Tensors made since then have no node any
    /// more: drop them.
    pub fn rewind(&self, to: Graph) {
        *self.graph.borrow_mut() = to;
    }

    #[track_caller]
    fn leaf(&self, leaf: Leaf) -> Tensor {
        self.check_name(&leaf);
        Tensor::push(&self.graph, leaf.into(), &[])
    }

    /// That a named leaf is what the name stands for already: a step takes and keeps tensors by name. A parameter or
    /// a scalar may be asked for again, as optimizers do; a second input of one name is a mistake.
    #[track_caller]
    fn check_name(&self, leaf: &Leaf) {
        let named = |leaf: &Leaf| match leaf {
            Leaf::Input { name, ty } => Some((name.clone(), format!("input {ty}"))),
            Leaf::Scalar { name } => Some((name.clone(), "scalar".to_owned())),
            Leaf::Param { name, ty, role } => {
                Some((name.clone(), format!("{} {ty}", format!("{role:?}").to_lowercase())))
            }
            _ => None,
        };
        let Some((name, here)) = named(leaf) else { return };
        let graph = self.graph.borrow();
        for node in &graph.nodes {
            let Op::Leaf(other) = &node.op else { continue };
            let meet = match (leaf, other) {
                (Leaf::Input { .. } | Leaf::Scalar { .. }, Leaf::Input { .. } | Leaf::Scalar { .. }) => true,
                // Optimizers may keep state under a weight's name.
                (Leaf::Param { role, .. }, Leaf::Param { role: kind, .. }) => {
                    role == kind || (*role != Role::State && *kind != Role::State)
                }
                _ => false,
            };
            let Some((_, before)) = named(other).filter(|t| meet && t.0 == name) else { continue };
            assert!(
                here == before,
                "name {name:?}: {here} here, {before} before; give one of them another name"
            );
            assert!(
                !matches!(leaf, Leaf::Input { .. }),
                "{here} {name:?} is declared twice; use the first one's tensor, or give one of them another name"
            );
        }
    }

    /// A tensor the caller feeds at every step.
    #[track_caller]
    pub fn input(&self, name: &str, ty: Type) -> Tensor {
        self.leaf(Leaf::Input { name: name.into(), ty })
    }

    /// A tensor kept from step to step.
    #[track_caller]
    pub fn param(&self, name: &str, shape: &[usize], role: Role) -> Tensor {
        self.leaf(Leaf::Param { name: name.into(), ty: Type::f32(shape), role })
    }

    /// A number the host sets before each step.
    #[track_caller]
    pub fn scalar(&self, name: &str) -> Tensor {
        self.leaf(Leaf::Scalar { name: name.into() })
    }

    /// One f32 value everywhere.
    pub fn full(&self, shape: &[usize], value: f64) -> Tensor {
        self.leaf(Leaf::Const { ty: Type::f32(shape), value })
    }

    /// 0, 1, .., `n - 1`; i32.
    pub fn iota(&self, n: usize) -> Tensor {
        self.leaf(Leaf::Iota { shape: vec![n], axis: 0 })
    }

    /// A table of f32 values.
    #[track_caller]
    pub fn literal(&self, array: &Array) -> Tensor {
        let data: Arc<[f64]> = array.data.iter().map(|&v| f64::from(v as f32)).collect();
        self.leaf(Leaf::Literal { ty: Type::f32(&array.shape), data })
    }

    /// Uniform in [0, 1), new at every step, different from every other draw of this graph.
    pub fn rand(&self, shape: &[usize]) -> Tensor {
        let stream = self.graph.borrow_mut().next_stream();
        self.leaf(Leaf::Random { shape: shape.to_vec(), stream })
    }

    /// Names a result for the caller of a step.
    ///
    /// # Panics
    /// If the value belongs to another graph, or another result has the name.
    #[track_caller]
    pub fn output(&self, name: &str, value: &Tensor) {
        self.owns("output", [value]);
        let other = self.graph.borrow().outputs.iter().any(|o| o.0 == name && o.1 != value.value);
        assert!(!other, "output: the name {name:?} is another result's; choose a new one");
        self.graph.borrow_mut().outputs.push((name.into(), value.value));
    }

    /// Asks the planner to give a value memory of its own (see `Graph::materialized`).
    #[track_caller]
    pub fn keep(&self, value: &Tensor) {
        self.owns("keep", [value]);
        self.graph.borrow_mut().materialized.push(value.value);
    }

    /// What a persistent tensor is to become at the end of the step, as far as [`Builder::update`] has been told: the
    /// value of its update, or itself.
    #[track_caller]
    pub fn pending(&self, target: &Tensor) -> Tensor {
        self.owns("pending", [target]);
        let graph = self.graph.borrow();
        let update = graph.updates.iter().find(|u| u.target == target.value);
        update.map_or_else(|| target.clone(), |u| target.at(u.value))
    }

    /// At the end of a step each target takes its value; all of them read the old values. A target given again takes
    /// the later value.
    ///
    /// # Panics
    /// If a target is no `param` or its value's type differs.
    #[track_caller]
    pub fn update(&self, pairs: &[(&Tensor, &Tensor)]) {
        self.owns("update", pairs.iter().flat_map(|(target, value)| [*target, *value]));
        let mut graph = self.graph.borrow_mut();
        let group = graph.updates.last().map_or(0, |u| u.group + 1);
        for (target, value) in pairs {
            assert!(
                matches!(graph.node(target.value).op, Op::Leaf(Leaf::Param { .. })),
                "update: the target must be a param"
            );
            assert_eq!(
                graph.ty(target.value),
                graph.ty(value.value),
                "update: target and value differ in type"
            );
            match graph.updates.iter_mut().find(|u| u.target == target.value) {
                Some(update) => update.value = value.value,
                None => graph.updates.push(Update { target: target.value, value: value.value, group }),
            }
        }
    }

    /// Panics at the caller's line, in the name of an operation, unless all tensors are of this graph: a node's
    /// number means another node elsewhere.
    ///
    /// # Panics
    /// If one does not.
    #[track_caller]
    pub fn owns<'a>(&self, op: &str, tensors: impl IntoIterator<Item = &'a Tensor>) {
        for tensor in tensors {
            if !Rc::ptr_eq(&self.graph, &tensor.graph) {
                panic!(
                    "{op}: {} is of another graph; make all operands with one Builder or Net",
                    tensor.description()
                );
            }
        }
    }

    /// Layer name in force until the guard is dropped, as in [`Builder::scoped`], for code that cannot be a closure:
    /// a panic within one is not at the caller's line.
    pub fn scope(&self, name: &str) -> Scope {
        let outer = self.graph.borrow().scope();
        let full = if outer.is_empty() { name.to_string() } else { format!("{outer}.{name}") };
        self.graph.borrow_mut().set_scope(&full);
        Scope { graph: self.graph.clone(), outer }
    }

    /// Runs `f` with `name` appended to the layer name of new nodes ("features" then "conv1":
    /// "features.conv1").
    pub fn scoped<R>(&self, name: &str, f: impl FnOnce() -> R) -> R {
        let _scope = self.scope(name);
        f()
    }
}

/// Restores the previous layer name of [`Builder::scope`].
#[must_use = "the layer name holds until this is dropped"]
pub struct Scope {
    graph: Rc<RefCell<Graph>>,
    outer: Arc<str>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.graph.borrow_mut().set_scope(&self.outer);
    }
}

impl Tensor {
    /// Description for messages: a leaf by its name, else the operation's name.
    fn description(&self) -> String {
        let graph = self.graph.borrow();
        let ty = graph.ty(self.value);
        match &graph.node(self.value).op {
            Op::Leaf(Leaf::Input { name, .. }) => format!("input {name:?} {ty}"),
            Op::Leaf(Leaf::Param { name, .. }) => format!("parameter {name:?} {ty}"),
            Op::Leaf(Leaf::Scalar { name }) => format!("scalar {name:?}"),
            op => format!("a tensor {ty} (by {})", op.name()),
        }
    }

    #[track_caller]
    pub(crate) fn push(graph: &Rc<RefCell<Graph>>, op: Op, inputs: &[Value]) -> Self {
        let pushed = graph.borrow_mut().try_push(op, inputs);
        match pushed {
            Ok(value) => Self { graph: graph.clone(), value },
            Err(e) => panic!("{e}"),
        }
    }

    #[track_caller]
    pub(crate) fn apply(&self, op: impl Into<Op>, others: &[&Self]) -> Self {
        let op = op.into();
        self.builder().owns(op.name(), others.iter().copied());
        let inputs: Vec<Value> = std::iter::once(self.value).chain(others.iter().map(|t| t.value)).collect();
        Self::push(&self.graph, op, &inputs)
    }

    /// A custom operation of this tensor and `others`; see [`CustomOp`]. PyTorch: `torch.autograd.Function`.
    ///
    /// # Panics
    /// If the operation refuses the shapes.
    #[track_caller]
    pub fn custom(&self, op: impl CustomOp, others: &[&Self]) -> Self {
        self.apply(Custom::new(op), others)
    }

    /// A handle on another node of the same graph.
    pub(crate) fn at(&self, value: Value) -> Self {
        Self { graph: self.graph.clone(), value }
    }

    pub(crate) fn graph(&self) -> &Rc<RefCell<Graph>> {
        &self.graph
    }

    /// The builder of this tensor's graph.
    pub fn builder(&self) -> Builder {
        Builder { graph: self.graph.clone() }
    }

    /// Index of the node in its graph.
    pub fn value(&self) -> Value {
        self.value
    }

    /// Dtype and shape.
    pub fn ty(&self) -> Type {
        self.graph.borrow().ty(self.value).clone()
    }

    /// `torch.Tensor.shape`: extents.
    pub fn shape(&self) -> Vec<usize> {
        self.ty().shape
    }

    /// `torch.Tensor.dtype`: element type.
    pub fn dtype(&self) -> DType {
        self.ty().dtype
    }

    /// Values in f64, by the interpreter: for tests and examples of graphs without inputs, parameters and scalars.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// let b = Builder::new();
    /// let x = b.full(&[2], 3.0);
    /// assert_eq!((&x * &x + 1.0).to_array().data, [10.0, 10.0]);
    /// ```
    ///
    /// # Panics
    /// If the value depends on an input, a parameter or a scalar.
    #[track_caller]
    pub fn to_array(&self) -> Array {
        let mut graph = self.graph.borrow().clone();
        (graph.outputs, graph.updates) = (vec![(String::new(), self.value)], Vec::new());
        interpret(&graph, &Env::default()).swap_remove(self.value.index()).expect("an output is computed")
    }

    /// `torch.full_like`: one value everywhere, with this tensor's dtype and shape.
    pub fn full_like(&self, value: f64) -> Self {
        Self::push(&self.graph, Leaf::Const { ty: self.ty(), value }.into(), &[])
    }

    /// `torch.zeros_like`: zeros with this tensor's dtype and shape.
    pub fn zeros_like(&self) -> Self {
        self.full_like(0.0)
    }

    /// Coordinates along an axis, i32, with this tensor's shape: `torch.arange` broadcast.
    ///
    /// # Panics
    /// If an axis is not below the rank.
    #[track_caller]
    pub fn iota_like(&self, axis: usize) -> Self {
        Self::push(&self.graph, Leaf::Iota { shape: self.shape(), axis }.into(), &[])
    }

    /// Index of an axis, counted from the end if negative, as in PyTorch.
    #[track_caller]
    pub(crate) fn axis(&self, op: &str, dim: isize) -> usize {
        let rank = self.shape().len();
        let at = if dim < 0 { dim + rank as isize } else { dim };
        assert!(at >= 0 && (at as usize) < rank, "{op}: dim {dim} of {}", self.ty());
        at as usize
    }
}
