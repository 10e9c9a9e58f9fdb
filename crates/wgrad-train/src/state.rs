//! What a checkpoint holds beside tensors: the model and how to feed it, and where the run stands.

use crate::TrainError;
use crate::config::Config;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;
use wgrad_graph::Role;
use wgrad_models::ImageModel;
use wgrad_nn::average_name;
use wgrad_session::{Session, SessionError, Tensors, checkpoint};

/// A trained model's description: enough to build it again and to prepare its images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Model of the zoo.
    pub model: String,
    /// Factor on its widths.
    pub width: f64,
    /// Image channels.
    pub channels: usize,
    /// Image height and width.
    pub size: (usize, usize),
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Mean a channel of the training images, in [0, 1].
    pub mean: Vec<f32>,
    /// Standard deviation a channel.
    pub std: Vec<f32>,
}

impl ModelCard {
    /// The model.
    ///
    /// # Errors
    /// Where no model has the name.
    pub fn image_model(&self) -> Result<ImageModel, TrainError> {
        Ok(ImageModel {
            kind: self.model.parse()?,
            channels: self.channels,
            size: self.size,
            classes: self.classes.len(),
            width: self.width,
        })
    }
}

/// One evaluation: a line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metrics {
    pub epoch: u64,
    pub step: u64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    pub val_loss: f64,
    pub val_accuracy: f64,
    pub images_per_second: f64,
    pub device: String,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epoch under way, from 0.
    pub epoch: u64,
    /// Batches of it that are done.
    pub batch: usize,
    /// Steps done in all.
    pub step: u64,
    /// Sums over the epoch under way.
    pub loss_sum: f64,
    pub correct: f64,
    pub images: u64,
    /// Lowest validation loss and evaluations since.
    pub best: Option<f64>,
    pub stale: u64,
    /// Whether the run has ended.
    pub finished: bool,
    /// Evaluations so far.
    pub history: Vec<Metrics>,
}

pub(crate) const CARD: &str = "model.json";
pub(crate) const PROGRESS: &str = "progress.json";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const METRICS: &str = "metrics.jsonl";

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain values serialise")
}

fn parse<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, TrainError> {
    let missing = |why: String| TrainError::NoCheckpoint { path: dir.into(), why };
    let bytes = checkpoint::read_file(dir, name).map_err(|e| missing(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| missing(format!("{name}: {e}")))
}

/// Writes a run's checkpoint.
pub(crate) fn save(
    out: &Path,
    card: &ModelCard,
    progress: &Progress,
    tensors: &Tensors,
) -> Result<(), TrainError> {
    let files = [(CARD, json(card)), (PROGRESS, json(progress))];
    Ok(checkpoint::save(&out.join(CHECKPOINT), tensors, &files)?)
}

/// The checkpoint's folder for a path that is a run's folder or the checkpoint itself.
pub(crate) fn checkpoint_dir(path: &Path) -> std::path::PathBuf {
    let inner = path.join(CHECKPOINT);
    if checkpoint::newest(&inner).exists() { inner } else { path.into() }
}

/// A checkpoint's description.
pub(crate) fn load_card(dir: &Path) -> Result<ModelCard, TrainError> {
    parse(dir, CARD)
}

/// Where a checkpoint's run stands.
pub(crate) fn load_progress(dir: &Path) -> Result<Progress, TrainError> {
    parse(dir, PROGRESS)
}

/// The settings of the run in folder `out`.
///
/// # Errors
/// Where there is no run, or its `config.toml` does not parse.
pub fn load_config(out: &Path) -> Result<Config, TrainError> {
    let path = out.join(CONFIG);
    let missing =
        |e: std::io::Error| TrainError::NoCheckpoint { path: out.into(), why: format!("{CONFIG}: {e}") };
    Config::from_toml(&std::fs::read_to_string(&path).map_err(missing)?, &path.display().to_string())
}

/// Fills a session with a checkpoint's tensors, which must be the model's, all of them; `state` says whether the
/// optimizer's count. Where they do not, moving averages stand in for the weights they are of.
pub(crate) fn restore(dir: &Path, session: &mut Session, state: bool) -> Result<(), TrainError> {
    let wrong = |why: String| TrainError::NoCheckpoint { path: dir.into(), why };
    let mut tensors = load_tensors(dir, session.params())?;
    if !state {
        take_averages(&mut tensors);
    }
    let there = |p: &wgrad_plan::ParamPlace| tensors.iter().any(|t| t.0 == p.role && t.1 == p.name);
    if let Some(p) = session.params().iter().find(|p| !there(p)) {
        return Err(wrong(format!("it is of another model: {} is missing", p.name)));
    }
    session.restore(&tensors).map_err(|e| match e {
        SessionError::Tensor { .. } => wrong(format!("it is of another model: {e}")),
        other => other.into(),
    })
}

/// Replaces weights by their moving averages where there are such, and drops the optimizer's state.
fn take_averages(tensors: &mut Tensors) {
    let (states, mut model): (Tensors, Tensors) =
        std::mem::take(tensors).into_iter().partition(|t| t.0 == Role::State);
    for (_, name, weight) in &mut model {
        let average = average_name(name);
        if let Some(found) = states.iter().find(|s| s.1 == average) {
            weight.clone_from(&found.2);
        }
    }
    *tensors = model;
}

/// A checkpoint's tensors, with the roles the model gives their names.
fn load_tensors(dir: &Path, params: &[wgrad_plan::ParamPlace]) -> Result<Tensors, TrainError> {
    let role = |name: &str| {
        params.iter().find(|p| p.name == name && p.role != Role::State).map_or(Role::Weight, |p| p.role)
    };
    Ok(checkpoint::load(dir, role)?)
}
