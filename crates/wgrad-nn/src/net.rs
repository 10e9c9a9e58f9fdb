//! A model under construction: its graph, its parameters with their initial values, training or evaluation.

use crate::{Init, average_name};
use std::cell::{Cell, RefCell};
use wgrad_graph::{Builder, Graph, NamedTensor, Role, Tensor};
use wgrad_types::Type;

/// Training (dropout draws, batch statistics) or evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout and batch statistics are on; running statistics are updated.
    Train,
    /// Dropout is off; running statistics are used.
    Eval,
}

/// A persistent tensor of a model.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name as PyTorch's `state_dict` spells it.
    pub name: String,
    /// Weight or buffer.
    pub role: Role,
    /// The node.
    pub tensor: Tensor,
    /// Its initialiser.
    pub init: Init,
}

/// A model under construction. Layers are methods (see `layers`); each names its parameters under `name`.
pub struct Net {
    builder: Builder,
    mode: Mode,
    averaged: bool,
    parameters: RefCell<Vec<Parameter>>,
    /// Names declared before may be declared again.
    sharing: Cell<bool>,
}

impl Net {
    /// An empty model.
    pub fn new(mode: Mode) -> Self {
        Self {
            builder: Builder::new(),
            mode,
            averaged: false,
            parameters: RefCell::new(Vec::new()),
            sharing: Cell::new(false),
        }
    }

    /// A model for evaluation, reading the moving averages kept by `Optimizer::ema` instead of the weights.
    pub fn averaged() -> Self {
        Self { averaged: true, ..Self::new(Mode::Eval) }
    }

    /// The graph's builder.
    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    /// The graph built so far.
    pub fn graph(&self) -> Graph {
        self.builder.graph()
    }

    /// Names a result of each step, to be read from its outputs.
    ///
    /// # Panics
    /// If the tensor is of another network, or the name another result's.
    #[track_caller]
    pub fn output(&self, name: &str, value: &Tensor) {
        self.builder.output(name, value);
    }

    /// Training or evaluation.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Builds layers with the weights declared before under the same names, like a PyTorch module called
    /// twice. Elsewhere a repeated name is a mistake; in here a new one is.
    ///
    /// ```
    /// # use wgrad_nn::{Mode, Net};
    /// # use wgrad_types::Type;
    /// let net = Net::new(Mode::Train);
    /// let (a, b) = (net.input("a", Type::f32(&[4, 8])), net.input("b", Type::f32(&[4, 8])));
    /// let left = net.linear("tower", &a, 3);
    /// let right = net.shared(|| net.linear("tower", &b, 3));
    /// let distance = (left - right).square().sum(&[1]);
    /// # assert_eq!((net.weights().len(), distance.shape()), (2, vec![4]));
    /// ```
    pub fn shared<T>(&self, build: impl FnOnce() -> T) -> T {
        struct Before<'a>(&'a Cell<bool>, bool);
        impl Drop for Before<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        let _before = Before(&self.sharing, self.sharing.replace(true));
        build()
    }

    /// A tensor `[..]` of any dtype, fed at every step by name.
    ///
    /// # Panics
    /// If the name is an input's or a scalar's already.
    #[track_caller]
    pub fn input(&self, name: &str, ty: Type) -> Tensor {
        self.builder.input(name, ty)
    }

    /// A trainable f32 parameter; PyTorch's `torch.nn.Parameter`.
    ///
    /// # Panics
    /// If the name is taken outside of [`Net::shared`], or unknown inside it.
    #[track_caller]
    pub fn weight(&self, name: &str, shape: &[usize], init: Init) -> Tensor {
        self.parameter(name, shape, Role::Weight, init)
    }

    /// An f32 tensor of the model that is not trained; PyTorch's `register_buffer`.
    ///
    /// # Panics
    /// As [`Net::weight`].
    #[track_caller]
    pub fn buffer(&self, name: &str, shape: &[usize], init: Init) -> Tensor {
        self.parameter(name, shape, Role::Buffer, init)
    }

    #[track_caller]
    fn parameter(&self, name: &str, shape: &[usize], role: Role, init: Init) -> Tensor {
        let known = self.parameters.borrow().iter().find(|p| p.name == name).cloned();
        if let Some(known) = known {
            let (first, ty) = (known.tensor.ty(), Type::f32(shape));
            let same = first == ty && known.role == role;
            assert!(
                same,
                "parameter {name:?}: {} {ty} here, {} {first} before; give this layer another name",
                word(role),
                word(known.role)
            );
            assert!(
                self.sharing.get(),
                "parameter {name:?} ({ty}) is declared twice; give this layer another name, or share the weights by net.shared(|| ..)"
            );
            return known.tensor;
        }
        assert!(
            !self.sharing.get(),
            "parameter {name:?} is to be shared, and there is none of that name; build the layer that makes it before, outside of net.shared"
        );
        let tensor = match role {
            Role::Weight if self.averaged => self.builder.param(&average_name(name), shape, Role::State),
            _ => self.builder.param(name, shape, role),
        };
        let parameter = Parameter { name: name.into(), role, tensor: tensor.clone(), init };
        self.parameters.borrow_mut().push(parameter);
        tensor
    }

    /// All persistent tensors so far, in the order of their declaration.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.parameters.borrow().clone()
    }

    /// The trainable ones; PyTorch's `parameters()`.
    pub fn weights(&self) -> Vec<Parameter> {
        self.parameters().into_iter().filter(|p| p.role == Role::Weight).collect()
    }

    /// The trainable ones as pairs of name and tensor, as an optimizer takes them; PyTorch's `named_parameters()`.
    pub fn named_weights(&self) -> Vec<(String, Tensor)> {
        self.weights().into_iter().map(|p| (p.name, p.tensor)).collect()
    }

    /// Initial values of all persistent tensors, drawn from a seed: the same on every machine.
    pub fn initial(&self, seed: u64) -> Vec<NamedTensor> {
        let drawn = |p: Parameter| {
            let value = p.init.draw(&p.tensor.shape(), seed, &p.name);
            NamedTensor { role: p.role, name: p.name, value }
        };
        self.parameters().into_iter().map(drawn).collect()
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Weight => "weight",
        Role::Buffer => "buffer",
        Role::State => "state",
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
