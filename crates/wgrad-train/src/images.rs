//! Image classification as a task: loaders, graphs, judgement by the confusion matrix.

use crate::config::Config;
use crate::data::{Prepared, eval_loader, prepare, tensors, train_loader, watched};
use crate::evaluate::{BATCH, Evaluation, Scores, evaluate};
use crate::graphs::{training, watch_graph};
use crate::state::Card;
use crate::task::{Feed, Feeds, Gradients, Sizes, Task};
use crate::{Observer, TrainError};
use std::sync::atomic::AtomicBool;
use wgrad_data::{Loader, Split};
use wgrad_graph::Graph;
use wgrad_models::ImageModel;
use wgrad_nn::Net;
use wgrad_session::{Runner, Session};

/// A classifier with its images.
pub(crate) struct Images<'a> {
    config: &'a Config,
    prepared: Prepared,
    model: ImageModel,
    loader: Loader,
    watched: Loader,
    watched_name: &'static str,
}

impl<'a> Images<'a> {
    pub(crate) fn new(config: &'a Config, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let prepared = prepare(config, observer)?;
        let (split, watched_name) = watched(&prepared.dataset);
        let loader = train_loader(config, &prepared, false)?;
        let watched = eval_loader(prepared.dataset.subset(split), &prepared.pipeline, BATCH, config.workers)?;
        let model = prepared.card.image_model()?;
        Ok(Self { config, prepared, model, loader, watched, watched_name })
    }
}

impl Task for Images<'_> {
    fn sizes(&self) -> Sizes {
        let d = &self.prepared.dataset;
        Sizes { train: d.train.len(), validation: d.validation.len(), test: d.test.len() }
    }

    fn val_split(&self) -> Option<f64> {
        self.prepared.val_split
    }

    fn card(&self) -> Card {
        Card::Image(self.prepared.card.clone())
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn rows(&self) -> (usize, Option<usize>) {
        let images = self.prepared.dataset.train.len();
        let full = self.config.batch_size.min(images);
        (full, Some(images % full).filter(|&rest| rest > 0))
    }

    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        let (smoothing, freeze) = (self.config.label_smoothing, self.config.freeze.as_deref());
        training(&self.model, rows, gradients, smoothing, freeze)
    }

    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError> {
        watch_graph(&self.model, BATCH, averaged)
    }

    fn batches_per_epoch(&self) -> usize {
        self.loader.batches_per_epoch()
    }

    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_> {
        Box::new(self.loader.epoch(epoch, from).map(|batch| {
            let batch = batch?;
            let (x, y) = tensors(&self.prepared.card, &batch);
            Ok(Feed { x, y, rows: batch.len })
        }))
    }

    fn watched(&self) -> &'static str {
        self.watched_name
    }

    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        last_word: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError> {
        let (card, dataset) = (&self.prepared.card, &self.prepared.dataset);
        let tests = last_word && !dataset.test.is_empty();
        let (loss, confusion) = if tests {
            let subset = dataset.subset(Split::Test);
            let loader = eval_loader(subset, &self.prepared.pipeline, BATCH, self.config.workers)?;
            evaluate(session, runner, card, &loader, stop)?
        } else {
            evaluate(session, runner, card, &self.watched, stop)?
        };
        let split = if tests { "test" } else { self.watched_name };
        let scores = Scores::Classes { names: card.classes.clone(), confusion, pixels: false };
        Ok(Evaluation { loss, split: split.into(), scores })
    }

    fn take_warnings(&self) -> Vec<String> {
        self.loader.take_warnings()
    }
}
