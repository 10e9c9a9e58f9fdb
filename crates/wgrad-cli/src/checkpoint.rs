//! `--checkpoint` and `--weights`: the trained weights read by `eval`, `predict` and `generate`.

use serde_json::{Value, json};
use std::path::PathBuf;
use wgrad_train::{Origin, TrainError, Weights, origin};

/// Flags selecting a trained model's weights.
#[derive(clap::Args)]
pub(crate) struct Checkpoint {
    /// Run folder written by `wgrad train --out`
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// Weights to read: best (lowest validation loss) or last [default: best, if the run keeps them]
    #[arg(long, value_name = "WHICH", value_parser = which)]
    weights: Option<Weights>,
}

fn which(word: &str) -> Result<Weights, String> {
    match word {
        "best" => Ok(Weights::Best),
        "last" => Ok(Weights::Last),
        _ => Err("use best or last, and --checkpoint for the run's folder".into()),
    }
}

impl Checkpoint {
    /// Folder, epoch and step of the weights.
    pub(crate) fn origin(&self) -> Result<Origin, TrainError> {
        let found = origin(&self.checkpoint, self.weights.unwrap_or_default())?;
        let (wanted, other) = match self.weights {
            Some(Weights::Best) if found.best.is_none() => ("best", "last"),
            Some(Weights::Last) if found.best.is_some() => ("last", "best"),
            _ => return Ok(found),
        };
        let why = format!("{} holds no {wanted} weights: use --weights {other}", self.checkpoint.display());
        Err(TrainError::Config { setting: "weights".into(), why })
    }

    /// Adds the weights' origin to a JSON object.
    pub(crate) fn tell(&self, origin: &Origin, value: &mut Value) {
        value["checkpoint"] = json!(self.checkpoint.display().to_string());
        value["weights"] = json!(if origin.best.is_some() { "best" } else { "last" });
        value["epoch"] = json!(origin.at.map(|at| at.0));
        value["step"] = json!(origin.at.map(|at| at.1));
    }
}
