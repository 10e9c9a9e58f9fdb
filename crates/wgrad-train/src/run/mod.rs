//! The training loop: epochs, evaluation, early stopping, checkpoints, resume.
//!
//! Everything random is a function of the seed and a position (epoch, sample, step), and a checkpoint holds the
//! position, so a run interrupted and resumed ends in the same bits as one never interrupted.

mod anomaly;
mod curves;
mod folder;
pub(crate) mod observer;
pub(crate) mod plans;
mod reopen;
mod transfer;
mod tuning;

use crate::evaluation::Evaluation;
use crate::precision::check_precision;
use crate::saved::card::Card;
use crate::saved::files::{self, CHECKPOINT, CURVES, LABELS, METRICS};
use crate::saved::kept::{self, Best};
use crate::saved::progress::{self, Metrics, Progress};
use crate::saved::tensors as stored;
use crate::settings::Config;
use crate::tasks::gradients::GRADIENT;
use crate::tasks::task::{Feeds, Task};
use crate::{TrainError, spec, tasks};
use anomaly::Watch;
use observer::{EvalReport, Observer, StartReport, StepReport};
use plans::{Found, Now, Plans};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wgrad_device::Device;
use wgrad_graph::Role;
use wgrad_nn::{Optimizer, Schedule};
use wgrad_session::{NamedTensor, Runner, Session, Tensors, all_finite, checkpoint};

/// Summary of a finished or interrupted run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Run folder.
    pub out: PathBuf,
    /// Name of the device.
    pub device: String,
    /// Steps done.
    pub steps: u64,
    /// True if stopped by the caller; the run can be resumed.
    pub interrupted: bool,
    /// Final test: on test images if there are any, else on the monitored split. `None` if interrupted.
    pub evaluation: Option<Evaluation>,
    /// Epoch of the tested weights, and its loss on the monitored split; `None` for the last weights.
    pub best: Option<(u64, f64)>,
    /// Epochs done.
    pub epochs: u64,
    /// Monitored split; its loss selects the best weights.
    pub watched: &'static str,
    /// Seconds spent in training steps during this call, without evaluation and saving.
    pub train_seconds: f64,
    /// Samples trained on during this call.
    pub samples: u64,
    /// Unit of the samples: `images`, `tokens` or `pixels`.
    pub unit: &'static str,
    /// Number of trainable parameters.
    pub parameters: usize,
}

/// Trains a model on images, images with masks, or text, and writes the run folder `out`: `config.toml`, `labels.txt`,
/// `metrics.jsonl`, `curves.png`, `checkpoint/` (the last weights, to resume from), `best/` (the weights of the lowest loss
/// on the monitored split), and a sheet of an autoencoder's or DCGAN's images. With `resume` it continues the run in `out`:
/// device, data, epochs, steps, patience, learning rate and workers are taken from `config`, other settings from the run.
/// `stop` ends it after the current step. On the CPU device short steps are faster inside [`Device::install`].
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
    let before = if resume { Some(files::load_config(out)?) } else { None };
    let config = spec::settled(&match before.clone() {
        Some(before) => before.resumed_with(config),
        None => config.clone(),
    });
    config.check()?;
    spec::check(&config.data)?;
    // The held-out samples are fixed when a run begins.
    let held = Config { patience: before.as_ref().map_or(config.patience, |b| b.patience), ..config.clone() };
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
    let task =
        kind.open(&held, observer).map_err(|e| if kept_spec { spec::moved(e, &config.data) } else { e })?;
    let fresh = !checkpoint::newest(&dir).exists();
    let tuned = config.tune.then(|| tuning::tuned(&config, &*task, device, observer)).transpose()?;
    let device = tuned.as_ref().unwrap_or(device);
    // The first batches are prepared while kernels compile.
    let ahead = fresh.then(|| task.epoch(0, 0));
    let mut run = Run { ahead, ..Run::new(&config, out, device, &*task)? };
    if fresh && let Some(said) = transfer::start_from(&config, &task.card(), &run.head, &mut run.session)? {
        observer.note(&said);
    }
    if resume && !checkpoint::newest(&dir).exists() && !out.join(METRICS).exists() {
        observer.note("no checkpoint yet: the run starts from the beginning");
    } else if resume {
        run.load(&dir)?;
        if let Some(before) = &before {
            run.reopen(before, observer)?;
        }
        run.settle(observer);
        observer.note(&format!("resumed at step {} of {}", run.progress.step, run.total));
        let before = run.progress.history.last().map(|m| &m.device).filter(|d| **d != run.device);
        if let Some(before) = before {
            observer.note(&format!(
                "the run began on {before}: {} rounds differently, so results are no longer bit for bit reproducible",
                run.device
            ));
        }
    } else {
        run.begin()?;
    }
    observer.started(&run.start());
    let interrupted = run.steps(observer, stop).inspect_err(|error| {
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
    Ok(Summary {
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
    })
}

struct Run<'a> {
    config: &'a Config,
    out: &'a Path,
    task: &'a dyn Task,
    session: Session,
    plans: Plans,
    eval: Runner,
    optimizer: Optimizer,
    schedule: Schedule,
    progress: Progress,
    /// Best weights so far.
    best: Option<Best>,
    total: u64,
    device: String,
    /// Name of the last layer.
    head: String,
    /// Time in training steps and samples trained on during this call.
    spent: (Duration, u64),
    /// Anomaly detection, if enabled.
    watch: Option<Watch>,
    /// Prefetched batches of the first epoch.
    ahead: Option<Feeds<'a>>,
}

impl<'a> Run<'a> {
    fn new(
        config: &'a Config,
        out: &'a Path,
        device: &Device,
        task: &'a dyn Task,
    ) -> Result<Self, TrainError> {
        let (optimizer, schedule) = (config.optimizer()?, config.schedule()?);
        let parts = (config.accumulate, config.freeze.as_deref());
        let (plans, session, head) = Plans::new(task, &optimizer, parts, device, config.seed)?;
        let eval = session.runner(&task.evaluation(optimizer.ema.is_some())?)?;
        let total = config.total(task.batches_per_epoch());
        Ok(Self {
            config,
            out,
            task,
            session,
            plans,
            eval,
            optimizer,
            schedule,
            progress: Progress::default(),
            best: None,
            total,
            device: device.name(),
            head,
            spent: (Duration::ZERO, 0),
            watch: config.detect_anomaly.then(Watch::default),
            ahead: None,
        })
    }

    /// Writes the initial files of a run folder.
    fn begin(&self) -> Result<(), TrainError> {
        let io = |source| wgrad_session::SessionError::Io { path: self.out.into(), source };
        std::fs::create_dir_all(self.out).map_err(io)?;
        self.write_config()?;
        if let Card::Image(card) = self.task.card() {
            let labels = card.classes.join("\n") + "\n";
            checkpoint::write_file(&self.out.join(LABELS), labels.as_bytes())?;
        }
        Ok(())
    }

    fn parameters(&self) -> usize {
        let weights = self.session.params().iter().filter(|p| p.role == Role::Weight);
        weights.map(|p| p.ty.numel()).sum()
    }

    fn epochs(&self) -> u64 {
        self.total.div_ceil(self.task.batches_per_epoch().max(1) as u64)
    }

    fn start(&self) -> StartReport {
        StartReport {
            device: self.device.clone(),
            sizes: self.task.sizes(),
            watched: self.task.watched(),
            class_counts: self.task.class_counts(),
            card: self.task.card(),
            unit: self.task.unit(),
            score: self.task.score(),
            vocabulary: self.task.vocabulary(),
            parameters: self.parameters(),
            plan: self.plans.summary(),
            step: (self.progress.step, self.total),
            epochs: self.epochs(),
        }
    }

    fn load(&mut self, dir: &Path) -> Result<(), TrainError> {
        reopen::check_there(self.out, dir)?;
        let (card, own) = (files::load_card(dir)?, self.task.card());
        if let (Card::Image(card), Card::Image(own)) = (&card, &own)
            && card.classes != own.classes
        {
            return Err(TrainError::config("data", "the classes have changed since the run began"));
        }
        if card != own {
            let why = "its description differs; or the training data has changed since".into();
            return Err(TrainError::OtherModel { path: dir.into(), why });
        }
        self.progress = reopen::progress(dir)?;
        self.best = kept::best(self.out);
        stored::restore(dir, &mut self.session)
    }

    fn save(&self) -> Result<(), TrainError> {
        progress::save(self.out, &self.task.card(), &self.progress, &self.sound()?)
    }

    /// Tensors of the session; an error if a weight is not finite, to protect the saved weights.
    fn sound(&self) -> Result<Tensors, TrainError> {
        let snapshot = self.session.snapshot()?;
        let lost = |t: &&NamedTensor| t.role == Role::Weight && !all_finite([&t.value]);
        if let Some(NamedTensor { name, value, .. }) = snapshot.iter().find(lost) {
            let value = value.as_f32().iter().copied().find(|v| !v.is_finite()).unwrap_or(f32::NAN);
            return Err(self.diverged(&format!("weight {name}"), value, self.progress.step));
        }
        Ok(snapshot)
    }

    fn diverged(&self, what: &str, value: f32, step: u64) -> TrainError {
        let saved = self.best.as_ref().map(|b| (self.out.to_path_buf(), b.epoch));
        TrainError::Diverged { what: what.to_owned(), value, step, saved }
    }

    /// Runs to the end or until stopped; true if stopped.
    fn steps(&mut self, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<bool, TrainError> {
        while !self.progress.finished {
            let begun = Instant::now();
            let before = self.progress.images;
            let stopped = self.epoch(observer, stop, begun)?;
            let (time, samples) = (begun.elapsed(), self.progress.images - before);
            self.spent = (self.spent.0 + time, self.spent.1 + samples);
            if stopped {
                self.save()?;
                return Ok(true);
            }
            let speed = samples as f64 / time.as_secs_f64().max(1e-9);
            match self.evaluate(observer, speed, stop) {
                Err(TrainError::Stopped) => {
                    self.save()?;
                    return Ok(true);
                }
                done => done?,
            }
            if stop.load(Ordering::Relaxed) && !self.progress.finished {
                // The evaluation has saved the checkpoint.
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs the rest of the current epoch; true if stopped.
    fn epoch(
        &mut self,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
        begun: Instant,
    ) -> Result<bool, TrainError> {
        if self.progress.step >= self.total {
            // Stopped during the last evaluation of the run.
            return Ok(false);
        }
        let before = self.progress.images;
        let task = self.task;
        let (epoch, batch) = (self.progress.epoch, self.progress.batch);
        let ahead = self.ahead.take().filter(|_| (epoch, batch) == (0, 0));
        for feed in ahead.unwrap_or_else(|| task.epoch(epoch, batch)) {
            let step = self.progress.step;
            let rate = self.schedule.rate(self.config.lr, step, self.total);
            let scalars = self.optimizer.scalars(step + 1, rate);
            let now = Now { step, scalars: &scalars, watch: self.watch.as_mut() };
            let found = self.plans.step(&mut self.session, feed?, now)?;
            self.progress.step += 1;
            self.progress.batch += 1;
            self.count(&found)?;
            let (p, seen) = (&self.progress, self.progress.images.max(1) as f64);
            observer.step(&StepReport {
                epoch: (p.epoch + 1, self.epochs()),
                step: (p.step, self.total),
                loss: p.loss_sum / seen,
                accuracy: p.correct / seen,
                per_second: (p.images - before) as f64 / begun.elapsed().as_secs_f64().max(1e-9),
            });
            if p.step >= self.total {
                break;
            }
            if stop.load(Ordering::Relaxed) {
                let found = self.plans.collect(true)?;
                self.count(&found)?;
                return Ok(true);
            }
        }
        let found = self.plans.collect(true)?;
        self.count(&found)?;
        self.task.take_warnings().iter().for_each(|w| observer.note(w));
        Ok(false)
    }

    /// Adds results of steps to the epoch's sums.
    fn count(&mut self, found: &[Found]) -> Result<(), TrainError> {
        for Found { outputs, samples, step } in found {
            let loss = outputs.scalar("loss");
            if !loss.is_finite() {
                return Err(self.diverged("the loss", loss, *step));
            }
            if let Some(gradient) = outputs.find(GRADIENT).map(|g| g.as_f32()[0]).filter(|g| !g.is_finite()) {
                return Err(self.diverged("a gradient", gradient, *step));
            }
            self.progress.loss_sum += f64::from(loss) * *samples as f64;
            self.progress.correct += f64::from(outputs.scalar("correct"));
            self.progress.images += *samples as u64;
        }
        Ok(())
    }

    /// Ends an epoch: evaluates, writes the run's files, decides on early stopping.
    fn evaluate(
        &mut self,
        observer: &mut dyn Observer,
        per_second: f64,
        stop: &AtomicBool,
    ) -> Result<(), TrainError> {
        let found = self.task.judge(&mut self.session, &mut self.eval, false, stop)?;
        let epochs = self.epochs();
        let p = &mut self.progress;
        let samples = p.images.max(1) as f64;
        p.epoch += 1;
        p.batch = 0;
        let unit = self.task.unit();
        let metrics = Metrics {
            epoch: p.epoch,
            step: p.step,
            train_loss: p.loss_sum / samples,
            train_accuracy: p.correct / samples,
            val_loss: found.loss,
            val_accuracy: found.accuracy(),
            perplexity: found.perplexity(),
            images_per_second: (unit == "images").then_some(per_second),
            tokens_per_second: (unit == "tokens").then_some(per_second),
            pixels_per_second: (unit == "pixels").then_some(per_second),
            device: self.device.clone(),
        };
        (p.loss_sum, p.correct, p.images) = (0.0, 0.0, 0);
        let lower = |than: Option<f64>| found.loss.is_finite() && than.is_none_or(|b| found.loss < b);
        // Older runs without `best/` have lost the weights of their best epoch: only a lower loss than that is kept.
        let keep = self.task.ranks() && lower(self.best.as_ref().map(|b| b.loss).or(p.best));
        if lower(p.best) {
            (p.best, p.stale) = (Some(found.loss), 0);
        } else {
            p.stale += 1;
        }
        let tired = self.config.patience.is_some_and(|limit| p.stale >= limit);
        p.finished = p.step >= self.total || tired;
        observer.evaluated(&EvalReport {
            epoch: (p.epoch, epochs),
            step: p.step,
            train_loss: metrics.train_loss,
            train_accuracy: metrics.train_accuracy,
            val_loss: metrics.val_loss,
            val_accuracy: metrics.val_accuracy,
            perplexity: metrics.perplexity,
            per_second,
        });
        if tired {
            observer.note(&format!(
                "stopped early: {} evaluations without a lower {} loss",
                p.stale,
                self.task.watched()
            ));
        }
        if !found.loss.is_finite() {
            observer.note(&format!(
                "the {} loss is {}: the weights of this epoch are unusable; lower `lr`, or locate the cause with `detect_anomaly`",
                self.task.watched(),
                found.loss
            ));
        }
        p.history.push(metrics);
        if keep {
            // Saved before the checkpoint of this epoch: a run killed between the two repeats the epoch.
            let best = Best { epoch: self.progress.epoch, step: self.progress.step, loss: found.loss };
            kept::save(self.out, &self.task.card(), &best, self.sound()?)?;
            self.best = Some(best);
        }
        // Weights with a non-finite loss must not replace a usable checkpoint.
        if found.loss.is_finite() || !checkpoint::newest(&self.out.join(CHECKPOINT)).exists() {
            self.save()?;
        }
        self.write_picture()?;
        self.write_history()
    }

    fn write_history(&self) -> Result<(), TrainError> {
        let line = |m: &Metrics| serde_json::to_string(m).expect("plain values serialise") + "\n";
        let lines: String = self.progress.history.iter().map(line).collect();
        checkpoint::write_file(&self.out.join(METRICS), lines.as_bytes())?;
        let png = curves::draw(&self.progress.history, self.task.watched(), self.task.score())?;
        checkpoint::write_file(&self.out.join(CURVES), &png)?;
        Ok(())
    }

    /// Writes the image of the last evaluation, if any.
    fn write_picture(&self) -> Result<(), TrainError> {
        match self.task.picture() {
            Some((name, png)) => Ok(checkpoint::write_file(&self.out.join(name), &png)?),
            None => Ok(()),
        }
    }

    /// Final evaluation of the best weights, on test samples if there are any.
    fn final_test(&mut self, stop: &AtomicBool) -> Result<Evaluation, TrainError> {
        if self.best.as_ref().is_some_and(|b| b.step != self.progress.step) {
            kept::restore(self.out, &mut self.session)?;
        }
        let found = self.task.judge(&mut self.session, &mut self.eval, true, stop)?;
        self.write_picture()?;
        Ok(found)
    }
}
