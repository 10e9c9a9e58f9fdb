//! Leaves: sources of a graph's values.

use super::{OpDef, Vjp};
use crate::{Role, Tensor};
use std::sync::Arc;
use wgrad_types::{Array, DType, ShapeError, Type};

/// A value without an operation: from outside the graph, constant, or random.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// Given anew at every step.
    Input {
        /// The name the caller feeds it by.
        name: String,
        /// Dtype and shape.
        ty: Type,
    },
    /// Kept on the device from step to step.
    Param {
        /// The name in checkpoints, as PyTorch's `state_dict` would spell it.
        name: String,
        /// Dtype and shape.
        ty: Type,
        /// Weight, buffer or optimizer state.
        role: Role,
    },
    /// One value everywhere.
    Const {
        /// Dtype and shape.
        ty: Type,
        /// The value (for truth values 0 or 1).
        value: f64,
    },
    /// A small table of values known when the graph is built.
    Literal {
        /// Dtype and shape.
        ty: Type,
        /// Elements, row-major.
        data: Arc<[f64]>,
    },
    /// A number set by the host before each step: a learning rate, a bias correction. Shape `[]`, f32.
    Scalar {
        /// The name the host sets it by.
        name: String,
    },
    /// The coordinate along one axis, i32.
    Iota {
        /// Extents.
        shape: Vec<usize>,
        /// The axis to count along.
        axis: usize,
    },
    /// Uniform f32 in [0, 1) by Philox, a function of (seed, step, stream, element); see [`crate::philox`].
    Random {
        /// Extents.
        shape: Vec<usize>,
        /// Distinguishes draws of one graph.
        stream: u32,
    },
}

impl OpDef for Leaf {
    fn infer(&self, _: &[Type]) -> Result<Type, ShapeError> {
        Ok(match self {
            Self::Input { ty, .. } | Self::Param { ty, .. } | Self::Const { ty, .. } => ty.clone(),
            Self::Literal { ty, data } => {
                if ty.numel() != data.len() {
                    return Err(ShapeError::new("literal", format!("{ty} given {} elements", data.len())));
                }
                ty.clone()
            }
            Self::Scalar { .. } => Type::f32(&[]),
            Self::Iota { shape, axis } => {
                if *axis >= shape.len() {
                    return Err(ShapeError::new("iota", format!("axis {axis} of shape {shape:?}")));
                }
                Type::i32(shape)
            }
            Self::Random { shape, .. } => Type::new(DType::F32, shape),
        })
    }

    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::Of(Vec::new())
    }

    /// Constants and iota; the interpreter supplies values that depend on the step (`Input`, `Param`,
    /// `Scalar`, `Random`).
    fn reference(&self, _: &[Array]) -> Array {
        match self {
            Self::Const { ty, value } => {
                let stored = if ty.dtype == DType::F32 { f64::from(*value as f32) } else { *value };
                Array::full(&ty.shape, stored)
            }
            Self::Literal { ty, data } => Array::new(&ty.shape, data.to_vec()),
            Self::Iota { shape, axis } => {
                let stride: usize = shape[axis + 1..].iter().product();
                Array::from_fn(shape, |i| ((i / stride) % shape[*axis]) as f64)
            }
            Self::Input { ty, .. } | Self::Param { ty, .. } => Array::zeros(&ty.shape),
            Self::Scalar { .. } => Array::zeros(&[]),
            Self::Random { shape, .. } => Array::zeros(shape),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Param { .. } => "param",
            Self::Const { .. } => "const",
            Self::Literal { .. } => "literal",
            Self::Scalar { .. } => "scalar",
            Self::Iota { .. } => "iota",
            Self::Random { .. } => "random",
        }
    }
}
