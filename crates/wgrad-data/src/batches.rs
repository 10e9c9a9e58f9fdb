//! Batches of an epoch, each built alone: from its number to samples.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::augment::Augmentation;
use crate::error::DataError;
use crate::pipeline::{Pipeline, SampleKey};
use crate::random::{Draws, Purpose, Stream};
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

/// Options of a [`crate::Loader`].
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

/// State shared with the workers; lives as long as one of them runs.
pub(crate) struct Shared {
    pub(crate) subset: Arc<Subset>,
    pub(crate) pipeline: Pipeline,
    pub(crate) augmentation: Option<Arc<dyn Augmentation>>,
    pub(crate) options: LoaderOptions,
    /// By sample index. `None` once handed out, so no sample is named twice.
    pub(crate) warnings: Mutex<BTreeMap<usize, Option<String>>>,
}

/// One epoch, decided before its first batch.
pub(crate) struct EpochPlan {
    pub(crate) order: Vec<usize>,
    pub(crate) epoch: u64,
    pub(crate) n_batches: usize,
}

impl Shared {
    pub(crate) fn order(&self, epoch: u64) -> Vec<usize> {
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
                Ok(mut image) => {
                    let key = SampleKey { seed: self.options.seed, epoch: plan.epoch, index };
                    let key = self.options.augment.then_some(key);
                    if let (Some(augmentation), Some(SampleKey { seed, epoch, index })) =
                        (&self.augmentation, key)
                    {
                        let mut draws = Draws::new(Stream::new(Purpose::Own, seed, epoch, index as u64));
                        image = augmentation.apply(image, &mut draws);
                    }
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
