//! Short lists.

use smallvec::SmallVec;

/// A list without heap memory while it is short, like a kernel's operands and outputs.
pub type SmallList<T> = SmallVec<[T; 16]>;
