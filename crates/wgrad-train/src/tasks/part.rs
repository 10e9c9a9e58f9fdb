//! Selection of a source's samples for evaluation, and mapping of its classes to the model's.
//!
//! A run's own source is evaluated on held-out samples. Another source is entirely new to the model, so all of it is used if
//! it has no test split. A moved source is recognised by the mean and deviation of its training images.

use super::image_data::{BATCH, eval_loader, pipeline};
use super::kind::{Evaluating, Part};
use crate::saved::card::ModelCard;
use crate::{Observer, TrainError};
use std::path::Path;
use wgrad_data::{DataError, Loader, SourceOptions, Split, Splits, Subset, estimate_normalisation, open};

/// Class numbers of the model for the classes of the data.
///
/// # Errors
/// If a class is unknown to the model.
pub(crate) fn known(spec: &str, classes: &[String], model: &[String]) -> Result<Vec<i32>, TrainError> {
    let number = |class: &String| {
        let found = model.iter().position(|known| known == class);
        found.map(|n| n as i32).ok_or_else(|| {
            let why = format!("{spec} has classes unknown to the model, e.g. {class:?}; it knows {model:?}");
            TrainError::config("data", why)
        })
    };
    classes.iter().map(number).collect()
}

/// Images for an evaluation.
pub(crate) struct Judged {
    /// A loader per split.
    pub(crate) loaders: Vec<Loader>,
    /// Description of the images.
    pub(crate) name: String,
    /// Classes of the data.
    pub(crate) classes: Vec<String>,
}

/// Images of a part of a source; `side` is the usual one of the model's images.
pub(crate) fn images(
    evaluating: &Evaluating<'_>,
    card: &ModelCard,
    side: Option<usize>,
    observer: &mut dyn Observer,
) -> Result<Judged, TrainError> {
    let Evaluating { ref config, ref spec, own, part, .. } = *evaluating;
    let (dataset, alone) = opened(evaluating, card, side)?;
    dataset.warnings.iter().for_each(|w| observer.note(w));
    let own = !alone && (own || is_known(&dataset, card));
    let chosen: Vec<Split> = match part {
        Part::Split(split) if !alone => vec![split],
        Part::Usual if !dataset.test.is_empty() => vec![Split::Test],
        Part::Usual if own && !dataset.validation.is_empty() => vec![Split::Validation],
        _ => vec![Split::Train, Split::Validation, Split::Test],
    };
    let subsets: Vec<&Subset> =
        chosen.iter().map(|&split| dataset.subset(split)).filter(|subset| !subset.is_empty()).collect();
    let count: usize = subsets.iter().map(|subset| subset.len()).sum();
    let name = match subsets[..] {
        [] => {
            let why = format!("{spec} has no images in this split: use another split, or all");
            return Err(TrainError::config("split", why));
        }
        [one] => one.description().to_owned(),
        _ => format!("{spec}, all: {count} images"),
    };
    let pipeline = pipeline(card, "none")?;
    let loader = |subset: &&Subset| eval_loader(subset, &pipeline, BATCH, config.workers);
    let loaders = subsets.iter().map(loader).collect::<Result<_, _>>()?;
    Ok(Judged { loaders, name, classes: dataset.classes })
}

/// Opens a source for a model. Of a folder with inconsistent splits only the requested split is opened; the second value
/// is then true.
fn opened(
    evaluating: &Evaluating<'_>,
    card: &ModelCard,
    side: Option<usize>,
) -> Result<(Splits, bool), TrainError> {
    let Evaluating { config, spec, part, .. } = evaluating;
    let options = SourceOptions {
        val_split: config.val_split,
        seed: config.seed,
        strict: config.strict,
        channels: Some(card.channels),
        image_size: config.image_size.or(side),
        levels: Some(card.reading.levels()),
    };
    let inner = |name: &str| {
        let dir =
            spec.strip_prefix("folder:").map(|dir| Path::new(dir).join(name)).filter(|dir| dir.is_dir());
        dir.map(|dir| format!("folder:{}", dir.display()))
    };
    let found = match (open(spec, &options), part) {
        (Err(DataError::NoTrain { other, .. }), Part::Usual | Part::All) => inner(&other),
        (
            Err(DataError::ClassMismatch { .. } | DataError::NoTrain { .. }),
            Part::Usual | Part::Split(Split::Test),
        ) => inner("test"),
        (Err(DataError::NoClasses { path }), _) => {
            let path = path.display();
            let why = format!(
                "{path} has no class folders, so there are no labels to compare with; `Predictor` takes {path} as it is"
            );
            return Err(TrainError::config("data", why));
        }
        (found, _) => return Ok((found?, false)),
    };
    match found {
        Some(inner) => Ok((open(&inner, &options)?, true)),
        None => Ok((open(spec, &options)?, false)),
    }
}

/// True if a source is the training source at another path: its training images have the model's mean and deviation.
fn is_known(dataset: &Splits, card: &ModelCard) -> bool {
    !dataset.train.is_empty()
        && dataset.classes == card.classes
        && estimate_normalisation(&dataset.train)
            .is_ok_and(|found| found == (card.mean.clone(), card.std.clone()))
}
