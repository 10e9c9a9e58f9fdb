//! Batches of a subset, epoch by epoch, reproducible whatever the number of workers.
//!
//! The order depends on (seed, epoch) only, a sample's augmentation on (seed, epoch, index in the subset)
//! only, so a run resumed in the middle of an epoch sees exactly the same samples.
//!
//! An undecodable sample is replaced by the next decodable one in the epoch's order, wrapping round at the
//! end: batches keep their size, and the replacement is seen twice in the epoch. The file is named once in
//! the warnings. A strict subset stops with the error instead.

use std::sync::{Arc, Mutex, PoisonError};

use crate::augment::Augmentation;
use crate::batches::{EpochPlan, LoaderOptions, Shared};
use crate::error::DataError;
use crate::pipeline::Pipeline;
use crate::prefetch::EpochIter;
use crate::subset::Subset;

/// Delivers the batches of a subset.
pub struct Loader {
    shared: Arc<Shared>,
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
        let shared = Shared { subset, pipeline, options, augmentation: None, warnings: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Adds an augmentation of the program's own, before those of the pipeline.
    ///
    /// # Panics
    /// During an epoch.
    #[must_use]
    pub fn augmented_by(mut self, augmentation: Arc<dyn Augmentation>) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("no epoch is under way");
        shared.augmentation = Some(augmentation);
        self
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
