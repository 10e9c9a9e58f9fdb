//! Tensors by role and name: initial values, snapshots, checkpoints.

use crate::Role;
use wgrad_types::HostTensor;

/// A persistent tensor's values with its role and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTensor {
    /// Weight, buffer or optimizer state.
    pub role: Role,
    /// Name as PyTorch's `state_dict` spells it.
    pub name: String,
    /// Values.
    pub value: HostTensor,
}

impl NamedTensor {
    /// A tensor's values under a role and a name.
    pub fn new(role: Role, name: impl Into<String>, value: HostTensor) -> Self {
        Self { role, name: name.into(), value }
    }
}
