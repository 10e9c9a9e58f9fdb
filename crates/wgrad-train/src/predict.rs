//! Prediction: a checkpoint's classes for image files.

use crate::TrainError;
use crate::data::{padded, pipeline};
use crate::evaluate::{BATCH, load};
use crate::state::ModelCard;
use std::path::Path;
use wgrad_data::{Batch, Pipeline, decode_levels};
use wgrad_device::Device;
use wgrad_session::{Runner, Session};

/// A class and how probable the model holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// Class name.
    pub class: String,
    /// Softmax probability.
    pub probability: f64,
}

/// A loaded classifier.
pub struct Predictor {
    card: ModelCard,
    session: Session,
    runner: Runner,
    pipeline: Pipeline,
    /// Images a step.
    batch: usize,
}

impl Predictor {
    /// Loads a checkpoint, for about so many images at once: a step takes as many, 64 at most.
    ///
    /// # Errors
    /// Where there is none, or the device fails.
    pub fn open(path: &Path, images: usize, device: &Device) -> Result<Self, TrainError> {
        let batch = images.clamp(1, BATCH);
        let (card, session, runner) = load(path, batch, device)?;
        let pipeline = pipeline(&card, "none")?;
        Ok(Self { card, session, runner, pipeline, batch })
    }

    /// For each image the `top` most probable classes, best first; equal ones in class order.
    ///
    /// # Errors
    /// Where an image does not decode, or the device fails.
    pub fn predict(
        &mut self,
        images: &[impl AsRef<Path>],
        top: usize,
    ) -> Result<Vec<Vec<Guess>>, TrainError> {
        let mut guesses = Vec::new();
        for paths in images.chunks(self.batch) {
            let mut batch = Batch {
                images: Vec::new(),
                labels: vec![0; paths.len()],
                len: paths.len(),
                indices: Vec::new(),
            };
            for path in paths {
                let image = decode_levels(path, self.card.channels, self.card.reading.levels())?;
                batch.images.extend(self.pipeline.apply(&image, None)?);
            }
            let (x, y) = padded(&self.card, batch, self.batch);
            self.runner.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
            let outputs = self.runner.wait()?.expect("a step is under way");
            let rows = outputs.get("logits").as_f32().chunks(self.card.classes.len());
            guesses.extend(rows.take(paths.len()).map(|row| self.rank(row, top)));
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
