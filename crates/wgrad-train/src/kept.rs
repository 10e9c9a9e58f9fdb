//! Weights that a run keeps beside its last ones: those of the lowest loss on the split watched, in `best/`.
//!
//! `checkpoint/` holds all that a run needs to go on; `best/` holds what was evaluated (moving averages if there are such)
//! and no optimizer state. Evaluation, prediction and generation read the best if there are such.

use crate::TrainError;
use crate::state::{self, CARD, CHECKPOINT, CONFIG, Card};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use wgrad_graph::Role;
use wgrad_nn::average_name;
use wgrad_session::{NamedTensor, Session, Tensors, checkpoint};

/// Folder of the best weights.
pub(crate) const BEST: &str = "best";
const ORIGIN: &str = "best.json";

/// Which of a run's weights to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// Those of the lowest loss on the split watched; the last if none are kept.
    #[default]
    Best,
    /// Those that `--resume` goes on with.
    Last,
}

/// Epoch of the weights in [`BEST`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    pub epoch: u64,
    pub step: u64,
    /// Loss on the split watched.
    pub loss: f64,
}

/// Weights that are about to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Folder to read them from.
    pub dir: PathBuf,
    /// Epochs and steps of training behind them; `None` if the folder does not say.
    pub at: Option<(u64, u64)>,
    /// Loss on the split watched if they are kept as the best.
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

/// Which weights a run's folder, or one of its two folders of weights, gives.
///
/// # Errors
/// If there are none.
pub fn origin(path: &Path, weights: Weights) -> Result<Origin, TrainError> {
    let last = path.join(CHECKPOINT);
    let dir = match weights {
        Weights::Last if checkpoint::newest(&last).exists() => last,
        _ => checkpoint_dir(path),
    };
    state::load_card(&dir)?;
    if let Ok(best) = state::parse::<Best>(&dir, ORIGIN) {
        return Ok(Origin { dir, at: Some((best.epoch, best.step)), best: Some(best.loss) });
    }
    let at = state::load_progress(&dir).ok().map(|p| (p.epoch, p.step));
    Ok(Origin { dir, at, best: None })
}

/// The folder of weights for a path that is a run's folder or such a folder itself: the best if there are such.
pub(crate) fn checkpoint_dir(path: &Path) -> PathBuf {
    let kept = [BEST, CHECKPOINT].map(|name| path.join(name));
    let found = kept.into_iter().find(|dir| checkpoint::newest(dir).join(CARD).exists());
    found.unwrap_or_else(|| path.into())
}

/// The run's folder for a path that is that, or one of its folders of weights.
pub(crate) fn run_dir(path: &Path) -> PathBuf {
    let inner = (path.ends_with(CHECKPOINT) || path.ends_with(BEST)) && !path.join(CONFIG).exists();
    let parent = if inner { path.parent() } else { None };
    parent.unwrap_or(path).into()
}

/// What is kept as the best of the run in folder `out`.
pub(crate) fn best(out: &Path) -> Option<Best> {
    state::parse(&out.join(BEST), ORIGIN).ok()
}

/// Keeps weights as the best.
pub(crate) fn save(out: &Path, card: &Card, best: &Best, mut tensors: Tensors) -> Result<(), TrainError> {
    state::take_averages(&mut tensors);
    let files = [(CARD, state::json(card)), (ORIGIN, state::json(best))];
    Ok(checkpoint::save(&out.join(BEST), &tensors, &files)?)
}

/// Fills a training session with the best weights, as those that evaluation reads: no session to train on with.
pub(crate) fn restore(out: &Path, session: &mut Session) -> Result<(), TrainError> {
    let (dir, names) = (out.join(BEST), state::names(session));
    let mut tensors = state::load_tensors(&dir, &names)?;
    let averages: Tensors = tensors
        .iter()
        .map(|t| NamedTensor::new(Role::State, average_name(&t.name), t.value.clone()))
        .filter(|t| names.iter().any(|n| n.0 == t.role && n.1 == t.name))
        .collect();
    tensors.extend(averages);
    session.restore(&tensors).map_err(|e| state::other_model(&dir, e))
}
