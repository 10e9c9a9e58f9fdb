//! Shapes, tensor types and the error type of shape rules.

use crate::DType;
use std::fmt;

/// Number of elements of a shape (1 for the empty shape, a scalar).
pub fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Row-major (C order) strides of a shape, in elements.
pub fn strides_of(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for d in (1..shape.len()).rev() {
        strides[d - 1] = strides[d] * shape[d];
    }
    strides
}

/// Coordinates of a row-major linear index.
pub fn coordinates(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut at = vec![0; shape.len()];
    for d in (0..shape.len()).rev() {
        at[d] = index % shape[d];
        index /= shape[d];
    }
    at
}

/// The shape two shapes broadcast to, by NumPy's rule (trailing axes align; 1 stretches), if there is one.
pub fn broadcast_shapes(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], d: usize| if d + s.len() >= rank { s[d + s.len() - rank] } else { 1 };
    (0..rank)
        .map(|d| match (at(a, d), at(b, d)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// A tensor's dtype and shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Element type.
    pub dtype: DType,
    /// Extent of each axis; empty for a scalar.
    pub shape: Vec<usize>,
}

impl Type {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: &[usize]) -> Self {
        Self { dtype, shape: shape.to_vec() }
    }

    /// An `f32` type.
    pub fn f32(shape: &[usize]) -> Self {
        Self::new(DType::F32, shape)
    }

    /// An `i32` type.
    pub fn i32(shape: &[usize]) -> Self {
        Self::new(DType::I32, shape)
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// Bytes on a device: whole words.
    pub fn bytes(&self) -> usize {
        (self.numel() * self.dtype.bytes()).next_multiple_of(4)
    }

    /// The same type with f32 in place of f16.
    #[must_use]
    pub fn widened(&self) -> Self {
        let dtype = if self.dtype == DType::F16 { DType::F32 } else { self.dtype };
        Self::new(dtype, &self.shape)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.shape)
    }
}

/// Operands an operation does not accept: the caller's mistake, said with the operation and the figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{op}: {why}")]
pub struct ShapeError {
    /// The operation, as its `Tensor` method is called.
    pub op: &'static str,
    /// The mismatch, with the shapes.
    pub why: String,
}

impl ShapeError {
    /// An error of `op` with its reason.
    pub fn new(op: &'static str, why: impl Into<String>) -> Self {
        Self { op, why: why.into() }
    }
}
