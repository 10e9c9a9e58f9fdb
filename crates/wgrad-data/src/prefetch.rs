//! Worker threads that build whole batches ahead of the caller, delivered strictly in order.
//!
//! Never more than `prefetch` batches are built or waiting; never a hang: a worker that panics delivers an error, and
//! dropping the iterator stops and joins every worker within about one sample's time.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::batches::{Batch, EpochPlan, Shared};
use crate::error::{DataError, panic_text};

/// The batches of one epoch, in order. After an error there are no more.
pub struct EpochIter {
    exchange: Arc<Exchange>,
    workers: Vec<JoinHandle<()>>,
}

/// State shared by the workers and the caller.
struct Exchange {
    shared: Arc<Shared>,
    plan: EpochPlan,
    window: usize,
    state: Mutex<State>,
    /// Told when a batch is delivered or the epoch stops.
    room: Condvar,
    /// Told when a batch is ready.
    ready: Condvar,
    stopped: AtomicBool,
}

struct State {
    /// The next batch no worker has taken on.
    next_claim: usize,
    /// The next batch the caller gets.
    next_delivery: usize,
    ready: BTreeMap<usize, Result<Batch, DataError>>,
}

impl EpochIter {
    pub(crate) fn new(shared: Arc<Shared>, plan: EpochPlan, start_batch: usize) -> Self {
        let start = start_batch.min(plan.n_batches);
        let n_workers = shared.options.workers.min(plan.n_batches - start);
        let window = shared.options.prefetch.max(1);
        let state = State { next_claim: start, next_delivery: start, ready: BTreeMap::new() };
        let exchange = Arc::new(Exchange {
            shared,
            plan,
            window,
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let spawn = |i: usize| {
            let exchange = exchange.clone();
            std::thread::Builder::new().name(format!("wgrad-data-{i}")).spawn(move || exchange.work())
        };
        // A system out of threads gets fewer workers, and without any the caller builds.
        let workers = (0..n_workers).map_while(|i| spawn(i).ok()).collect();
        Self { exchange, workers }
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let exchange = &*self.exchange;
        let mut state = exchange.lock();
        let number = state.next_delivery;
        if number >= exchange.plan.n_batches || exchange.is_stopped() {
            return None;
        }
        let batch = if self.workers.is_empty() {
            drop(state);
            let batch = exchange.build(number)?;
            state = exchange.lock();
            batch
        } else {
            loop {
                if let Some(batch) = state.ready.remove(&number) {
                    break batch;
                }
                state = exchange.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        state.next_delivery = number + 1;
        drop(state);
        if batch.is_err() {
            exchange.stop();
        }
        exchange.room.notify_all();
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.exchange.plan.n_batches - self.exchange.lock().next_delivery;
        (0, Some(left))
    }
}

impl Drop for EpochIter {
    fn drop(&mut self) {
        self.exchange.stop();
        for worker in self.workers.drain(..) {
            // Workers catch their panics; there is no one left to tell of another.
            let _ = worker.join();
        }
    }
}

impl Exchange {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        // Under the lock, or a worker about to wait would miss it.
        let _state = self.lock();
        self.stopped.store(true, Ordering::Relaxed);
        self.room.notify_all();
    }

    fn work(&self) {
        while let Some(number) = self.claim() {
            // `None` only after a stop, when nobody waits for the batch.
            let Some(batch) = self.build(number) else { return };
            self.lock().ready.insert(number, batch);
            self.ready.notify_one();
        }
    }

    /// The next batch to build, once the window has room for it.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            let number = state.next_claim;
            if self.is_stopped() || number >= self.plan.n_batches {
                return None;
            }
            if number < state.next_delivery + self.window {
                state.next_claim += 1;
                return Some(number);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn build(&self, number: usize) -> Option<Result<Batch, DataError>> {
        let build = || self.shared.build(&self.plan, number, &|| self.is_stopped());
        catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|panic| {
            Some(Err(DataError::WorkerPanicked { batch: number, message: panic_text(&*panic) }))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::subset::{Memory, Store, Subset, View};
    use crate::{Loader, LoaderOptions, Pipeline};

    /// 64 labels, but pixels for `n_whole` images only: loading the rest panics.
    fn loader(n_whole: usize, workers: usize, prefetch: usize) -> Loader {
        let memory =
            Memory { height: 8, width: 8, channels: 1, pixels: vec![7; n_whole * 64], labels: vec![0; 64] };
        let view = View { channels: 1, levels: crate::Levels::WHOLE, short_side: None, strict: false };
        let subset = Subset::new(Arc::new(Store::Memory(memory)), (0..64).collect(), view, "test");
        let pipeline =
            Pipeline { size: (8, 8), channels: 1, augment: vec![], mean: vec![0.0], std: vec![1.0] };
        let options = LoaderOptions { batch_size: 4, workers, prefetch, ..LoaderOptions::default() };
        Loader::new(Arc::new(subset), pipeline, options).unwrap()
    }

    #[test]
    fn prefetch_worker_panic_is_an_error_and_ends_epoch() {
        for workers in [0, 1, 3] {
            let loader = loader(10, workers, 4);
            let mut epoch = loader.epoch(0, 0);
            assert_eq!(epoch.next().unwrap().unwrap().len, 4);
            assert_eq!(epoch.next().unwrap().unwrap().len, 4);
            let message = epoch.next().unwrap().unwrap_err().to_string();
            assert!(
                message.starts_with("a loader worker panicked on batch 2: range end index 704 out of range")
            );
            assert!(message.ends_with("; this is a bug in wgrad, please report it"));
            assert!(epoch.next().is_none());
        }
    }

    #[test]
    fn prefetch_is_bounded() {
        let loader = loader(64, 3, 2);
        let mut epoch = loader.epoch(0, 0);
        epoch.next().unwrap().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while epoch.exchange.lock().ready.len() < 2 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(20));
        let state = epoch.exchange.lock();
        assert_eq!((state.ready.len(), state.next_claim), (2, 3));
    }

    #[test]
    fn prefetch_dropped_epoch_joins_workers() {
        let loader = loader(64, 3, 2);
        let mut epoch = loader.epoch(0, 0);
        epoch.next().unwrap().unwrap();
        let exchange = Arc::downgrade(&epoch.exchange);
        drop(epoch);
        assert!(exchange.upgrade().is_none(), "a worker still holds its exchange");
        // One never asked for anything, too.
        drop(loader.epoch(0, 0));
    }
}
