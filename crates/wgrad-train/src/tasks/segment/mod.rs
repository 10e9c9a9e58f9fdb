//! Segmentation: one class per pixel, evaluated by the confusion matrix over pixels.

mod graph;
mod segmenter;

use super::gradients::Gradients;
use super::kind::{Assumed, Brought, Evaluating, Input, Output, TaskKind, Workload};
use super::labelled::PADDING;
use super::part;
use super::task::{Feed, Feeds, Sizes, Task, evaluation_net};
use crate::evaluation::{Evaluation, GO_ON, Scores, check};
use crate::numbers::thousands;
use crate::saved::card::{Card, ModelCard, Reading};
use crate::saved::tensors::restored;
use crate::settings::Config;
use crate::{Observer, TrainError};
use graph::{ROWS, evaluation, tensors, training};
pub use segmenter::{Mask, Segmenter};
use std::sync::atomic::AtomicBool;
use wgrad_data::{
    Augment, DEFAULT_VAL_SPLIT, MaskedImage, SegmentationData, SegmentationOptions, SegmentationReader,
    masked_image_moments, open_masks, parse_augment,
};
use wgrad_graph::Graph;
use wgrad_models::UNet;
use wgrad_nn::{ConfusionMatrix, Mode, Net};
use wgrad_session::{Runner, Session};

/// Segmenters.
pub(super) struct Segment;

/// Name of the model.
const SEGMENTER: &str = "unet";

/// Default side of the images.
const SIDE: usize = 128;

impl TaskKind for Segment {
    fn models(&self) -> Vec<&'static str> {
        vec![SEGMENTER]
    }

    fn groups(&self) -> &'static [&'static str] {
        &["image models", "segmenters"]
    }

    fn input(&self) -> Input {
        Input::Masks
    }

    fn output(&self) -> Output {
        Output::Masks
    }

    fn usage(&self) -> &'static str {
        "is a segmenter: it classifies pixels, not images"
    }

    fn open<'a>(
        &self,
        config: &'a Config,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Task + 'a>, TrainError> {
        brought.refuse(&config.model)?;
        Ok(Box::new(Segmentation::new(config, observer)?))
    }

    /// Evaluates on the held-out images, on the training images, or on all. There is no test split: the validation split
    /// stands in for it.
    fn evaluate(
        &self,
        evaluating: Evaluating<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        let (card, spec) = (evaluating.image_card()?, &evaluating.spec);
        let mut images = open_for(spec, &evaluating.config, card)?;
        images.warnings.iter().for_each(|w| observer.note(w));
        let labels = part::known(spec, &images.classes, &card.classes)?;
        let moved =
            masked_image_moments(&images.train, images.channels) == (card.mean.clone(), card.std.clone());
        let (train, held_out, name) = evaluating.part.halves(evaluating.own || moved);
        let mut chosen = if train { std::mem::take(&mut images.train) } else { Vec::new() };
        chosen.extend(if held_out { images.validation } else { Vec::new() });
        let graph = evaluation(&Net::new(Mode::Eval), card, ROWS)?;
        let (mut session, mut runner) = restored(&evaluating.dir, &graph, evaluating.device)?;
        let labelled = (&chosen[..], Some(&labels[..]));
        let (loss, scores) = score(&mut session, &mut runner, card, labelled, &GO_ON)?;
        Ok(Evaluation { loss, split: name.into(), scores })
    }

    fn workload(&self, config: &Config, assumed: &Assumed) -> Result<Workload, TrainError> {
        let (card, rows) = (assumed.card(config, (SIDE, 3)), config.batch_size);
        let graph = match assumed.evaluation {
            true => evaluation(&Net::new(Mode::Eval), &card, rows)?,
            false => {
                let optimizer = config.optimizer()?;
                training(&card, rows, Gradients::Update(&optimizer), 0.0, None)?.builder().graph()
            }
        };
        let words = format!("images, {} classes of pixels", thousands(assumed.classes as u64));
        Ok(Workload::on_images((graph, &card, rows), "pixels", &words))
    }
}

/// U-Net with its images and masks.
struct Segmentation {
    card: ModelCard,
    images: SegmentationData,
    reader: SegmentationReader,
    rows: usize,
    /// Images left out at the end of an epoch, too few for batch normalisation.
    left_out: usize,
    val_split: f64,
    label_smoothing: f64,
    freeze: Option<String>,
}

/// Opens images with masks for training.
fn open(config: &Config, size: (usize, usize)) -> Result<SegmentationData, TrainError> {
    let options = SegmentationOptions {
        size,
        val_split: config.val_split,
        seed: config.seed,
        strict: config.strict,
        ignore: config.ignore.clone(),
        ..SegmentationOptions::default()
    };
    Ok(open_masks(&config.data, &options)?)
}

/// Opens images with masks for a trained model, with its image preparation and classes.
fn open_for(spec: &str, config: &Config, card: &ModelCard) -> Result<SegmentationData, TrainError> {
    let options = SegmentationOptions {
        size: card.size,
        val_split: config.val_split,
        seed: config.seed,
        strict: config.strict,
        ignore: card.reading.ignore.clone(),
        channels: Some(card.channels),
        classes: Some(card.classes.clone()),
        levels: Some(card.reading.levels()),
    };
    Ok(open_masks(spec, &options)?)
}

impl Segmentation {
    fn new(config: &Config, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let side = config.image_size.unwrap_or(SIDE);
        // Checked before any data is read; the number of classes is not known yet.
        UNet { classes: 2, width: config.width }.check((side, side))?;
        let flip = match parse_augment(&config.augment)?[..] {
            [] => false,
            [Augment::HorizontalFlip { .. }] => true,
            _ => return Err(TrainError::config("augment", "unet supports only flip")),
        };
        let images = open(config, (side, side))?;
        images.warnings.iter().for_each(|w| observer.note(w));
        let (mean, std) = masked_image_moments(&images.train, images.channels);
        let card = ModelCard {
            model: SEGMENTER.into(),
            width: config.width,
            channels: images.channels,
            size: (side, side),
            classes: images.classes.clone(),
            mean: mean.clone(),
            std: std.clone(),
            reading: Reading {
                ignore: config.ignore.clone(),
                palette: images.palette.clone(),
                ..Reading::of_levels(images.levels)
            },
        };
        let rows = config.batch_size.min(images.train.len());
        let left_out = left_out((side, side), images.train.len(), rows, config.accumulate)?;
        if left_out > 0 {
            observer.note(&format!(
                "{left_out} of {} training images are left out of each epoch, different ones each time: {} at the end is too \
                small a batch for batch normalisation at {side}x{side}; another `batch_size` or `image_size` {} uses them all",
                images.train.len(),
                if left_out == 1 { "one" } else { "those" },
                2 * side
            ));
        }
        Ok(Self {
            card,
            left_out,
            reader: SegmentationReader { mean, std, flip, seed: config.seed },
            rows,
            images,
            val_split: config.val_split.unwrap_or(DEFAULT_VAL_SPLIT),
            label_smoothing: config.label_smoothing,
            freeze: config.freeze.clone(),
        })
    }
}

/// Images left out of an epoch since their batch would have one value per channel at the network's smallest layer: batch
/// normalisation has no variance of one value (PyTorch refuses it, too).
///
/// # Errors
/// If every batch would be too small.
fn left_out(size: (usize, usize), pictures: usize, rows: usize, parts: usize) -> Result<usize, TrainError> {
    let least = if UNet::smallest(size) > 1 { 1 } else { 2 };
    let part = rows.div_ceil(parts);
    let short = |batch: usize| part.min(batch) < least || (1..least).contains(&(batch % part));
    if short(rows) {
        let why = format!(
            "{rows}{} leaves a single image, but batch normalisation at {}x{} needs at least two: use an even number, or `image_size` {}",
            if parts > 1 { format!(" in {parts} parts") } else { String::new() },
            size.0,
            size.1,
            2 * size.0
        );
        return Err(TrainError::config("batch_size", why));
    }
    let rest = pictures % rows;
    Ok(if rest > 0 && short(rest) { rest } else { 0 })
}

/// Loss and confusion matrix over images with masks, using an evaluation plan of [`ROWS`] rows; `labels` maps classes of
/// the data to those of the model.
fn score(
    session: &mut Session,
    runner: &mut Runner,
    card: &ModelCard,
    (images, labels): (&[MaskedImage], Option<&[i32]>),
    stop: &AtomicBool,
) -> Result<(f64, Scores), TrainError> {
    let reader = SegmentationReader { mean: card.mean.clone(), std: card.std.clone(), flip: false, seed: 0 };
    let mut confusion = ConfusionMatrix::new(card.classes.len());
    let (mut loss, mut pixels) = (0.0, 0_usize);
    let all: Vec<usize> = (0..images.len()).collect();
    for picks in all.chunks(ROWS) {
        check(stop)?;
        let mut batch = reader.batch(images, picks, None);
        if let Some(labels) = labels {
            let known = batch.classes.iter_mut().filter(|class| **class >= 0);
            known.for_each(|class| *class = labels[*class as usize]);
        }
        let (x, y) = tensors(card, batch, ROWS);
        runner.step(session, 0, &[("x", &x), ("y", &y)], &[])?;
        let outputs = runner.wait()?.expect("a step is under way");
        // The loss is a mean over labels other than padding.
        let counted = y.as_i32().iter().filter(|&&label| label != PADDING).count();
        loss += f64::from(outputs.scalar("loss")) * counted as f64;
        pixels += counted;
        for (&label, &predicted) in y.as_i32().iter().zip(outputs.get("predicted").as_i32()) {
            if label != PADDING {
                confusion.add(label as usize, predicted as usize);
            }
        }
    }
    let scores = Scores::Classes { names: card.classes.clone(), confusion, pixels: true };
    Ok((loss / pixels.max(1) as f64, scores))
}

impl Task for Segmentation {
    fn sizes(&self) -> Sizes {
        Sizes { train: self.images.train.len(), validation: self.images.validation.len(), test: 0 }
    }

    fn val_split(&self) -> Option<f64> {
        Some(self.val_split)
    }

    fn card(&self) -> Card {
        Card::Image(self.card.clone())
    }

    fn class_counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.card.classes.len()];
        let labels = self.images.train.iter().flat_map(|scene| &scene.classes);
        labels.for_each(|&class| {
            if let Some(count) = counts.get_mut(usize::from(class)) {
                *count += 1;
            }
        });
        counts
    }

    fn unit(&self) -> &'static str {
        "pixels"
    }

    fn batch_sizes(&self) -> (usize, Option<usize>) {
        (self.rows, Some(self.images.train.len() % self.rows).filter(|&rest| rest > self.left_out))
    }

    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        training(&self.card, rows, gradients, self.label_smoothing, self.freeze.as_deref())
    }

    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError> {
        evaluation(&evaluation_net(averaged), &self.card, ROWS)
    }

    fn batches_per_epoch(&self) -> usize {
        (self.images.train.len() - self.left_out).div_ceil(self.rows)
    }

    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_> {
        let order = self.reader.order(self.images.train.len(), epoch);
        Box::new((from..self.batches_per_epoch()).map(move |i| {
            let picks = &order[i * self.rows..((i + 1) * self.rows).min(order.len())];
            let (x, y) =
                tensors(&self.card, self.reader.batch(&self.images.train, picks, Some(epoch)), picks.len());
            Ok(Feed { x, y, rows: picks.len() })
        }))
    }

    fn watched(&self) -> &'static str {
        "validation"
    }

    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        _: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError> {
        let (loss, scores) = score(session, runner, &self.card, (&self.images.validation, None), stop)?;
        Ok(Evaluation { loss, split: "validation".into(), scores })
    }

    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_with_one_value_per_channel_is_left_out_or_refused() {
        let out = |side: usize, pictures, rows, parts| left_out((side, side), pictures, rows, parts);
        assert_eq!(out(16, 12, 4, 1).expect("no rest"), 0);
        assert_eq!(out(16, 14, 4, 1).expect("two are left"), 0);
        assert_eq!(out(16, 13, 4, 1).expect("one is left"), 1);
        assert_eq!(out(16, 15, 4, 2).expect("a part of one is left"), 3);
        assert_eq!(out(32, 13, 4, 1).expect("four values"), 0);
        assert!(out(16, 13, 1, 1).is_err() && out(16, 13, 4, 4).is_err() && out(16, 3, 3, 2).is_err());
        assert_eq!(out(32, 13, 1, 1).expect("four values"), 0);
    }
}
