//! Facts about models that settings depend on: all names, and the groups of models.

use crate::generative::{GENERATIVE_MODELS, GenerativeKind};
use crate::segmentation::SEGMENTER;
use wgrad_models::{TEXT_ZOO, TextKind, ZOO};

/// Names of all models.
pub(crate) fn names() -> Vec<&'static str> {
    let images = ZOO.iter().map(|m| m.0).chain([SEGMENTER]).chain(GENERATIVE_MODELS.map(|m| m.0));
    images.chain(TEXT_ZOO.iter().map(|m| m.0)).collect()
}

/// True if a model has this name or belongs to this group.
pub(super) fn is(model: &str, word: &str) -> bool {
    let (text, generative) = (TextKind::named(model).is_some(), GenerativeKind::named(model).is_some());
    match word {
        "language models" => text,
        "image models" => !text,
        "generative models" => generative,
        "segmenters" => model == SEGMENTER,
        "image classifiers" => !text && !generative && model != SEGMENTER,
        name => model == name,
    }
}
