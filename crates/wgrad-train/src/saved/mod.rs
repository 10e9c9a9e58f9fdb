//! Files of a run and its checkpoints: descriptions, progress, tensors.

pub(crate) mod card;
pub(crate) mod files;
pub(crate) mod kept;
pub(crate) mod progress;
pub(crate) mod tensors;
