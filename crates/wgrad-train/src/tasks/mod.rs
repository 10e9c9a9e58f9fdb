//! Tasks: one kind per file, and the list of all. Nothing else asks for the kind of a model but through [`TaskKind`].

mod autoencoder;
mod classify;
#[cfg(test)]
mod feeds_tests;
pub(crate) mod freeze;
mod gan;
pub(crate) mod gradients;
pub(crate) mod image_data;
pub(crate) mod kind;
pub(crate) mod labelled;
mod language;
mod open;
pub(crate) mod part;
mod pictures;
mod segment;
pub(crate) mod task;

use crate::TrainError;
pub use classify::{Guess, Predictor, eval_graph, step_graph, train_graph};
use kind::TaskKind;
pub use language::{Generator, Sampling, text_graph};
pub use segment::{Mask, Segmenter};
use wgrad_models::ModelError;

/// All kinds of tasks, in the order of their models in lists.
const KINDS: &[&dyn TaskKind] =
    &[&classify::Classify, &segment::Segment, &autoencoder::Autoencoding, &gan::Gan, &language::Language];

/// All kinds of tasks.
pub fn kinds() -> &'static [&'static dyn TaskKind] {
    KINDS
}

/// Kind of task of a model; `None` if no model has this name.
pub fn kind_of(model: &str) -> Option<&'static dyn TaskKind> {
    KINDS.iter().find(|kind| kind.models().contains(&model)).copied()
}

/// Kind of task of a model.
///
/// # Errors
/// If no model has this name.
pub(crate) fn known(model: &str) -> Result<&'static dyn TaskKind, TrainError> {
    let known = || KINDS.iter().flat_map(|kind| kind.models()).collect::<Vec<_>>().join(", ");
    Ok(kind_of(model).ok_or_else(|| ModelError::Unknown { name: model.into(), known: known() })?)
}
