//! Contents of a checkpoint besides tensors: the model's description and input preparation, and the run's progress.

use crate::TrainError;
use crate::kept::checkpoint_dir;
use crate::settings::Config;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;
use wgrad_data::{BytePairs, Levels, Tokenizer};
use wgrad_graph::Role;
use wgrad_models::{ImageModel, TextKind, TextModel, is_auxiliary};
use wgrad_nn::average_name;
use wgrad_session::checkpoint::{self, OPTIMIZER_FILE};
use wgrad_session::{Session, SessionError, Tensors};

/// Description of a trained model, sufficient to rebuild it and to prepare its images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelCard {
    /// Model name.
    pub model: String,
    /// Width multiplier of its layers.
    pub width: f64,
    /// Number of image channels.
    pub channels: usize,
    /// Image height and width.
    pub size: (usize, usize),
    /// Class names, by label.
    pub classes: Vec<String>,
    /// Mean per channel of the training images, in [0, 1].
    pub mean: Vec<f32>,
    /// Standard deviation per channel.
    pub std: Vec<f32>,
    /// Conversion of files to pixels and labels.
    #[serde(default, skip_serializing_if = "Reading::is_usual")]
    pub reading: Reading,
}

/// Conversion of files to pixels and labels, as determined by the training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// Range of 16-bit samples mapped to 0 to 255; the full range if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<(u16, u16)>,
    /// Ignored mask label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<String>,
    /// Palette of the masks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub palette: Option<Vec<[u8; 3]>>,
}

impl Reading {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Range of 16-bit samples.
    pub fn levels(&self) -> Levels {
        self.levels.map_or(Levels::WHOLE, |(low, high)| Levels { low, high })
    }

    /// Reading with only a range, as found in the data.
    pub(crate) fn of_levels(levels: Option<Levels>) -> Self {
        let levels = levels.filter(|found| *found != Levels::WHOLE).map(|found| (found.low, found.high));
        Self { levels, ..Self::default() }
    }
}

/// Description of a trained language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextCard {
    /// Model name.
    pub model: String,
    /// Context length: tokens per training sequence.
    pub context: usize,
    /// Number of layers.
    pub layers: usize,
    /// Width of the hidden state or residual stream.
    pub hidden: usize,
    /// Number of attention heads.
    pub heads: usize,
    /// Number of key and value heads.
    pub key_heads: usize,
    /// Rotary position embeddings.
    pub rotary: bool,
    /// Character vocabulary, ascending; `None` for byte tokens.
    pub characters: Option<String>,
    /// Learned token pairs of a byte-pair vocabulary, after the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Vec<(i32, i32)>>,
}

impl TextCard {
    pub(crate) fn new(model: &TextModel, tokenizer: &Tokenizer) -> Self {
        Self {
            model: model.kind.name().into(),
            context: model.context,
            layers: model.layers,
            hidden: model.hidden,
            heads: model.heads,
            key_heads: model.key_heads,
            rotary: model.rotary,
            characters: match tokenizer {
                Tokenizer::Bytes | Tokenizer::Pairs(_) => None,
                Tokenizer::Chars(all) => Some(all.iter().collect()),
            },
            pairs: match tokenizer {
                Tokenizer::Pairs(pairs) => Some(pairs.pairs().to_vec()),
                _ => None,
            },
        }
    }

    /// Tokenizer of the model.
    ///
    /// # Errors
    /// If the pairs are invalid.
    pub fn tokenizer(&self) -> Result<Tokenizer, TrainError> {
        Ok(match (&self.characters, &self.pairs) {
            (Some(characters), _) => Tokenizer::chars_of(characters),
            (None, Some(pairs)) => Tokenizer::Pairs(BytePairs::new(pairs.clone())?),
            (None, None) => Tokenizer::Bytes,
        })
    }

    /// Model for evaluation.
    ///
    /// # Errors
    /// If no language model has this name.
    pub fn text_model(&self) -> Result<TextModel, TrainError> {
        let kind = TextKind::named(&self.model).ok_or_else(|| {
            TrainError::config("checkpoint", format!("unknown language model {:?}", self.model))
        })?;
        let model = TextModel {
            context: self.context,
            layers: self.layers,
            hidden: self.hidden,
            heads: self.heads,
            key_heads: self.key_heads,
            rotary: self.rotary,
            ..TextModel::new(kind, self.tokenizer()?.vocabulary())
        };
        model.check()?;
        Ok(model)
    }
}

/// Contents of a checkpoint's `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Card {
    /// An image classifier.
    Image(ModelCard),
    /// A language model.
    Text(TextCard),
}

impl ModelCard {
    /// Model kind of an image classifier.
    ///
    /// # Errors
    /// If no model has this name.
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

pub(crate) const CARD: &str = "model.json";
pub(crate) const PROGRESS: &str = "progress.json";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CONFIG: &str = "config.toml";
pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const LABELS: &str = "labels.txt";
pub(crate) const CURVES: &str = "curves.png";

pub(crate) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(value).expect("plain values serialise")
}

pub(crate) fn parse<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T, TrainError> {
    let missing = |why: String| TrainError::NoCheckpoint { path: dir.into(), why };
    let bytes = checkpoint::read_file(dir, name).map_err(|e| missing(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| missing(format!("{name}: {e}")))
}

/// Writes the checkpoint of a run.
pub(crate) fn save(
    out: &Path,
    card: &Card,
    progress: &Progress,
    tensors: &Tensors,
) -> Result<(), TrainError> {
    let files = [(CARD, json(card)), (PROGRESS, json(progress))];
    Ok(checkpoint::save(&out.join(CHECKPOINT), tensors, &files)?)
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

/// Progress stored in a checkpoint.
pub(crate) fn load_progress(dir: &Path) -> Result<Progress, TrainError> {
    parse(dir, PROGRESS)
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

/// Loads a checkpoint's tensors, optimizer state included, into a session.
pub(crate) fn restore(dir: &Path, session: &mut Session) -> Result<(), TrainError> {
    let names = names(session);
    if names.iter().any(|n| n.0 == Role::State) && !checkpoint::newest(dir).join(OPTIMIZER_FILE).exists() {
        let why = format!(
            "{OPTIMIZER_FILE} is missing, so the run cannot continue exactly; start a new one from the weights with `init_from`"
        );
        return Err(TrainError::CannotResume { path: dir.into(), why });
    }
    let tensors = fitting(dir, &names, true)?;
    session.restore(&tensors).map_err(|e| other_model(dir, e))
}

/// Tensors of a checkpoint; all of the given names must be present. With `state` the optimizer's tensors are included;
/// without, moving averages replace their weights.
pub(crate) fn fitting(dir: &Path, names: &Names, state: bool) -> Result<Tensors, TrainError> {
    let mut tensors = load_tensors(dir, names)?;
    if !state {
        take_averages(&mut tensors);
        let known = |name: &str| names.iter().any(|n| n.1 == name);
        tensors.retain(|t| known(&t.name) || !is_auxiliary(&t.name));
    }
    let there = |n: &(Role, String)| tensors.iter().any(|t| t.role == n.0 && t.name == n.1);
    let needed = |n: &&(Role, String)| state || n.0 != Role::State;
    if let Some(n) = names.iter().filter(needed).find(|n| !there(n)) {
        return Err(TrainError::OtherModel { path: dir.into(), why: format!("it lacks {}", n.1) });
    }
    Ok(tensors)
}

/// Error if a tensor's shape or type differs from the model's.
pub(crate) fn other_model(dir: &Path, e: SessionError) -> TrainError {
    match e {
        SessionError::Tensor { .. } => TrainError::OtherModel { path: dir.into(), why: e.to_string() },
        other => other.into(),
    }
}

/// Tensors of a model.
pub(crate) type Names = Vec<(Role, String)>;

/// Tensors of a session.
pub(crate) fn names(session: &Session) -> Names {
    session.params().iter().map(|p| (p.role, p.name.clone())).collect()
}

/// Replaces weights by their moving averages, if present, and drops the optimizer state.
pub(crate) fn take_averages(tensors: &mut Tensors) {
    let (states, mut model): (Tensors, Tensors) =
        std::mem::take(tensors).into_iter().partition(|t| t.role == Role::State);
    for weight in &mut model {
        let average = average_name(&weight.name);
        if let Some(found) = states.iter().find(|s| s.name == average) {
            weight.value.clone_from(&found.value);
        }
    }
    *tensors = model;
}

/// Tensors of a checkpoint with their roles in the model.
pub(crate) fn load_tensors(dir: &Path, names: &Names) -> Result<Tensors, TrainError> {
    let role =
        |name: &str| names.iter().find(|n| n.1 == name && n.0 != Role::State).map_or(Role::Weight, |n| n.0);
    Ok(checkpoint::load(dir, role)?)
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
