//! Batches of a subset, epoch by epoch, reproducible whatever the number of workers.
//!
//! The order depends on (seed, epoch) only, a sample's augmentation on (seed, epoch, index in the subset)
//! only, so a run resumed in the middle of an epoch sees exactly the same samples.
//!
//! An undecodable sample is replaced by the next decodable one in the epoch's order, wrapping round at the
//! end: batches keep their size, and the replacement is seen twice in the epoch. The file is named once in
//! the warnings. A strict subset stops with the error instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::DataError;
use crate::pipeline::{Pipeline, SampleKey};
use crate::prefetch::EpochIter;
use crate::random::{Purpose, Stream};
use crate::subset::Subset;

/// Samples ready for a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `len` x channels x height x width floats.
    pub images: Vec<f32>,
    /// The class of each sample.
    pub labels: Vec<i32>,
    /// Samples: the batch size, or less in the last batch of an epoch.
    pub len: usize,
    /// The index of each sample in the subset; after a replacement, the replacement's.
    pub indices: Vec<usize>,
}

/// Options of a [`Loader`].
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Samples per batch.
    pub batch_size: usize,
    /// Draw a new order each epoch; otherwise samples come in subset order.
    pub shuffle: bool,
    /// Decides order and augmentation.
    pub seed: u64,
    /// Worker threads; 0 builds batches in the calling thread.
    pub workers: usize,
    /// Batches built or being built ahead of the caller, at least 1; below `workers`, some workers idle.
    pub prefetch: usize,
    /// Leave out an incomplete last batch.
    pub drop_last: bool,
    /// Apply the pipeline's augmentation: true for training, false for evaluation.
    pub augment: bool,
}

impl Default for LoaderOptions {
    /// Evaluation with two workers.
    fn default() -> Self {
        Self {
            batch_size: 32,
            shuffle: false,
            seed: 0,
            workers: 2,
            prefetch: 4,
            drop_last: false,
            augment: false,
        }
    }
}

/// Delivers the batches of a subset.
pub struct Loader {
    shared: Arc<Shared>,
}

/// State shared with the workers; lives as long as one of them runs.
pub(crate) struct Shared {
    subset: Arc<Subset>,
    pipeline: Pipeline,
    pub(crate) options: LoaderOptions,
    /// By sample index. `None` once handed out, so no sample is named twice.
    warnings: Mutex<BTreeMap<usize, Option<String>>>,
}

impl Loader {
    /// Prepares to load; reads nothing yet.
    ///
    /// # Errors
    /// [`DataError::Invalid`] if the batch size is 0, or the pipeline does not fit the subset or is wrong in itself.
    pub fn new(subset: Arc<Subset>, pipeline: Pipeline, options: LoaderOptions) -> Result<Self, DataError> {
        pipeline.check()?;
        if options.batch_size == 0 {
            return Err(DataError::invalid("batch size", 0, "at least 1"));
        }
        if pipeline.channels != subset.channels() {
            let expected = format!("{}, as in {}", subset.channels(), subset.description());
            return Err(DataError::invalid("pipeline channels", pipeline.channels, expected));
        }
        Ok(Self { shared: Arc::new(Shared { subset, pipeline, options, warnings: Mutex::default() }) })
    }

    /// The batches of epoch `epoch` from number `start_batch` on. Dropping the iterator stops its workers.
    pub fn epoch(&self, epoch: u64, start_batch: usize) -> EpochIter {
        let plan = EpochPlan { order: self.shared.order(epoch), epoch, n_batches: self.batches_per_epoch() };
        EpochIter::new(self.shared.clone(), plan, start_batch)
    }

    /// Batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let LoaderOptions { batch_size, drop_last, .. } = self.shared.options;
        let n = self.shared.subset.len();
        if drop_last { n / batch_size } else { n.div_ceil(batch_size) }
    }

    /// The samples passed over since the last call, one line each, in subset order; each is named once per loader.
    pub fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.shared.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.values_mut().filter_map(Option::take).collect()
    }
}

/// One epoch, decided before its first batch.
pub(crate) struct EpochPlan {
    order: Vec<usize>,
    epoch: u64,
    pub(crate) n_batches: usize,
}

impl Shared {
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.subset.len()).collect();
        if self.options.shuffle {
            Stream::new(Purpose::Order, self.options.seed, epoch, 0).shuffle(&mut order);
        }
        order
    }

    /// Batch `number` of the epoch; `None` if `stopped` turns true on the way.
    pub(crate) fn build(
        &self,
        plan: &EpochPlan,
        number: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Option<Result<Batch, DataError>> {
        let first = number * self.options.batch_size;
        let len = self.options.batch_size.min(plan.order.len() - first);
        let size = self.pipeline.sample_len();
        let mut batch = Batch { images: vec![0.0; len * size], labels: Vec::new(), len, indices: Vec::new() };
        for (i, out) in batch.images.chunks_exact_mut(size).enumerate() {
            match self.sample(plan, first + i, out, stopped)? {
                Ok(index) => {
                    batch.labels.push(self.subset.label(index) as i32);
                    batch.indices.push(index);
                }
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok(batch))
    }

    /// Writes the first decodable sample at or after `position` of the order, and returns its index.
    fn sample(
        &self,
        plan: &EpochPlan,
        position: usize,
        out: &mut [f32],
        stopped: &dyn Fn() -> bool,
    ) -> Option<Result<usize, DataError>> {
        let mut first_error = None;
        for &index in plan.order[position..].iter().chain(&plan.order[..position]) {
            if stopped() {
                return None;
            }
            match self.subset.load(index) {
                Ok(image) => {
                    let key = SampleKey { seed: self.options.seed, epoch: plan.epoch, index };
                    let key = self.options.augment.then_some(key);
                    return Some(self.pipeline.write(&image, key, out).map(|()| index));
                }
                Err(error) if self.subset.is_strict() || !error.blames_one_file() => {
                    return Some(Err(error));
                }
                Err(error) => {
                    self.warn(index, &error);
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map(Err)
    }

    fn warn(&self, index: usize, error: &DataError) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.entry(index).or_insert_with(|| Some(format!("skipped an image: {error}")));
    }
}
