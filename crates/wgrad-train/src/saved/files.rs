//! Files of a run folder: their names, paths and formats.

use super::card::Card;
use crate::TrainError;
use crate::settings::Config;
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};
use wgrad_session::checkpoint;

pub(crate) const CARD: &str = "model.json";
pub(crate) const PROGRESS: &str = "progress.json";
/// Folder of the best weights.
pub(crate) const BEST: &str = "best";
/// Folder of the last weights, to resume from.
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const LABELS: &str = "labels.txt";
pub(crate) const CURVES: &str = "curves.png";

/// Weight folder for the path of a run folder or weight folder: the best weights if present.
pub(crate) fn checkpoint_dir(path: &Path) -> PathBuf {
    let kept = [BEST, CHECKPOINT].map(|name| path.join(name));
    let found = kept.into_iter().find(|dir| checkpoint::newest(dir).join(CARD).exists());
    found.unwrap_or_else(|| path.into())
}

/// Run folder for the path of a run folder or one of its weight folders.
pub(crate) fn run_dir(path: &Path) -> PathBuf {
    let inner = (path.ends_with(CHECKPOINT) || path.ends_with(BEST)) && !path.join(CONFIG).exists();
    let parent = if inner { path.parent() } else { None };
    parent.unwrap_or(path).into()
}

pub(crate) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain values serialise")
}

pub(crate) fn parse<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, TrainError> {
    let missing = |why: String| TrainError::NoCheckpoint { path: dir.into(), why };
    let bytes = checkpoint::read_file(dir, name).map_err(|e| missing(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| missing(format!("{name}: {e}")))
}

/// Model description in a run folder or checkpoint folder.
///
/// # Errors
/// If there is none.
pub fn load_checkpoint_card(path: &Path) -> Result<Card, TrainError> {
    load_card(&checkpoint_dir(path))
}

/// Model description of a checkpoint.
pub(crate) fn load_card(dir: &Path) -> Result<Card, TrainError> {
    parse(dir, CARD)
}

/// Settings of the run in folder `out`.
///
/// # Errors
/// If there is no run, or its `config.toml` does not parse.
pub fn load_config(out: &Path) -> Result<Config, TrainError> {
    let path = out.join(CONFIG);
    let missing =
        |e: std::io::Error| TrainError::NoCheckpoint { path: out.into(), why: format!("{CONFIG}: {e}") };
    Config::from_toml(&std::fs::read_to_string(&path).map_err(missing)?, &path.display().to_string())
}
