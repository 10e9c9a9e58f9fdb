//! Live display of a run: a bar on the terminal, one line per evaluation, or JSON lines.

use crate::output::{self, bytes, count, percent};
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use wgrad_train::{Card, EvalReport, Observer, StartReport, StepReport};

/// Columns assumed without a terminal.
const COLUMNS: usize = 80;

/// Observer writing only notes, to standard error.
pub(crate) struct Notes;

impl Observer for Notes {
    fn note(&mut self, line: &str) {
        output::note(&format!("note: {line}"));
    }
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, _: &EvalReport) {}
}

/// Observer displaying a run.
pub(crate) struct Progress {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// Spec of the data source.
    pub(crate) data: String,
    /// Reason for the choice of device.
    pub(crate) reason: String,
    /// Run folder.
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

    /// Line of an evaluation in at most `columns` columns; the least important parts are dropped first.
    fn row(&self, r: &EvalReport, columns: usize) -> String {
        let (epochs, score) = (r.epoch.1.to_string(), self.score);
        let watched = if self.watched == "validation" { "val" } else { self.watched };
        let epoch = format!("epoch {:>width$}/{epochs}", r.epoch.0, width = epochs.len());
        let mut parts = vec![
            (0, epoch),
            (0, format!("loss {:.4}", r.train_loss)),
            (3, format!("{score} {:>6}", percent(r.train_accuracy))),
            (0, format!("{watched} loss {:.4}", r.val_loss)),
            (2, format!("{watched} {score} {:>6}", percent(r.val_accuracy))),
        ];
        parts.extend(r.perplexity.map(|p| (1, format!("perplexity {p:.2}"))));
        parts.push((4, format!("{} {}/s", count(r.per_second as u64), self.unit)));
        fitting(columns, &parts)
    }

    /// Removes the bar.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints text or JSON on standard output. A closed pipe does not end a run.
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
            let mut lines =
                vec![format!("device  {}", self.reason), format!("data    {}: {}", self.data, samples(r))];
            if let (Card::Image(card), false) = (&r.card, r.class_counts.is_empty()) {
                lines.push(format!("classes {}", classes(&card.classes, &r.class_counts)));
            }
            lines.extend([
                format!(
                    "model   {}: {} parameters, {peak} planned peak memory, {} dispatches per step",
                    model(&r.card),
                    count(r.parameters as u64),
                    r.plan.dispatches,
                ),
                format!("folder  {}", self.out.display()),
            ]);
            lines.join("\n")
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
                // Held-out pixels are counted in whole images.
                let unit = if r.unit == "tokens" { "tokens" } else { "images" };
                value[format!("{name}_{unit}")] = json!(size);
            }
            match &r.card {
                Card::Image(card) => {
                    value["model"] = json!(card.model);
                    value["classes"] = json!(card.classes);
                    value["class_counts"] = json!(r.class_counts);
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
            let style = "epoch {prefix}  {wide_bar}  {msg}  {eta} left";
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
        // 34 columns for the epoch, a bar of ten columns, the time left and the gaps.
        let room = usize::from(Term::stderr().size().1).saturating_sub(34);
        self.bar.set_message(fitting(
            room,
            &[
                (0, format!("step {}/{}", r.step.0, r.step.1)),
                (0, format!("loss {:.4}", r.loss)),
                (1, format!("{} {}", self.score, percent(r.accuracy))),
                (2, format!("{} {}/s", count(r.per_second as u64), self.unit)),
            ],
        ));
        self.bar.set_position(r.step.0);
    }

    fn evaluated(&mut self, r: &EvalReport) {
        let text = || self.row(r, Term::stdout().size_checked().map_or(COLUMNS, |size| size.1.into()));
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

/// Parts side by side in at most `columns` columns; parts with the highest numbers are dropped until the rest fits.
fn fitting(columns: usize, parts: &[(u8, String)]) -> String {
    let most = parts.iter().map(|p| p.0).max().unwrap_or(0);
    let upto = |n: u8| {
        let kept = parts.iter().filter(|p| p.0 <= n).map(|p| p.1.as_str());
        kept.collect::<Vec<_>>().join("  ")
    };
    let fits = (0..=most).rev().map(upto).find(|line| line.chars().count() <= columns);
    fits.unwrap_or_else(|| upto(0))
}

/// Training samples per class: every class, or only the smallest and largest if there are many.
fn classes(names: &[String], counts: &[u64]) -> String {
    let one = |(name, n): (&String, &u64)| format!("{name} {}", count(*n));
    let all: Vec<String> = names.iter().zip(counts).map(one).collect();
    let all = all.join(", ");
    if all.chars().count() + 8 <= COLUMNS {
        return all;
    }
    let by = |i: &usize| counts[*i];
    let (least, most) = ((0..counts.len()).min_by_key(by), (0..counts.len()).rev().max_by_key(by));
    let told = |i: Option<usize>| i.map_or(String::new(), |i| format!("{} ({})", count(counts[i]), names[i]));
    if let (Some(a), Some(b)) = (least, most)
        && counts[a] == counts[b]
    {
        return format!("{} of {} images each", counts.len(), count(counts[a]));
    }
    format!("from {} to {}", told(least), told(most))
}

/// Sizes of a run's data.
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
            format!("{train} training, {validation} validation tokens, vocabulary of {known}")
        }
    }
}

/// Model and the shape of its input.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluation_line_fits_eighty_columns_and_grows_with_the_terminal() {
        let mut progress = Progress::new(false, String::new(), String::new(), PathBuf::new());
        let report = EvalReport {
            epoch: (100, 100),
            step: 70_000,
            train_loss: 10.523_14,
            train_accuracy: 1.0,
            val_loss: 12.487_15,
            val_accuracy: 1.0,
            perplexity: None,
            per_second: 123_456.0,
        };
        let scores = ["accuracy", "explained variance", "discriminator accuracy"];
        for (watched, score) in ["validation", "test", "training"].into_iter().zip(scores) {
            (progress.watched, progress.unit, progress.score) = (watched, "images", score);
            let row = progress.row(&report, COLUMNS);
            assert!(row.chars().count() <= COLUMNS && row.contains(" loss 12.4871"), "{row}");
            assert!(progress.row(&report, 200).contains("123,456 images/s"));
        }
        (progress.watched, progress.score) = ("validation", "accuracy");
        let row = progress.row(&EvalReport { epoch: (2, 20), ..report }, COLUMNS);
        assert!(row.contains("val accuracy 100.0 %"), "{row}");
        let text = EvalReport { perplexity: Some(1234.5), ..progress_report() };
        assert!(progress.row(&text, COLUMNS).contains("perplexity 1234.50"));
    }

    fn progress_report() -> EvalReport {
        EvalReport {
            epoch: (2, 20),
            step: 1,
            train_loss: 1.0,
            train_accuracy: 0.5,
            val_loss: 1.0,
            val_accuracy: 0.5,
            perplexity: None,
            per_second: 1.0,
        }
    }

    #[test]
    fn class_counts_fit_one_line() {
        let names: Vec<String> = ["cat", "dog"].map(str::to_owned).to_vec();
        assert_eq!(classes(&names, &[12, 3000]), "cat 12, dog 3,000");
        let names: Vec<String> = (0..40).map(|i| format!("class-{i}")).collect();
        let counts: Vec<u64> = (0..40).map(|i| 10 + i).collect();
        assert_eq!(classes(&names, &counts), "from 10 (class-0) to 49 (class-39)");
        assert_eq!(classes(&names, &[110; 40]), "40 of 110 images each");
    }
}
