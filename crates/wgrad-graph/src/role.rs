//! Purpose of a persistent tensor.

/// What a persistent tensor is for. Decides its memory and its name in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A trainable parameter.
    Weight,
    /// Untrained part of the model: running statistics.
    Buffer,
    /// An optimizer's state.
    State,
}
