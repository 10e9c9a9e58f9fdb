//! A model under construction: its graph, its parameters with their initial values, training or evaluation.

use crate::{Init, average_name};
use std::cell::RefCell;
use wgrad_graph::{Builder, Role, Tensor};
use wgrad_types::{HostTensor, Type};

/// Whether the graph is for training (dropout draws, batch statistics) or evaluation.
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
    /// How it starts.
    pub init: Init,
}

/// A model under construction. Layers are methods (see `layers`); each names its parameters under `name`.
pub struct Net {
    builder: Builder,
    mode: Mode,
    averaged: bool,
    parameters: RefCell<Vec<Parameter>>,
}

impl Net {
    /// An empty model.
    pub fn new(mode: Mode) -> Self {
        Self { builder: Builder::new(), mode, averaged: false, parameters: RefCell::new(Vec::new()) }
    }

    /// A model for evaluation that reads the moving averages of the weights, which `Optimizer::ema` keeps, instead of
    /// the weights.
    pub fn averaged() -> Self {
        Self { averaged: true, ..Self::new(Mode::Eval) }
    }

    /// The graph's builder.
    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    /// Training or evaluation.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A tensor fed at every step.
    pub fn input(&self, name: &str, ty: Type) -> Tensor {
        self.builder.input(name, ty)
    }

    /// A trainable parameter.
    #[track_caller]
    pub fn weight(&self, name: &str, shape: &[usize], init: Init) -> Tensor {
        self.parameter(name, shape, Role::Weight, init)
    }

    /// A tensor that belongs to the model but is not trained.
    #[track_caller]
    pub fn buffer(&self, name: &str, shape: &[usize], init: Init) -> Tensor {
        self.parameter(name, shape, Role::Buffer, init)
    }

    #[track_caller]
    fn parameter(&self, name: &str, shape: &[usize], role: Role, init: Init) -> Tensor {
        let tensor = match role {
            Role::Weight if self.averaged => self.builder.param(&average_name(name), shape, Role::State),
            _ => self.builder.param(name, shape, role),
        };
        let mut parameters = self.parameters.borrow_mut();
        match parameters.iter().find(|p| p.name == name) {
            Some(p) => assert_eq!(
                p.tensor.value(),
                tensor.value(),
                "parameter {name:?} is declared twice, differently"
            ),
            None => parameters.push(Parameter { name: name.into(), role, tensor: tensor.clone(), init }),
        }
        tensor
    }

    /// All persistent tensors so far, in the order of their declaration.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.parameters.borrow().clone()
    }

    /// The trainable ones.
    pub fn weights(&self) -> Vec<Parameter> {
        self.parameters().into_iter().filter(|p| p.role == Role::Weight).collect()
    }

    /// Initial values of all persistent tensors, drawn from a seed.
    pub fn initial(&self, seed: u64) -> Vec<(Role, String, HostTensor)> {
        self.parameters()
            .into_iter()
            .map(|p| (p.role, p.name.clone(), p.init.draw(&p.tensor.shape(), seed, &p.name)))
            .collect()
    }
}
