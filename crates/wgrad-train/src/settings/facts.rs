//! Facts about all settings, from the table.

use super::rule::Rule::{AtLeast, BelowOne, FromTo, NotNegative, OneOf, Positive, Share, UpTo};
use super::setting::{Setting, about, switch};
use super::table::table;
use super::value::Field;
use super::{defaults, forms, kinds};
use wgrad_data::EMBEDDED_TEXT;
use wgrad_models::TextModel;

/// Largest batch size; sizes computed from it stay far from overflow.
const MAX_BATCH: u64 = 1 << 20;

/// Writes the list of settings from the table.
macro_rules! facts {
    ($($group:literal { $(
        $(#[doc = $help:literal])+
        $name:ident: $type:ty = $default:expr $(, for { $($models:literal = $own:expr),+ })? => $about:expr;
    )+ })+) => {
        /// All settings, in the order of help and documentation.
        pub(super) const SETTINGS: &[Setting] = &[$($(
            Setting {
                name: stringify!($name),
                group: $group,
                sort: <$type as Field>::SORT,
                doc: concat!($($help),+),
                default: || <$type as Field>::of_literal($default).value(),
                by_model: &[$($(($models, || <$type as Field>::of_literal($own).value()),)+)?],
                about: $about,
            },
        )+)+];
    };
}

table!(facts);
