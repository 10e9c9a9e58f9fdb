//! Trained models by their answers: opened from a checkpoint, refused if they are of another kind.

use super::classify::Predictor;
use super::kind::Output;
use super::known;
use super::language::Generator;
use super::segment::Segmenter;
use crate::TrainError;
use crate::saved::card::Card;
use crate::saved::files::{checkpoint_dir, load_card};
use std::path::{Path, PathBuf};
use wgrad_device::Device;

/// Folder of the weights, and description of a model with these answers.
fn answering(path: &Path, output: Output) -> Result<(PathBuf, Card), TrainError> {
    let dir = checkpoint_dir(path);
    let card = load_card(&dir)?;
    let kind = known(card.model())?;
    match kind.output() == output {
        true => Ok((dir, card)),
        false => Err(TrainError::config("checkpoint", format!("{} {}", path.display(), kind.usage()))),
    }
}

/// Error of a description whose fields contradict its model.
fn foreign(dir: PathBuf) -> TrainError {
    TrainError::OtherModel { path: dir, why: "its description does not fit its model's name".into() }
}

impl Predictor {
    /// Loads a checkpoint for about `images` images; a batch takes as many, 64 at most.
    ///
    /// # Errors
    /// If there is none, it is no image classifier, or the device fails.
    pub fn open(path: &Path, images: usize, device: &Device) -> Result<Self, TrainError> {
        match answering(path, Output::Classes)? {
            (dir, Card::Image(card)) => Self::new(&dir, card, images, device),
            (dir, Card::Text(_)) => Err(foreign(dir)),
        }
    }
}

impl Segmenter {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// If there is none, it is no segmenter, or the device fails.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TrainError> {
        match answering(path, Output::Masks)? {
            (dir, Card::Image(card)) => Self::new(path, &dir, card, device),
            (dir, Card::Text(_)) => Err(foreign(dir)),
        }
    }
}

impl Generator {
    /// Loads a checkpoint.
    ///
    /// # Errors
    /// If there is none, it is no language model, or the device fails.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TrainError> {
        match answering(path, Output::Text)? {
            (dir, Card::Text(card)) => Self::new(&dir, &card, device),
            (dir, Card::Image(_)) => Err(foreign(dir)),
        }
    }
}
