//! Images of a task, independent of its kind: the source, image preparation, loaders, the monitored split.

use super::kind::Brought;
use super::labelled::PADDING;
use super::task::{Feed, Feeds, Sizes};
use crate::saved::card::{ModelCard, Reading};
use crate::settings::Config;
use crate::{Observer, TrainError};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use wgrad_data::{
    Batch, Loader, LoaderOptions, Pipeline, SourceOptions, Split, Splits, Subset, estimate_normalisation,
    open_own, parse_augment,
};
use wgrad_types::HostTensor;

/// Images per evaluation batch.
pub(crate) const BATCH: usize = 64;

/// Needs of a kind of task.
pub(crate) struct Preparation {
    /// Side of the images if none is set; that of the source if `None`.
    pub side: Option<usize>,
    /// Mean and deviation of every channel; those of the training images if `None`.
    pub moments: Option<(f32, f32)>,
    /// Full training batches only.
    pub drop_last: bool,
    /// Error if the model cannot be built.
    pub check: fn(&ModelCard) -> Result<(), TrainError>,
}

/// Data source prepared for a model.
pub(crate) struct Prepared {
    pub dataset: Splits,
    pub card: ModelCard,
    pub pipeline: Pipeline,
    /// Fraction held out for validation.
    pub val_split: Option<f64>,
}

/// True if a file's first bytes are those of an image, in a supported format or not.
///
/// # Errors
/// If the file cannot be read.
pub fn is_picture(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(64).read_to_end(&mut head)?;
    Ok(image::guess_format(&head).is_ok())
}

/// Default validation fraction for early stopping on a source without validation data.
const HELD_OUT: f64 = 0.1;

/// Opens the source and determines image size, channels and normalisation.
fn prepare(
    config: &Config,
    preparation: &Preparation,
    brought: &Brought,
    observer: &mut dyn Observer,
) -> Result<Prepared, TrainError> {
    let wanted = config.image_size.or(preparation.side);
    let mut options = SourceOptions {
        val_split: config.val_split,
        seed: config.seed,
        strict: config.strict,
        channels: None,
        image_size: wanted,
        levels: None,
    };
    let open = |options: &SourceOptions| match &brought.images {
        Some(images) => open_own(&config.data, images, options),
        None => wgrad_data::open(&config.data, options),
    };
    let mut dataset = open(&options)?;
    if config.patience.is_some() && dataset.validation.is_empty() && config.val_split.is_none() {
        options.val_split = Some(HELD_OUT);
        observer.note(&format!(
            "`patience` needs validation data: {:.0} % of the training images are held out",
            HELD_OUT * 100.0
        ));
        dataset = open(&options)?;
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
    let (mean, std) = match preparation.moments {
        Some((mean, std)) => (vec![mean; dataset.channels], vec![std; dataset.channels]),
        None => estimate_normalisation(&dataset.train)?,
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
    (preparation.check)(&card)?;
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
fn train_loader(config: &Config, prepared: &Prepared, drop_last: bool) -> Result<Loader, TrainError> {
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
fn tensors(card: &ModelCard, batch: &Batch) -> (HostTensor, HostTensor) {
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
fn watched(dataset: &Splits) -> (Split, &'static str) {
    match (dataset.validation.is_empty(), dataset.test.is_empty()) {
        (false, _) => (Split::Validation, "validation"),
        (true, false) => (Split::Test, "test"),
        (true, true) => (Split::Train, "training"),
    }
}

/// Data set with loaders for training and for the monitored split.
pub(crate) struct ImageData {
    pub(crate) prepared: Prepared,
    pub(crate) loader: Loader,
    pub(crate) watched_name: &'static str,
    watched: Loader,
    workers: usize,
}

impl ImageData {
    /// Image data as configured.
    pub(crate) fn new(
        config: &Config,
        preparation: &Preparation,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let prepared = prepare(config, preparation, brought, observer)?;
        let (split, watched_name) = watched(&prepared.dataset);
        let mut loader = train_loader(config, &prepared, preparation.drop_last)?;
        if let Some(augmentation) = &brought.augmentation {
            loader = loader.augmented_by(augmentation.clone());
        }
        let workers = config.workers;
        let watched = eval_loader(prepared.dataset.subset(split), &prepared.pipeline, BATCH, workers)?;
        Ok(Self { prepared, loader, watched_name, watched, workers })
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let d = &self.prepared.dataset;
        Sizes { train: d.train.len(), validation: d.validation.len(), test: d.test.len() }
    }

    pub(crate) fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_> {
        Box::new(self.loader.epoch(epoch, from).map(|batch| {
            let batch = batch?;
            let (x, y) = tensors(&self.prepared.card, &batch);
            Ok(Feed { x, y, rows: batch.len })
        }))
    }

    /// Result of `judge` on the monitored split (for the final test: on the test images, if there are any), with the split's
    /// name.
    pub(crate) fn judged<R>(
        &self,
        final_test: bool,
        judge: impl FnOnce(&Loader) -> Result<R, TrainError>,
    ) -> Result<(R, &'static str), TrainError> {
        if !final_test || self.prepared.dataset.test.is_empty() {
            return Ok((judge(&self.watched)?, self.watched_name));
        }
        let subset = self.prepared.dataset.subset(Split::Test);
        let loader = eval_loader(subset, &self.prepared.pipeline, BATCH, self.workers)?;
        Ok((judge(&loader)?, "test"))
    }
}
