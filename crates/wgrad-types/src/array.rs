//! Host arrays: `Array` in f64 for references, `HostTensor` in device words for inputs, outputs and checkpoints.

use crate::{DType, Type, f16_bits, f16_value, numel};

/// A row-major array of f64, the currency of reference implementations and the interpreter.
///
/// Integers and truth values are held as whole numbers; every i32 is exact in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of these elements. Panics if the count does not fit the shape: a caller's bug.
    #[track_caller]
    pub fn new(shape: &[usize], data: Vec<f64>) -> Self {
        assert_eq!(numel(shape), data.len(), "array of shape {shape:?} given {} elements", data.len());
        Self { shape: shape.to_vec(), data }
    }

    /// An array with one value everywhere.
    pub fn full(shape: &[usize], value: f64) -> Self {
        Self { shape: shape.to_vec(), data: vec![value; numel(shape)] }
    }

    /// An array of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self::full(shape, 0.0)
    }

    /// An array from a function of the linear index.
    pub fn from_fn(shape: &[usize], f: impl FnMut(usize) -> f64) -> Self {
        Self { shape: shape.to_vec(), data: (0..numel(shape)).map(f).collect() }
    }

    /// The same elements as device words of a dtype (f64 rounds to f32).
    pub fn to_host(&self, dtype: DType) -> HostTensor {
        let words = self
            .data
            .iter()
            .map(|&v| match dtype {
                DType::F32 => (v as f32).to_bits(),
                DType::F16 => f16_value(f16_bits(v as f32)).to_bits(),
                DType::I32 => (v as i32).cast_unsigned(),
                DType::Bool => u32::from(v != 0.0),
            })
            .collect();
        HostTensor { ty: Type::new(dtype, &self.shape), words }
    }
}

/// A tensor in host memory as a device holds it: row-major 32-bit words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTensor {
    /// Dtype and shape.
    pub ty: Type,
    /// Elements, bit for bit.
    pub words: Vec<u32>,
}

impl HostTensor {
    /// From f32 elements. Panics if the count does not fit the shape: a caller's bug.
    #[track_caller]
    pub fn f32(shape: &[usize], data: &[f32]) -> Self {
        assert_eq!(numel(shape), data.len(), "tensor of shape {shape:?} given {} elements", data.len());
        Self { ty: Type::f32(shape), words: bytemuck::cast_slice(data).to_vec() }
    }

    /// From i32 elements. Panics if the count does not fit the shape: a caller's bug.
    #[track_caller]
    pub fn i32(shape: &[usize], data: &[i32]) -> Self {
        assert_eq!(numel(shape), data.len(), "tensor of shape {shape:?} given {} elements", data.len());
        Self { ty: Type::i32(shape), words: bytemuck::cast_slice(data).to_vec() }
    }

    /// Zeros of a type.
    pub fn zeros(ty: &Type) -> Self {
        Self { ty: ty.clone(), words: vec![0; ty.numel()] }
    }

    /// The elements as f32; meaningful for `DType::F32` and `DType::F16`.
    pub fn as_f32(&self) -> &[f32] {
        bytemuck::cast_slice(&self.words)
    }

    /// The elements as i32; meaningful for `DType::I32`.
    pub fn as_i32(&self) -> &[i32] {
        bytemuck::cast_slice(&self.words)
    }

    /// The elements as f64, whatever the dtype.
    pub fn to_array(&self) -> Array {
        let data = match self.ty.dtype {
            DType::F32 | DType::F16 => self.as_f32().iter().map(|&v| f64::from(v)).collect(),
            DType::I32 => self.as_i32().iter().map(|&v| f64::from(v)).collect(),
            DType::Bool => self.words.iter().map(|&v| f64::from(v)).collect(),
        };
        Array { shape: self.ty.shape.clone(), data }
    }
}
