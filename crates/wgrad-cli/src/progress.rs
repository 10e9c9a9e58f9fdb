//! How a run is shown while it goes: a bar on the terminal, a line an evaluation, or JSON lines.

use crate::output::{self, bytes, count, percent};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgrad_train::{Card, EvalReport, Observer, StartReport, StepReport};

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
    unit: &'static str,
    score: &'static str,
}

impl Progress {
    pub(crate) fn new(json: bool, data: String, reason: String, out: PathBuf) -> Self {
        let bar = ProgressBar::hidden();
        Self { json, data, reason, out, bar, drawn: None, watched: "", unit: "", score: "" }
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
        self.unit = r.unit;
        self.score = r.score;
        let text = || {
            let peak = bytes(r.plan.peak_bytes);
            [
                format!("device  {}", self.reason),
                format!("data    {}: {}", self.data, samples(r)),
                format!(
                    "model   {}: {} parameters, {peak} planned peak memory, {} dispatches a step",
                    model(&r.card),
                    count(r.parameters as u64),
                    r.plan.dispatches,
                ),
                format!("folder  {}", self.out.display()),
            ]
            .join("\n")
        };
        let value = || {
            let mut value = json!({
                "event": "start",
                "device": r.device,
                "reason": self.reason,
                "data": self.data,
                "watched": r.watched,
                "parameters": r.parameters,
                "peak_bytes": r.plan.peak_bytes,
                "dispatches": r.plan.dispatches,
                "step": r.step.0,
                "steps": r.step.1,
                "epochs": r.epochs,
                "out": self.out.display().to_string(),
            });
            for (name, size) in
                [("train", r.sizes.train), ("validation", r.sizes.validation), ("test", r.sizes.test)]
            {
                // A picture is held out as a whole.
                let unit = if r.unit == "tokens" { "tokens" } else { "images" };
                value[format!("{name}_{unit}")] = json!(size);
            }
            match &r.card {
                Card::Image(card) => {
                    value["model"] = json!(card.model);
                    value["classes"] = json!(card.classes);
                    value["channels"] = json!(card.channels);
                    value["height"] = json!(card.size.0);
                    value["width"] = json!(card.size.1);
                }
                Card::Text(card) => {
                    value["model"] = json!(card.model);
                    value["vocabulary"] = json!(r.vocabulary);
                    value["context"] = json!(card.context);
                }
            }
            value
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
        let (speed, unit, score) = (count(r.per_second as u64), self.unit, self.score);
        self.bar.set_message(format!(
            "loss {:.4}  {score} {}  {speed} {unit}/s",
            r.loss,
            percent(r.accuracy)
        ));
        self.bar.set_position(r.step.0);
    }

    fn evaluated(&mut self, r: &EvalReport) {
        let text = || {
            let epochs = r.epoch.1.to_string();
            let perplexity = r.perplexity.map_or(String::new(), |p| format!("  perplexity {p:.2}"));
            format!(
                "epoch {:>width$}/{epochs}  loss {:.4}  {score} {:>6}  {watched} loss {:.4}  \
                 {watched} {score} {:>6}{perplexity}  {} {}/s",
                r.epoch.0,
                r.train_loss,
                percent(r.train_accuracy),
                r.val_loss,
                percent(r.val_accuracy),
                count(r.per_second as u64),
                self.unit,
                width = epochs.len(),
                watched = self.watched,
                score = self.score,
            )
        };
        let value = || {
            let mut value = json!({
                "event": "evaluation",
                "epoch": r.epoch.0,
                "epochs": r.epoch.1,
                "step": r.step,
                "train_loss": r.train_loss,
                "train_accuracy": r.train_accuracy,
                "val_loss": r.val_loss,
                "val_accuracy": r.val_accuracy,
            });
            value[format!("{}_per_second", self.unit)] = json!(r.per_second);
            if let Some(perplexity) = r.perplexity {
                value["perplexity"] = json!(perplexity);
            }
            value
        };
        self.say(&text, &value);
    }
}

/// What a run's data holds.
fn samples(r: &StartReport) -> String {
    let [train, validation, test] =
        [r.sizes.train, r.sizes.validation, r.sizes.test].map(|n| count(n as u64));
    match &r.card {
        Card::Image(card) => {
            let classes = card.classes.len();
            format!("{classes} classes, {train} training, {validation} validation, {test} test images")
        }
        Card::Text(_) => {
            let known = count(r.vocabulary.unwrap_or(0) as u64);
            format!("{train} training, {validation} validation tokens of {known} different ones")
        }
    }
}

/// The model and what it sees.
fn model(card: &Card) -> String {
    match card {
        Card::Image(card) => {
            format!("{} on {}x{}x{}", card.model, card.channels, card.size.0, card.size.1)
        }
        Card::Text(card) => {
            format!("{} of {} layers of {}, context {}", card.model, card.layers, card.hidden, card.context)
        }
    }
}
