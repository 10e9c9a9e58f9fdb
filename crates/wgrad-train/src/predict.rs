//! Prediction: classification of image files with a checkpoint.

use crate::TrainError;
use crate::data::{padded, pipeline};
use crate::evaluate::{BATCH, load};
use crate::state::ModelCard;
use std::io::Read;
use std::path::Path;
use wgrad_data::{Batch, DataError, Pipeline, decode_levels};
use wgrad_device::Device;
use wgrad_session::{Runner, Session};

/// Predicted class with its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// Class name.
    pub class: String,
    /// Softmax probability.
    pub probability: f64,
}

/// True if a file's first bytes are those of an image, in a supported format or not.
///
/// # Errors
/// If the file cannot be read.
pub fn is_picture(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(64).read_to_end(&mut head)?;
    Ok(image::guess_format(&head).is_ok())
}

/// Loaded classifier.
pub struct Predictor {
    card: ModelCard,
    session: Session,
    runner: Runner,
    pipeline: Pipeline,
    /// Images per batch.
    batch: usize,
}

impl Predictor {
    /// Loads a checkpoint for about `images` images; a batch takes as many, 64 at most.
    ///
    /// # Errors
    /// If there is none, or the device fails.
    pub fn open(path: &Path, images: usize, device: &Device) -> Result<Self, TrainError> {
        let batch = images.clamp(1, BATCH);
        let (card, session, runner) = load(path, batch, device)?;
        let pipeline = pipeline(&card, "none")?;
        Ok(Self { card, session, runner, pipeline, batch })
    }

    /// Images per batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Most probable `top` classes per image, best first, ties in class order; or the reason for not decoding.
    ///
    /// # Errors
    /// If the device fails.
    pub fn predict(
        &mut self,
        images: &[impl AsRef<Path>],
        top: usize,
    ) -> Result<Vec<Result<Vec<Guess>, DataError>>, TrainError> {
        let mut guesses = Vec::new();
        for paths in images.chunks(self.batch) {
            let prepared = |path: &_| {
                let image = decode_levels(path, self.card.channels, self.card.reading.levels())?;
                self.pipeline.apply(&image, None)
            };
            let prepared: Vec<Result<Vec<f32>, DataError>> = paths.iter().map(prepared).collect();
            let len = prepared.iter().filter(|p| p.is_ok()).count();
            let images = prepared.iter().flatten().flatten().copied().collect();
            if len == 0 {
                guesses.extend(prepared.into_iter().filter_map(Result::err).map(Err));
                continue;
            }
            let batch = Batch { images, labels: vec![0; len], len, indices: Vec::new() };
            let (x, y) = padded(&self.card, batch, self.batch);
            self.runner.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
            let outputs = self.runner.wait()?.expect("a step is under way");
            let mut rows = outputs.get("logits").as_f32().chunks(self.card.classes.len());
            let mut guess = |_| self.rank(rows.next().expect("one row per image"), top);
            guesses.extend(prepared.into_iter().map(|found| found.map(&mut guess)));
        }
        Ok(guesses)
    }

    fn rank(&self, logits: &[f32], top: usize) -> Vec<Guess> {
        let most = logits.iter().fold(f64::MIN, |m, &v| m.max(f64::from(v)));
        let weights: Vec<f64> = logits.iter().map(|&v| (f64::from(v) - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut guesses: Vec<Guess> = weights
            .iter()
            .zip(&self.card.classes)
            .map(|(w, class)| Guess { class: class.clone(), probability: w / total })
            .collect();
        guesses.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        guesses.truncate(top.max(1));
        guesses
    }
}
