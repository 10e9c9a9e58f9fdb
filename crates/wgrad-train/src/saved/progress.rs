//! Progress of a run, and its metrics: `progress.json` of a checkpoint, `metrics.jsonl`.

use super::card::Card;
use super::files::{CARD, CHECKPOINT, PROGRESS, card_json, json, parse};
use crate::TrainError;
use serde::{Deserialize, Serialize};
use std::path::Path;
use wgrad_session::{Tensors, checkpoint};

/// Metrics of one evaluation: a line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metrics {
    pub epoch: u64,
    pub step: u64,
    #[serde(with = "number")]
    pub train_loss: f64,
    #[serde(with = "number")]
    pub train_accuracy: f64,
    #[serde(with = "number")]
    pub val_loss: f64,
    #[serde(with = "number")]
    pub val_accuracy: f64,
    #[serde(default, with = "number::optional", skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels_per_second: Option<f64>,
    pub device: String,
}

/// Progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Current epoch, from 0.
    pub epoch: u64,
    /// Finished batches of the current epoch.
    pub batch: usize,
    /// Total steps done.
    pub step: u64,
    /// Sums over the current epoch; `images` counts samples of any kind.
    pub loss_sum: f64,
    pub correct: f64,
    pub images: u64,
    /// Lowest finite loss on the monitored split, and the number of evaluations since.
    pub best: Option<f64>,
    pub stale: u64,
    /// True if the run has ended.
    pub finished: bool,
    /// Evaluations so far.
    pub history: Vec<Metrics>,
}

/// Serialisation of non-finite numbers in JSON: NaN is `null`, infinities are strings as in JavaScript and protobuf.
mod number {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Finite(f64),
        Infinite(String),
        Nan(()),
    }

    pub(super) fn serialize<S: Serializer>(v: &f64, out: S) -> Result<S::Ok, S::Error> {
        let written = match *v {
            v if v.is_nan() => Written::Nan(()),
            f64::INFINITY => Written::Infinite("Infinity".into()),
            f64::NEG_INFINITY => Written::Infinite("-Infinity".into()),
            v => Written::Finite(v),
        };
        written.serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        match Written::deserialize(from)? {
            Written::Finite(v) => Ok(v),
            Written::Nan(()) => Ok(f64::NAN),
            Written::Infinite(word) => word.parse().map_err(serde::de::Error::custom),
        }
    }

    pub(super) mod optional {
        use serde::{Deserializer, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(v: &Option<f64>, out: S) -> Result<S::Ok, S::Error> {
            super::serialize(&v.unwrap_or(f64::NAN), out)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<f64>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}

/// Writes the checkpoint of a run.
pub(crate) fn save(
    out: &Path,
    card: &Card,
    progress: &Progress,
    tensors: &Tensors,
) -> Result<(), TrainError> {
    let files = [(CARD, card_json(card)), (PROGRESS, json(progress))];
    Ok(checkpoint::save(&out.join(CHECKPOINT), tensors, &files)?)
}

/// Progress stored in a checkpoint.
pub(crate) fn load_progress(dir: &Path) -> Result<Progress, TrainError> {
    parse(dir, PROGRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_with_non_finite_losses_round_trips() {
        let metrics = |val_loss: f64, perplexity: Option<f64>| Metrics {
            epoch: 1,
            step: 2,
            train_loss: 0.5,
            train_accuracy: 0.25,
            val_loss,
            val_accuracy: 0.1,
            perplexity,
            images_per_second: Some(3.0),
            tokens_per_second: None,
            pixels_per_second: None,
            device: "cpu".into(),
        };
        let history = vec![
            metrics(f64::NAN, None),
            metrics(f64::INFINITY, Some(f64::INFINITY)),
            metrics(-f64::INFINITY, Some(2.0)),
            metrics(1.5, None),
        ];
        let progress = Progress { history, ..Progress::default() };
        let text = String::from_utf8(json(&progress)).expect("text");
        let strict: serde_json::Value = serde_json::from_str(&text).expect("standard JSON");
        assert!(strict["history"][0]["val_loss"].is_null() && strict["history"][3]["val_loss"] == 1.5);
        let back: Progress = serde_json::from_str(&text).expect("read");
        let told = |p: &Progress| format!("{:?}", p.history);
        assert_eq!(told(&back), told(&progress), "NaN included");
    }
}
