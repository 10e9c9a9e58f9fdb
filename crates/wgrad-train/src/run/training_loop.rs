//! The training loop: epochs, evaluation, early stopping, checkpoints.
//!
//! Everything random is a function of the seed and a position (epoch, sample, step), and a checkpoint holds the
//! position, so a run interrupted and resumed ends in the same bits as one never interrupted.

use super::anomaly::Watch;
use super::callback::Watchers;
use super::curves;
use super::observer::{EvalReport, StartReport, StepReport};
use super::plans::{Found, Now, Plans};
use crate::TrainError;
use crate::evaluation::Evaluation;
use crate::saved::card::Card;
use crate::saved::files::{CHECKPOINT, CURVES, LABELS, METRICS};
use crate::saved::kept::{self, Best};
use crate::saved::progress::{self, Metrics, Progress};
use crate::settings::Config;
use crate::tasks::gradients::GRADIENT;
use crate::tasks::task::{Feeds, Task};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wgrad_device::Device;
use wgrad_graph::Role;
use wgrad_nn::{Optimizer, Schedule};
use wgrad_session::{NamedTensor, Runner, Session, Tensors, all_finite, checkpoint};

/// State of a run.
pub(super) struct Run<'a> {
    pub(super) config: &'a Config,
    pub(super) out: &'a Path,
    pub(super) task: &'a dyn Task,
    pub(super) session: Session,
    pub(super) plans: Plans,
    pub(super) eval: Runner,
    pub(super) optimizer: Optimizer,
    pub(super) schedule: Schedule,
    pub(super) progress: Progress,
    /// Best weights so far.
    pub(super) best: Option<Best>,
    pub(super) total: u64,
    pub(super) device: String,
    /// Name of the last layer.
    pub(super) head: String,
    /// Time in training steps and samples trained on during this call.
    pub(super) spent: (Duration, u64),
    /// Anomaly detection, if enabled.
    pub(super) watch: Option<Watch>,
    /// Prefetched batches of the first epoch.
    pub(super) ahead: Option<Feeds<'a>>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
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

    /// Learning rate of a step, from 0, of a run of `total` steps.
    pub(super) fn rate(&self, step: u64, total: u64) -> f64 {
        let warmup = self.config.warmup;
        let share = if step < warmup { (step + 1) as f64 / warmup as f64 } else { 1.0 };
        self.schedule.rate(self.config.lr, step, total) * share
    }

    /// Writes the initial files of a run folder.
    pub(super) fn begin(&self) -> Result<(), TrainError> {
        let io = |source| wgrad_session::SessionError::Io { path: self.out.into(), source };
        std::fs::create_dir_all(self.out).map_err(io)?;
        self.write_config()?;
        if let Card::Image(card) = self.task.card() {
            let labels = card.classes.join("\n") + "\n";
            checkpoint::write_file(&self.out.join(LABELS), labels.as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn parameters(&self) -> usize {
        let weights = self.session.params().iter().filter(|p| p.role == Role::Weight);
        weights.map(|p| p.ty.numel()).sum()
    }

    fn epochs(&self) -> u64 {
        self.total.div_ceil(self.task.batches_per_epoch().max(1) as u64)
    }

    pub(super) fn start(&self) -> StartReport {
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

    /// Runs to the end or until stopped; true if stopped before the end.
    pub(super) fn steps(
        &mut self,
        watchers: &mut Watchers<'_, '_>,
        stop: &AtomicBool,
    ) -> Result<bool, TrainError> {
        while !self.progress.finished {
            let begun = Instant::now();
            let before = self.progress.images;
            let stopped = self.epoch(watchers, stop, begun)?;
            let (time, samples) = (begun.elapsed(), self.progress.images - before);
            self.spent = (self.spent.0 + time, self.spent.1 + samples);
            if stopped {
                self.save()?;
                return Ok(true);
            }
            let speed = samples as f64 / time.as_secs_f64().max(1e-9);
            match self.evaluate(watchers, speed, stop) {
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
        watchers: &mut Watchers<'_, '_>,
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
            let rate = self.rate(step, self.total);
            let scalars = self.optimizer.scalars(step + 1, rate);
            let now = Now { step, scalars: &scalars, watch: self.watch.as_mut() };
            let found = self.plans.step(&mut self.session, feed?, now)?;
            self.progress.step += 1;
            self.progress.batch += 1;
            self.count(&found)?;
            let (p, seen) = (&self.progress, self.progress.images.max(1) as f64);
            let flow = watchers.step(&StepReport {
                epoch: (p.epoch + 1, self.epochs()),
                step: (p.step, self.total),
                loss: p.loss_sum / seen,
                accuracy: p.correct / seen,
                per_second: (p.images - before) as f64 / begun.elapsed().as_secs_f64().max(1e-9),
            });
            if p.step >= self.total {
                break;
            }
            if flow.is_break() || stop.load(Ordering::Relaxed) {
                let found = self.plans.collect(true)?;
                self.count(&found)?;
                return Ok(true);
            }
        }
        let found = self.plans.collect(true)?;
        self.count(&found)?;
        self.task.take_warnings().iter().for_each(|w| watchers.note(w));
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
        watchers: &mut Watchers<'_, '_>,
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
        let flow = watchers.evaluated(&EvalReport {
            epoch: (p.epoch, epochs),
            step: p.step,
            train_loss: metrics.train_loss,
            train_accuracy: metrics.train_accuracy,
            val_loss: metrics.val_loss,
            val_accuracy: metrics.val_accuracy,
            perplexity: metrics.perplexity,
            per_second,
        });
        if flow.is_break() && !self.progress.finished {
            self.progress.finished = true;
            watchers.note("stopped by a callback");
        }
        let p = &mut self.progress;
        if tired {
            watchers.note(&format!(
                "stopped early: {} evaluations without a lower {} loss",
                p.stale,
                self.task.watched()
            ));
        }
        if !found.loss.is_finite() {
            watchers.note(&format!(
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
    pub(super) fn final_test(&mut self, stop: &AtomicBool) -> Result<Evaluation, TrainError> {
        if self.best.as_ref().is_some_and(|b| b.step != self.progress.step) {
            kept::restore(self.out, &mut self.session)?;
        }
        let found = self.task.judge(&mut self.session, &mut self.eval, true, stop)?;
        self.write_picture()?;
        Ok(found)
    }
}
