//! Facts about models that settings depend on: all names, and the groups of models.

use crate::tasks;

/// Names of all models.
pub(crate) fn names() -> Vec<&'static str> {
    tasks::kinds().iter().flat_map(|kind| kind.models()).collect()
}

/// True if a model has this name or belongs to this group.
pub(super) fn is(model: &str, word: &str) -> bool {
    model == word || tasks::kind_of(model).is_some_and(|kind| kind.groups().contains(&word))
}
