//! A training run from its settings and what the program brings to its end.

use super::callback::{Callback, Watchers};
use super::observer::Observer;
use super::summary::Summary;
use super::training_loop::Run;
use super::{folder, transfer, tuning};
use crate::precision::check_precision;
use crate::saved::files::{self, CHECKPOINT, METRICS};
use crate::settings::Config;
use crate::spec::{self, MEMORY};
use crate::tasks::kind::Brought;
use crate::tasks::task::Task;
use crate::{TrainError, tasks};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wgrad_data::{Augmentation, OwnImages};
use wgrad_device::Device;
use wgrad_session::checkpoint;

/// Trains a model on images, images with masks, or text, and writes the run folder `out`: `config.toml`, `labels.txt`,
/// `metrics.jsonl`, `curves.png`, `checkpoint/` (the last weights, to resume from), `best/` (the weights of the lowest loss
/// on the monitored split), and a sheet of an autoencoder's or DCGAN's images. With `resume` it continues the run in `out`:
/// device, data, epochs, steps, patience, learning rate and workers are taken from `config`, other settings from the run.
/// `stop` ends it after the current step. On the CPU device short steps are faster inside [`Device::install`].
///
/// [`Training`] does the same with data, augmentations and callbacks of the program's own.
///
/// # Errors
/// See [`TrainError`]; existing files in `out` are never lost.
pub fn train(
    config: &Config,
    out: &Path,
    resume: bool,
    device: &Device,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Summary, TrainError> {
    Training::new(config, out, device).resume(resume).observer(observer).stop(stop).run()
}

/// Training run with parts of the program's own: data, augmentation, task, callbacks.
///
/// ```no_run
/// # use wgrad_data::{DataError, Dataset, Draws, Image, OwnImages};
/// # use wgrad_train::{Callback, Config, Training, TrainError};
/// # fn run(
/// #     squares: impl Dataset + 'static,
/// #     device: &wgrad_device::Device,
/// #     (mut log, mut target): (impl Callback, impl Callback),
/// # ) -> Result<(), TrainError> {
/// let config = Config { epochs: 5, ..Config::for_model("lenet") };
/// let summary = Training::new(&config, "runs/squares", device)
///     .images(OwnImages::new(["dark", "bright"], squares))
///     .augmentation(|image: Image, draws: &mut Draws| {
///         let shift = draws.below(20) as u8;
///         Image { data: image.data.iter().map(|v| v.saturating_add(shift)).collect(), ..image }
///     })
///     .callback(&mut log)
///     .callback(&mut target)
///     .run()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a training runs by `run`"]
pub struct Training<'a> {
    config: Config,
    out: PathBuf,
    device: Device,
    resume: bool,
    brought: Brought,
    task: Option<&'a dyn Task>,
    observer: Option<&'a mut dyn Observer>,
    callbacks: Vec<&'a mut dyn Callback>,
    stop: Option<&'a AtomicBool>,
}

/// Observer of a run without one.
struct Nobody;

impl Observer for Nobody {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, _: &super::observer::StepReport) {}
    fn evaluated(&mut self, _: &super::observer::EvalReport) {}
}

impl<'a> Training<'a> {
    /// Run by `config` in the run folder `out`.
    pub fn new(config: &Config, out: impl Into<PathBuf>, device: &Device) -> Self {
        Self {
            config: config.clone(),
            out: out.into(),
            device: device.clone(),
            resume: false,
            brought: Brought::default(),
            task: None,
            observer: None,
            callbacks: Vec::new(),
            stop: None,
        }
    }

    /// Continues the run in the folder if true. Bring the same data and augmentation as before.
    pub fn resume(self, resume: bool) -> Self {
        Self { resume, ..self }
    }

    /// Trains on these images in place of the setting `data`; for models of images.
    pub fn images(mut self, images: OwnImages) -> Self {
        self.brought.images = Some(images);
        self
    }

    /// Adds an augmentation of training images, before those of the setting `augment`; for models of images.
    pub fn augmentation(mut self, augmentation: impl Augmentation + 'static) -> Self {
        self.brought.augmentation = Some(Arc::new(augmentation));
        self
    }

    /// Trains a task of the program's own in place of the settings' model and data.
    pub fn task(self, task: &'a dyn Task) -> Self {
        Self { task: Some(task), ..self }
    }

    /// Sets the receiver of messages and progress; without one, messages are dropped.
    pub fn observer(self, observer: &'a mut dyn Observer) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Adds a callback, called after those added before.
    pub fn callback(mut self, callback: &'a mut dyn Callback) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Sets a flag that interrupts the run after the current step once it is true.
    pub fn stop(self, stop: &'a AtomicBool) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// Runs to the end, or until stopped.
    ///
    /// # Errors
    /// See [`TrainError`]; existing files in the run folder are never lost.
    pub fn run(self) -> Result<Summary, TrainError> {
        let Self { config, out, device, resume, brought, task, observer, callbacks, stop } = self;
        let (out, device) = (out.as_path(), &device);
        let (mut nobody, never) = (Nobody, AtomicBool::new(false));
        let stop = stop.unwrap_or(&never);
        let observer: &mut dyn Observer = match observer {
            Some(observer) => observer,
            None => &mut nobody,
        };
        let mut watchers = Watchers { observer, callbacks };
        let before = if resume { Some(files::load_config(out)?) } else { None };
        let given = match brought.images {
            Some(_) => Config { data: MEMORY.into(), ..config },
            None => config,
        };
        let config = spec::settled(&match before.clone() {
            Some(before) => before.resumed_with(&given),
            None => given,
        });
        config.check()?;
        spec::check(&config.data)?;
        if config.data == MEMORY && brought.images.is_none() && task.is_none() {
            return Err(spec::lost());
        }
        // The held-out samples are fixed when a run begins.
        let held =
            Config { patience: before.as_ref().map_or(config.patience, |b| b.patience), ..config.clone() };
        check_precision(&config.precision, device.caps(), &device.name())?;
        let kind = tasks::known(&config.model)?;
        let dir = out.join(CHECKPOINT);
        if !resume {
            folder::check_apart(out, &config.data)?;
        }
        let _lock = folder::lock(out)?;
        if !resume {
            folder::check_free(out, kind.sheet())?;
        }
        let kept_spec = before.as_ref().is_some_and(|b| b.data == config.data);
        let opened = match task {
            Some(_) => None,
            None => {
                let opened = kind.open(&held, &brought, watchers.observer);
                Some(opened.map_err(|e| if kept_spec { spec::moved(e, &config.data) } else { e })?)
            }
        };
        let task = opened.as_deref().or(task).expect("one of both");
        let fresh = !checkpoint::newest(&dir).exists();
        let tuned =
            config.tune.then(|| tuning::tuned(&config, task, device, watchers.observer)).transpose()?;
        let device = tuned.as_ref().unwrap_or(device);
        // The first batches are prepared while kernels compile.
        let ahead = fresh.then(|| task.epoch(0, 0));
        let mut run = Run { ahead, ..Run::new(&config, out, device, task)? };
        if fresh && let Some(said) = transfer::start_from(&config, &task.card(), &run.head, &mut run.session)?
        {
            watchers.note(&said);
        }
        if resume && !checkpoint::newest(&dir).exists() && !out.join(METRICS).exists() {
            watchers.note("no checkpoint yet: the run starts from the beginning");
        } else if resume {
            run.load(&dir)?;
            if let Some(before) = &before {
                run.reopen(before, watchers.observer)?;
            }
            run.settle(watchers.observer);
            watchers.note(&format!("resumed at step {} of {}", run.progress.step, run.total));
            let before = run.progress.history.last().map(|m| &m.device).filter(|d| **d != run.device);
            if let Some(before) = before {
                watchers.note(&format!(
                    "the run began on {before}: {} rounds differently, so results are no longer bit for bit reproducible",
                    run.device
                ));
            }
        } else {
            run.begin()?;
        }
        watchers.started(&run.start());
        let interrupted = run.steps(&mut watchers, stop).inspect_err(|error| {
            // Without a checkpoint there is nothing to resume, and the folder should be free for another attempt.
            if matches!(error, TrainError::Diverged { .. }) && !checkpoint::newest(&dir).exists() {
                folder::release(out);
            }
        })?;
        let evaluation = match interrupted {
            true => None,
            false => match run.final_test(stop) {
                Err(TrainError::Stopped) => None,
                found => Some(found?),
            },
        };
        let interrupted = evaluation.is_none();
        let summary = Summary {
            out: out.into(),
            device: device.name(),
            steps: run.progress.step,
            interrupted,
            evaluation,
            best: run.best.as_ref().map(|b| (b.epoch, b.loss)),
            epochs: run.progress.epoch,
            watched: run.task.watched(),
            train_seconds: run.spent.0.as_secs_f64(),
            samples: run.spent.1,
            unit: run.task.unit(),
            parameters: run.parameters(),
        };
        watchers.ended(&summary);
        Ok(summary)
    }
}
