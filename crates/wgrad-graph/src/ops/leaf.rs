//! Leaves: sources of a graph's values.

use super::{OpDef, Vjp};
use crate::{Role, Tensor};
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::sync::Arc;
use wgrad_types::{Array, DType, ShapeError, Type};

/// A value that no operation computes.
///
/// Leaves compare by the bits of their numbers: NaN equals itself, 0 and -0 differ.
#[derive(Clone, Debug)]
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

/// Everything that sets one leaf of a kind apart from another.
type Identity<'a> = (Option<&'a str>, Option<&'a Type>, Option<Role>, &'a [f64], &'a [usize], usize);

impl Leaf {
    fn identity(&self) -> Identity<'_> {
        match self {
            Self::Input { name, ty } => (Some(name), Some(ty), None, &[], &[], 0),
            Self::Param { name, ty, role } => (Some(name), Some(ty), Some(*role), &[], &[], 0),
            Self::Const { ty, value } => (None, Some(ty), None, std::slice::from_ref(value), &[], 0),
            Self::Literal { ty, data } => (None, Some(ty), None, data, &[], 0),
            Self::Scalar { name } => (Some(name), None, None, &[], &[], 0),
            Self::Iota { shape, axis } => (None, None, None, &[], shape, *axis),
            Self::Random { shape, stream } => (None, None, None, &[], shape, *stream as usize),
        }
    }
}

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        let (name, ty, role, numbers, shape, index) = self.identity();
        let (name2, ty2, role2, numbers2, shape2, index2) = other.identity();
        discriminant(self) == discriminant(other)
            && (name, ty, role, shape, index) == (name2, ty2, role2, shape2, index2)
            && numbers.iter().map(|v| v.to_bits()).eq(numbers2.iter().map(|v| v.to_bits()))
    }
}

impl Eq for Leaf {}

impl Hash for Leaf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (name, ty, role, numbers, shape, index) = self.identity();
        (discriminant(self), name, ty, role, shape, index).hash(state);
        numbers.iter().for_each(|v| v.to_bits().hash(state));
    }
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
