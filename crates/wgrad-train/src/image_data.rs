//! Image data of a task, independent of its kind: the data set, its loaders and the monitored split.

use crate::data::{Prepared, eval_loader, prepare, tensors, train_loader, watched};
use crate::evaluate::BATCH;
use crate::settings::Config;
use crate::task::{Feed, Feeds, Sizes};
use crate::{Observer, TrainError};
use wgrad_data::{Loader, Split};

/// Data set with loaders for training and for the monitored split.
pub(crate) struct ImageData {
    pub(crate) prepared: Prepared,
    pub(crate) loader: Loader,
    pub(crate) watched_name: &'static str,
    watched: Loader,
    workers: usize,
}

impl ImageData {
    /// Image data as configured; `drop_last` drops an incomplete last batch.
    pub(crate) fn new(
        config: &Config,
        drop_last: bool,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        let prepared = prepare(config, observer)?;
        let (split, watched_name) = watched(&prepared.dataset);
        let loader = train_loader(config, &prepared, drop_last)?;
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
