//! The product's own loops through `wgrad_train::train` and `evaluate_checkpoint`, on data written here by formulas: a
//! run's results, its order of samples, its evaluation, and the same bits after an interruption.

mod golden;
mod heeded;
mod judged;
mod orders;
mod players;
mod resumed;
mod written;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_graph::Role;
use wgrad_session::checkpoint;
use wgrad_tests::cpu;
use wgrad_train::{Config, EvalReport, Observer, StepReport, Summary, TrainError, train};
use wgrad_types::Array;

/// A folder for data and runs.
struct Place(tempfile::TempDir);

/// The brightness of a picture of a class.
fn level(class: usize, number: usize, y: usize, x: usize) -> u8 {
    ((class * 71 + number * 37 + y * (11 + class) + x * 7 + x * y * (number % 3 + 1)) % 256) as u8
}

/// Class of a pixel: bands with a width per image, so that images differ in their most frequent class.
fn band(number: usize, y: usize, x: usize) -> u8 {
    ((y * 3 + x + number * 5) / (9 + 7 * (number % 5)) % 3) as u8
}

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn spec(&self, kind: &str, name: &str) -> String {
        format!("{kind}:{}", self.path(name).display())
    }

    /// Grey pictures in class folders `a`, `b`, ..: `counts` to train on, `tests` to judge by, numbered on from the former.
    fn pictures(&self, side: usize, counts: &[usize], tests: &[usize]) -> String {
        for (class, (&count, &more)) in counts.iter().zip(tests).enumerate() {
            for number in 0..count + more {
                let split = if number < count { "train" } else { "test" };
                let dir = self.path("pictures").join(split).join(["a", "b", "c", "d"][class]);
                fs::create_dir_all(&dir).expect("a class folder");
                let pixel = |x, y| image::Luma([level(class, number, y as usize, x as usize)]);
                let picture = image::GrayImage::from_fn(side as u32, side as u32, pixel);
                picture.save(dir.join(format!("{number:03}.png"))).expect("a picture");
            }
        }
        self.spec("folder", "pictures")
    }

    /// Grey scenes with masks of three classes.
    fn scenes(&self, side: usize, count: usize) -> String {
        for side_of in ["images", "masks"] {
            fs::create_dir_all(self.path("scenes").join(side_of)).expect("a folder");
        }
        for number in 0..count {
            let pixel = |x: u32, y: u32| {
                let (x, y) = (x as usize, y as usize);
                image::Luma([level(usize::from(band(number, y, x)), number, y, x)])
            };
            let mask = |x: u32, y: u32| image::Luma([band(number, y as usize, x as usize)]);
            let name = format!("{number:03}.png");
            let side = side as u32;
            let dir = self.path("scenes");
            image::GrayImage::from_fn(side, side, pixel)
                .save(dir.join("images").join(&name))
                .expect("a scene");
            image::GrayImage::from_fn(side, side, mask).save(dir.join("masks").join(&name)).expect("a mask");
        }
        self.spec("masks", "scenes")
    }

    /// A text of five letters.
    fn text(&self, length: usize) -> String {
        fs::write(self.path("text.txt"), text(length)).expect("a text");
        self.spec("text", "text.txt")
    }
}

/// The letters of a text: a sum of two rhythms.
fn text(length: usize) -> String {
    (0..length).map(|i| ["a", "b", "c", "d", "e"][(i * i / 7 + i % 3) % 5]).collect()
}

/// Keeps reports; stops a run after a step.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    at: Option<u64>,
    losses: Vec<f64>,
    evaluations: Vec<(f64, f64, f64, f64)>,
}

struct Watching<'a>(&'a AtomicBool, &'a mut Vec<f64>, &'a mut Vec<(f64, f64, f64, f64)>, Option<u64>);

impl Observer for Watching<'_> {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, report: &StepReport) {
        self.1.push(report.loss);
        if Some(report.step.0) == self.3 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    fn evaluated(&mut self, r: &EvalReport) {
        self.2.push((r.train_loss, r.train_accuracy, r.val_loss, r.val_accuracy));
    }
}

/// A run on the CPU, stopped after a step if one is given.
fn run_until(
    config: &Config,
    out: &Path,
    resume: bool,
    at: Option<u64>,
) -> Result<(Summary, Seen), TrainError> {
    let mut seen = Seen { at, ..Seen::default() };
    let summary = {
        let mut watching = Watching(&seen.stop, &mut seen.losses, &mut seen.evaluations, seen.at);
        train(config, out, resume, &cpu(), &mut watching, &seen.stop)?
    };
    Ok((summary, seen))
}

fn run(config: &Config, out: &Path) -> (Summary, Seen) {
    run_until(config, out, false, None).unwrap_or_else(|e| panic!("{}: {e}", config.model))
}

/// A run's last weights and buffers, by name.
fn weights(out: &Path) -> BTreeMap<String, Array> {
    let tensors = checkpoint::load(&out.join("checkpoint"), |_| Role::Weight).expect("a checkpoint");
    tensors.into_iter().filter(|t| t.role == Role::Weight).map(|t| (t.name, t.value.to_array())).collect()
}
