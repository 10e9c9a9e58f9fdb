//! Element types.

use std::fmt;

/// The element type of a tensor. Every element takes one 32-bit word on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DType {
    /// IEEE 754 single precision.
    F32,
    /// Signed 32-bit integer: labels and indices.
    I32,
    /// Truth value, stored as a `u32` of 0 or 1.
    Bool,
}

impl DType {
    /// Bytes an element takes on a device.
    pub const BYTES: usize = 4;

    /// The type's name in WGSL storage buffers.
    pub fn wgsl(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::Bool => "u32",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I32 => "i32",
            Self::Bool => "bool",
        })
    }
}
