//! The types every wgrad crate shares: dtypes, shapes, strided views, host arrays, adapter capabilities.
//!
//! Nothing here computes on tensors or knows a device; it is the vocabulary the other crates speak.

mod array;
mod caps;
mod checksum;
mod dtype;
mod f16;
mod shape;
mod view;

pub use array::{Array, HostTensor};
pub use caps::{AdapterClass, Caps, Limits, Vendor};
pub use checksum::Checksum;
pub use dtype::DType;
pub use f16::{f16_bits, f16_value, pack_f16, round_f16, unpack_f16};
pub use shape::{ShapeError, Type, broadcast_shapes, coordinates, numel, strides_of};
pub use view::View;
