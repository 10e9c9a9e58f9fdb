//! Best weights of a run, kept in `best/` beside the last ones: those of the lowest loss on the monitored split.
//!
//! `checkpoint/` holds everything needed to resume; `best/` holds the evaluated weights (moving averages if enabled) and no
//! optimizer state. Evaluation, prediction and generation read the best weights if present.

use super::card::Card;
use super::files::{self, BEST, CARD, CHECKPOINT, card_json, checkpoint_dir, json, parse};
use super::{progress, tensors as stored};
use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use wgrad_graph::Role;
use wgrad_nn::average_name;
use wgrad_session::{NamedTensor, Session, Tensors, checkpoint};

const ORIGIN: &str = "best.json";

/// Choice of a run's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// Weights of the lowest loss on the monitored split; the last ones if none are kept.
    #[default]
    Best,
    /// Last weights, also used by `--resume`.
    Last,
}

/// Epoch of the weights in [`BEST`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub epoch: u64,
    pub step: u64,
    /// Loss on the monitored split.
    pub loss: f64,
}

/// Origin of weights to read.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Folder of the weights.
    pub dir: PathBuf,
    /// Epochs and steps of training; `None` if unknown.
    pub at: Option<(u64, u64)>,
    /// Loss on the monitored split, for best weights.
    pub best: Option<f64>,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.at, self.best) {
            (Some((epoch, step)), Some(loss)) => {
                write!(f, "best, epoch {epoch} (step {step}, loss {loss:.4})")
            }
            (Some((epoch, step)), None) => write!(f, "last, epoch {epoch} (step {step})"),
            (None, _) => write!(f, "{}", self.dir.display()),
        }
    }
}

/// Origin of the weights in a run folder or one of its two weight folders.
///
/// # Errors
/// If there are none.
pub fn origin(path: &Path, weights: Weights) -> Result<Origin, TrainError> {
    let last = path.join(CHECKPOINT);
    let dir = match weights {
        Weights::Last if checkpoint::newest(&last).exists() => last,
        _ => checkpoint_dir(path),
    };
    files::load_card(&dir)?;
    if let Ok(best) = parse::<Best>(&dir, ORIGIN) {
        return Ok(Origin { dir, at: Some((best.epoch, best.step)), best: Some(best.loss) });
    }
    let at = progress::load_progress(&dir).ok().map(|p| (p.epoch, p.step));
    Ok(Origin { dir, at, best: None })
}

/// Record of the best weights of the run in folder `out`.
pub(crate) fn best(out: &Path) -> Option<Best> {
    parse(&out.join(BEST), ORIGIN).ok()
}

/// Saves weights as the best.
pub(crate) fn save(out: &Path, card: &Card, best: &Best, mut tensors: Tensors) -> Result<(), TrainError> {
    stored::take_averages(&mut tensors);
    let files = [(CARD, card_json(card)), (ORIGIN, json(best))];
    Ok(checkpoint::save(&out.join(BEST), &tensors, &files)?)
}

/// Loads the best weights into a training session for evaluation only; training cannot continue from it.
pub(crate) fn restore(out: &Path, session: &mut Session) -> Result<(), TrainError> {
    let (dir, names) = (out.join(BEST), stored::names(session));
    let mut tensors = stored::load_tensors(&dir, &names)?;
    let averages: Tensors = tensors
        .iter()
        .map(|t| NamedTensor::new(Role::State, average_name(&t.name), t.value.clone()))
        .filter(|t| names.iter().any(|n| n.0 == t.role && n.1 == t.name))
        .collect();
    tensors.extend(averages);
    session.restore(&tensors).map_err(|e| stored::other_model(&dir, e))
}
