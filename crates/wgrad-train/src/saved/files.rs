//! Files of a run folder: their names, paths and formats.

use super::card::Card;
use crate::TrainError;
use crate::settings::Config;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
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
    check_format(dir)?;
    parse(dir, CARD)
}

/// Number of the format of run folders and checkpoints, written to `model.json`. It grows if older programs would misread
/// newer files; a new field with a default is no reason.
pub(crate) const FORMAT: u64 = 1;

/// Contents of `model.json`.
#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    #[serde(flatten)]
    card: &'a Card,
}

/// Format of a `model.json`; older ones lack the field.
#[derive(Deserialize)]
struct Header {
    #[serde(default = "first_format")]
    format: u64,
}

fn first_format() -> u64 {
    1
}

/// Contents of `model.json`.
pub(crate) fn card_json(card: &Card) -> Vec<u8> {
    json(&Written { format: FORMAT, card })
}

/// Error if a newer program has written a checkpoint.
fn check_format(dir: &Path) -> Result<(), TrainError> {
    match parse::<Header>(dir, CARD)?.format {
        format if format > FORMAT => Err(TrainError::Newer { path: dir.into(), format, known: FORMAT }),
        _ => Ok(()),
    }
}

/// Settings of the run in folder `out`.
///
/// # Errors
/// If there is no run, or its `config.toml` does not parse.
pub fn load_config(out: &Path) -> Result<Config, TrainError> {
    let path = out.join(CONFIG);
    let missing =
        |e: std::io::Error| TrainError::NoCheckpoint { path: out.into(), why: format!("{CONFIG}: {e}") };
    let text = std::fs::read_to_string(&path).map_err(missing)?;
    Config::from_toml(&text, &path.display().to_string()).map_err(|error| {
        // Settings unknown here are no mistake of a newer program.
        let newer =
            check_format(&checkpoint_dir(out)).err().filter(|e| matches!(e, TrainError::Newer { .. }));
        newer.unwrap_or(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of a run from before formats had numbers.
    const OLD_CARD: &str = r#"{
  "model": "lenet",
  "width": 1.0,
  "channels": 1,
  "size": [32, 32],
  "classes": ["boot", "shirt"],
  "mean": [0.5],
  "std": [0.25]
}"#;
    const OLD_CONFIG: &str = "model = \"lenet\"\ndata = \"fashion-mini\"\nepochs = 3\n";

    /// Run folder with these files.
    fn run(card: &str, config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(CHECKPOINT)).unwrap();
        std::fs::write(dir.path().join(CHECKPOINT).join(CARD), card).unwrap();
        std::fs::write(dir.path().join(CONFIG), config).unwrap();
        dir
    }

    #[test]
    fn run_without_format_number_loads() {
        let dir = run(OLD_CARD, OLD_CONFIG);
        let card = load_checkpoint_card(dir.path()).unwrap();
        assert_eq!(card.model(), "lenet");
        assert_eq!(load_config(dir.path()).unwrap().epochs, 3);
        // Written anew, it has a number and the same contents.
        let text = String::from_utf8(card_json(&card)).unwrap();
        assert!(text.contains("\"format\": 1"), "{text}");
        std::fs::write(dir.path().join(CHECKPOINT).join(CARD), &text).unwrap();
        assert_eq!(load_checkpoint_card(dir.path()).unwrap(), card);
    }

    #[test]
    fn run_of_newer_format_is_refused_in_one_line() {
        let newer = r#"{ "format": 7, "model": "unheard-of", "shape": {} }"#;
        let dir = run(newer, "model = \"lenet\"\nunheard_of = 1\n");
        let told = load_checkpoint_card(dir.path()).unwrap_err().to_string();
        let why = "written by a newer wgrad (format 7, this program reads up to 1): update wgrad";
        assert!(told.ends_with(why) && !told.contains('\n'), "{told}");
        assert!(load_config(dir.path()).unwrap_err().to_string().ends_with(why));
        let known = run(OLD_CARD, "model = \"lenet\"\nunheard_of = 1\n");
        assert!(load_config(known.path()).unwrap_err().to_string().contains("unheard_of"));
    }
}
