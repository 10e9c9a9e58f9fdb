//! Lists of names, and words for defaults that models, optimizers and sources decide, from their own tables.

use crate::precision::PRECISIONS;
use wgrad_data::{DEFAULT_VAL_SPLIT, TEXT_VAL_SPLIT};
use wgrad_models::{TEXT_ZOO, TextModel};
use wgrad_nn::{OPTIMIZERS, Schedule};

/// Learning rate schedules by name.
pub(super) const SCHEDULES: [(&str, Schedule); 5] = [
    ("constant", Schedule::Constant),
    ("step", Schedule::Step { every: 1.0 / 3.0, gamma: 0.1 }),
    ("cosine", Schedule::Cosine),
    ("one-cycle", Schedule::OneCycle),
    ("linear-warmup", Schedule::LinearWarmup { share: 0.05 }),
];

pub(super) fn schedules() -> Vec<&'static str> {
    SCHEDULES.iter().map(|s| s.0).collect()
}

pub(super) fn optimizers() -> Vec<&'static str> {
    OPTIMIZERS.iter().map(|o| o.0).collect()
}

pub(super) fn precisions() -> Vec<&'static str> {
    PRECISIONS.to_vec()
}

pub(super) fn val_split() -> String {
    format!("{DEFAULT_VAL_SPLIT} of images without a validation or test split, {TEXT_VAL_SPLIT} of text")
}

/// The optimizers' own.
pub(super) fn weight_decay() -> String {
    let own = OPTIMIZERS.iter().map(|o| (o.0, o.1.weight_decay())).filter(|o| o.1 != 0.0);
    let own: Vec<String> = own.map(|(name, decay)| format!("{name} {decay}")).collect();
    format!("0, {}", own.join(", "))
}

pub(super) fn context() -> String {
    of_models(|model| model.context)
}

pub(super) fn layers() -> String {
    of_models(|model| model.layers)
}

pub(super) fn hidden() -> String {
    of_models(|model| model.hidden)
}

pub(super) fn heads() -> String {
    of_models(|model| model.heads)
}

/// A number of each language model, models with the same one together: `4 for gpt and bert, 2 for others`.
fn of_models(number: fn(&TextModel) -> usize) -> String {
    let mut found: Vec<(usize, Vec<&str>)> = Vec::new();
    for (name, kind, _) in TEXT_ZOO {
        let own = number(&TextModel::new(*kind, 2));
        match found.iter_mut().find(|(other, _)| *other == own) {
            Some((_, names)) => names.push(name),
            None => found.push((own, vec![name])),
        }
    }
    let Some(((last, _), several)) = found.split_last() else { return String::new() };
    let words = several.iter().map(|(own, names)| format!("{own} for {}, ", names.join(" and ")));
    let others = if several.is_empty() { "" } else { " for others" };
    words.collect::<String>() + &format!("{last}{others}")
}
