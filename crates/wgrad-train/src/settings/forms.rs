//! Rules of texts with a reader of their own.

use super::rule::Rule;
use std::fmt::Display;
use wgrad_data::{AUGMENTATIONS, IGNORED_LABEL, TOKENIZERS, TokenizerChoice};
use wgrad_device::{DEVICES, Request};

/// List of augmentations.
pub(super) const AUGMENT: Rule =
    Rule::Form { words: AUGMENTATIONS, check: |text| reason(wgrad_data::parse_augment(text)) };

/// Ignored label of masks.
pub(super) const LABEL: Rule =
    Rule::Form { words: IGNORED_LABEL, check: |text| reason(wgrad_data::check_ignored(text)) };

/// Tokenizer.
pub(super) const TOKENIZER: Rule =
    Rule::Form { words: TOKENIZERS, check: |text| reason(text.parse::<TokenizerChoice>()) };

/// Device.
pub(super) const DEVICE: Rule = Rule::Form { words: DEVICES, check: |text| reason(text.parse::<Request>()) };

fn reason<T>(read: Result<T, impl Display>) -> Result<(), String> {
    read.map(drop).map_err(|e| e.to_string())
}
