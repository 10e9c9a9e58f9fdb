//! Image data pipeline from settings to batches: the source, image preparation, loaders, and batches as tensors.

use crate::generative::{self, GenerativeKind};
use crate::graphs::PADDING;
use crate::settings::Config;
use crate::state::{ModelCard, Reading};
use crate::{Observer, TrainError};
use std::sync::Arc;
use wgrad_data::{
    Batch, Dataset, Loader, LoaderOptions, Pipeline, SourceOptions, Split, Subset, estimate_normalisation,
    open, parse_augment,
};
use wgrad_types::HostTensor;

/// Data source prepared for a model.
pub(crate) struct Prepared {
    pub dataset: Dataset,
    pub card: ModelCard,
    pub pipeline: Pipeline,
    /// Fraction held out for validation.
    pub val_split: Option<f64>,
}

/// Default validation fraction for early stopping on a source without validation data.
const HELD_OUT: f64 = 0.1;

/// Default side of DCGAN's images.
const PLAYED_SIDE: usize = 32;

/// Side of a model's input images: as set, or the model's own.
pub(crate) fn wanted_size(config: &Config, model: &str) -> Result<Option<usize>, TrainError> {
    let usual = match GenerativeKind::named(model) {
        Some(GenerativeKind::Autoencoder) => None,
        Some(GenerativeKind::DcGan) => Some(PLAYED_SIDE),
        None => Config { model: model.into(), ..Config::default() }.model_kind()?.image_size(),
    };
    Ok(config.image_size.or(usual))
}

/// Opens the source and determines image size, channels and normalisation.
pub(crate) fn prepare(config: &Config, observer: &mut dyn Observer) -> Result<Prepared, TrainError> {
    let generative = config.generative_kind();
    let wanted = wanted_size(config, &config.model)?;
    let mut options = SourceOptions {
        val_split: config.val_split,
        seed: config.seed,
        strict: config.strict,
        channels: None,
        image_size: wanted,
        levels: None,
    };
    let mut dataset = open(&config.data, &options)?;
    if config.patience.is_some() && dataset.validation.is_empty() && config.val_split.is_none() {
        options.val_split = Some(HELD_OUT);
        observer.note(&format!(
            "`patience` needs validation data: {:.0} % of the training images are held out",
            HELD_OUT * 100.0
        ));
        dataset = open(&config.data, &options)?;
    }
    dataset.warnings.iter().for_each(|w| observer.note(w));
    if dataset.train.is_empty() {
        return Err(TrainError::config("data", format!("{} has no training images", config.data)));
    }
    let size = match (wanted, dataset.image_size) {
        (Some(side), _) => (side, side),
        (None, Some(size)) => size,
        (None, None) => (64, 64),
    };
    let (mean, std) = match generative {
        // The generator's images range from -1 to 1.
        Some(GenerativeKind::DcGan) => (vec![0.5; dataset.channels], vec![0.5; dataset.channels]),
        _ => estimate_normalisation(&dataset.train)?,
    };
    let card = ModelCard {
        model: config.model.clone(),
        width: config.width,
        channels: dataset.channels,
        size,
        classes: dataset.classes.clone(),
        mean,
        std,
        reading: Reading::of_levels(dataset.levels),
    };
    match generative {
        Some(_) => generative::check(&card)?,
        None => card.image_model()?.check()?,
    }
    let pipeline = pipeline(&card, &config.augment)?;
    Ok(Prepared { dataset, card, pipeline, val_split: options.val_split })
}

/// Image preparation for a model.
pub(crate) fn pipeline(card: &ModelCard, augment: &str) -> Result<Pipeline, TrainError> {
    let pipeline = Pipeline {
        size: card.size,
        channels: card.channels,
        augment: parse_augment(augment)?,
        mean: card.mean.clone(),
        std: card.std.clone(),
    };
    pipeline.check()?;
    Ok(pipeline)
}

/// Training loader: shuffled, augmented; with `drop_last` full batches only.
pub(crate) fn train_loader(
    config: &Config,
    prepared: &Prepared,
    drop_last: bool,
) -> Result<Loader, TrainError> {
    let options = LoaderOptions {
        batch_size: config.batch_size.min(prepared.dataset.train.len()),
        shuffle: true,
        seed: config.seed,
        workers: config.workers,
        prefetch: 4,
        drop_last,
        augment: true,
    };
    Ok(Loader::new(Arc::new(prepared.dataset.train.clone()), prepared.pipeline.clone(), options)?)
}

/// Evaluation loader: in order, without augmentation.
pub(crate) fn eval_loader(
    subset: &Subset,
    pipeline: &Pipeline,
    batch: usize,
    workers: usize,
) -> Result<Loader, TrainError> {
    let options = LoaderOptions { batch_size: batch, workers, ..LoaderOptions::default() };
    Ok(Loader::new(Arc::new(subset.clone()), pipeline.clone(), options)?)
}

/// Tensors of a batch.
pub(crate) fn tensors(card: &ModelCard, batch: &Batch) -> (HostTensor, HostTensor) {
    let shape = [batch.len, card.channels, card.size.0, card.size.1];
    (HostTensor::f32(&shape, &batch.images), HostTensor::i32(&[batch.len], &batch.labels))
}

/// Tensors of a batch, padded to `rows` rows with zeros and the padding label.
pub(crate) fn padded(card: &ModelCard, mut batch: Batch, rows: usize) -> (HostTensor, HostTensor) {
    batch.images.resize(rows * card.channels * card.size.0 * card.size.1, 0.0);
    batch.labels.resize(rows, PADDING);
    batch.len = rows;
    tensors(card, &batch)
}

/// Monitored split during training, with its name: validation if there is one, else test.
pub(crate) fn watched(dataset: &Dataset) -> (Split, &'static str) {
    match (dataset.validation.is_empty(), dataset.test.is_empty()) {
        (false, _) => (Split::Validation, "validation"),
        (true, false) => (Split::Test, "test"),
        (true, true) => (Split::Train, "training"),
    }
}
