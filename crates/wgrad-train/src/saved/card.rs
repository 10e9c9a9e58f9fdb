//! Description of a trained model and of its input preparation: `model.json` of a checkpoint.

use crate::TrainError;
use serde::{Deserialize, Serialize};
use wgrad_data::{BytePairs, Levels, Tokenizer};
use wgrad_models::{ImageModel, TextKind, TextModel};

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

/// Description of a model on images or on text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Card {
    /// A model of images.
    Image(ModelCard),
    /// A language model.
    Text(TextCard),
}

impl Card {
    /// Name of the model.
    pub fn model(&self) -> &str {
        match self {
            Self::Image(card) => &card.model,
            Self::Text(card) => &card.model,
        }
    }
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
