//! Element types.

use std::fmt;

/// The element type of a tensor. On a device an element takes one 32-bit word, an f16 half of one; in host
/// memory every element takes a word, and f16 are stored as f32 words holding f16 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision: how values are stored, not how they are computed with.
    F16,
    /// Signed 32-bit integer: labels and indices.
    I32,
    /// Truth value, stored as a `u32` of 0 or 1.
    Bool,
}

impl DType {
    /// Bytes an element takes on a device.
    pub fn bytes(self) -> usize {
        if self == Self::F16 { 2 } else { 4 }
    }

    /// The type's name in WGSL storage buffers.
    pub fn wgsl(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I32 => "i32",
            Self::Bool => "u32",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I32 => "i32",
            Self::Bool => "bool",
        })
    }
}
