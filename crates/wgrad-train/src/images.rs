//! Image classification task: loaders, graphs, evaluation by the confusion matrix.

use crate::evaluate::{BATCH, Evaluation, Scores, evaluate};
use crate::graphs::{training, watch_graph};
use crate::image_data::ImageData;
use crate::settings::Config;
use crate::state::Card;
use crate::task::{Feeds, Gradients, Sizes, Task};
use crate::{Observer, TrainError};
use std::sync::atomic::AtomicBool;
use wgrad_graph::Graph;
use wgrad_models::ImageModel;
use wgrad_nn::Net;
use wgrad_session::{Runner, Session};

/// Classifier with its images.
pub(crate) struct Images<'a> {
    config: &'a Config,
    image_data: ImageData,
    model: ImageModel,
}

impl<'a> Images<'a> {
    pub(crate) fn new(config: &'a Config, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let image_data = ImageData::new(config, false, observer)?;
        let model = image_data.prepared.card.image_model()?;
        Ok(Self { config, image_data, model })
    }
}

impl Task for Images<'_> {
    fn sizes(&self) -> Sizes {
        self.image_data.sizes()
    }

    fn val_split(&self) -> Option<f64> {
        self.image_data.prepared.val_split
    }

    fn card(&self) -> Card {
        Card::Image(self.image_data.prepared.card.clone())
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn class_counts(&self) -> Vec<u64> {
        let (card, train) = (&self.image_data.prepared.card, &self.image_data.prepared.dataset.train);
        let mut counts = vec![0; card.classes.len()];
        (0..train.len()).for_each(|i| counts[train.label(i)] += 1);
        counts
    }

    fn batch_sizes(&self) -> (usize, Option<usize>) {
        let images = self.image_data.prepared.dataset.train.len();
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
        self.image_data.loader.batches_per_epoch()
    }

    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_> {
        self.image_data.epoch(epoch, from)
    }

    fn watched(&self) -> &'static str {
        self.image_data.watched_name
    }

    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        final_test: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError> {
        let card = &self.image_data.prepared.card;
        let judge = |loader: &_| evaluate(session, runner, card, (&[loader], None), stop);
        let ((loss, confusion), split) = self.image_data.judged(final_test, judge)?;
        let scores = Scores::Classes { names: card.classes.clone(), confusion, pixels: false };
        Ok(Evaluation { loss, split: split.into(), scores })
    }

    fn take_warnings(&self) -> Vec<String> {
        self.image_data.loader.take_warnings()
    }
}
