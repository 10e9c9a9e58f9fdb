//! How a run is shown while it goes: a bar on the terminal, a line an evaluation, or JSON lines.

use crate::output::{self, bytes, count, percent};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgrad_train::{EvalReport, Observer, StartReport, StepReport};

/// Passes notes on to standard error, and nothing else.
pub(crate) struct Notes;

impl Observer for Notes {
    fn note(&mut self, line: &str) {
        output::note(&format!("note: {line}"));
    }
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, _: &EvalReport) {}
}

/// Shows a run.
pub(crate) struct Progress {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// The data source's spec.
    pub(crate) data: String,
    /// Why the device was chosen.
    pub(crate) reason: String,
    /// The run's folder.
    pub(crate) out: PathBuf,
    bar: ProgressBar,
    drawn: Option<Instant>,
    watched: &'static str,
}

impl Progress {
    pub(crate) fn new(json: bool, data: String, reason: String, out: PathBuf) -> Self {
        Self { json, data, reason, out, bar: ProgressBar::hidden(), drawn: None, watched: "" }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows text or JSON on standard output. A reader that has gone does not end a run.
    fn say(&self, text: &dyn Fn() -> String, value: &dyn Fn() -> Value) {
        self.bar.suspend(|| {
            let _ = if self.json { output::json_line(&value()) } else { output::line(&text()) };
        });
    }
}

impl Observer for Progress {
    fn note(&mut self, line: &str) {
        self.bar.suspend(|| output::note(&format!("note: {line}")));
    }

    fn started(&mut self, r: &StartReport) {
        self.watched = r.watched;
        let (height, width) = r.card.size;
        let text = || {
            let peak = bytes(r.plan.peak_bytes);
            [
                format!("device  {}", self.reason),
                format!(
                    "data    {}: {} classes, {} training, {} validation, {} test images",
                    self.data,
                    r.card.classes.len(),
                    count(r.train as u64),
                    count(r.validation as u64),
                    count(r.test as u64),
                ),
                format!(
                    "model   {} on {}x{height}x{width}: {} parameters, {peak} planned peak memory, \
                     {} dispatches a step",
                    r.card.model,
                    r.card.channels,
                    count(r.parameters as u64),
                    r.plan.dispatches,
                ),
                format!("folder  {}", self.out.display()),
            ]
            .join("\n")
        };
        let value = || {
            json!({
                "event": "start",
                "device": r.device,
                "reason": self.reason,
                "data": self.data,
                "classes": r.card.classes,
                "train_images": r.train,
                "validation_images": r.validation,
                "test_images": r.test,
                "watched": r.watched,
                "model": r.card.model,
                "channels": r.card.channels,
                "height": height,
                "width": width,
                "parameters": r.parameters,
                "peak_bytes": r.plan.peak_bytes,
                "dispatches": r.plan.dispatches,
                "step": r.step.0,
                "steps": r.step.1,
                "epochs": r.epochs,
                "out": self.out.display().to_string(),
            })
        };
        self.say(&text, &value);
        if std::io::stderr().is_terminal() {
            let style = "epoch {prefix} {bar:24} {pos}/{len}  {msg}  {eta} left";
            self.bar = ProgressBar::with_draw_target(Some(r.step.1), ProgressDrawTarget::stderr());
            self.bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.set_position(r.step.0);
            self.bar.reset_eta();
        }
    }

    fn step(&mut self, r: &StepReport) {
        const REDRAW: Duration = Duration::from_millis(100);
        if self.bar.is_hidden() || self.drawn.is_some_and(|at| at.elapsed() < REDRAW) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.bar.set_prefix(format!("{}/{}", r.epoch.0, r.epoch.1));
        let speed = count(r.images_per_second as u64);
        self.bar.set_message(format!(
            "loss {:.4}  accuracy {}  {speed} images/s",
            r.loss,
            percent(r.accuracy)
        ));
        self.bar.set_position(r.step.0);
    }

    fn evaluated(&mut self, r: &EvalReport) {
        let text = || {
            let epochs = r.epoch.1.to_string();
            format!(
                "epoch {:>width$}/{epochs}  loss {:.4}  accuracy {:>6}  {watched} loss {:.4}  \
                 {watched} accuracy {:>6}  {} images/s",
                r.epoch.0,
                r.train_loss,
                percent(r.train_accuracy),
                r.val_loss,
                percent(r.val_accuracy),
                count(r.images_per_second as u64),
                width = epochs.len(),
                watched = self.watched,
            )
        };
        let value = || {
            json!({
                "event": "evaluation",
                "epoch": r.epoch.0,
                "epochs": r.epoch.1,
                "step": r.step,
                "train_loss": r.train_loss,
                "train_accuracy": r.train_accuracy,
                "val_loss": r.val_loss,
                "val_accuracy": r.val_accuracy,
                "images_per_second": r.images_per_second,
            })
        };
        self.say(&text, &value);
    }
}
