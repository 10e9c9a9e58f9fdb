//! Kind of task: everything in which classifiers, segmenters, language and generative models differ.

use super::task::Task;
use crate::TrainError;
use crate::evaluation::Evaluation;
use crate::run::observer::Observer;
use crate::saved::card::{Card, ModelCard, Reading, TextCard};
use crate::settings::{Config, Value};
use std::path::PathBuf;
use std::sync::Arc;
use wgrad_data::{Augmentation, OwnImages, Split};
use wgrad_device::Device;
use wgrad_graph::Graph;
use wgrad_nn::OptimizerKind;

/// Data read by a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Images, with or without labels.
    Images,
    /// Images with masks.
    Masks,
    /// Text.
    Text,
}

impl Input {
    /// Data of a source.
    pub(crate) fn of(spec: &str) -> Self {
        match (wgrad_data::is_masks(spec), wgrad_data::is_text(spec)) {
            (true, _) => Self::Masks,
            (_, true) => Self::Text,
            _ => Self::Images,
        }
    }
}

/// Answers of a trained model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A class per image, by [`crate::Predictor`].
    Classes,
    /// A mask per image, by [`crate::Segmenter`].
    Masks,
    /// Images.
    Images,
    /// Text, by [`crate::Generator`].
    Text,
}

impl Output {
    /// True if the last layer has a row per class of the data.
    pub(crate) fn has_classes(self) -> bool {
        matches!(self, Self::Classes | Self::Masks)
    }
}

/// Part of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Test split; if there is none, the validation data of the run's own source, or all of another source.
    #[default]
    Usual,
    /// One split.
    Split(Split),
    /// All splits together.
    All,
}

impl Part {
    /// Use of training and of held-out samples of a source without a test split, and the name of the selection.
    pub(crate) fn halves(self, own: bool) -> (bool, bool, &'static str) {
        match self {
            Self::Split(Split::Train) => (true, false, "training"),
            Self::All => (true, true, "all"),
            Self::Usual if !own => (true, true, "all"),
            Self::Usual | Self::Split(Split::Validation | Split::Test) => (false, true, "validation"),
        }
    }
}

/// Trained model to evaluate, with the data for it.
pub struct Evaluating<'a> {
    /// Folder of the weights.
    pub dir: PathBuf,
    /// Description of the model.
    pub card: Card,
    /// Settings of its run; the defaults if they are lost.
    pub config: Config,
    /// Data source.
    pub spec: String,
    /// True if the source is the run's own, by name.
    pub own: bool,
    /// Part of the source to evaluate.
    pub part: Part,
    /// Device.
    pub device: &'a Device,
}

/// Facts about data in place of a source, for work without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumed {
    /// Number of classes.
    pub classes: usize,
    /// Number of image channels; the usual one of the model if `None`.
    pub channels: Option<usize>,
    /// Vocabulary size of a text.
    pub vocabulary: usize,
    /// Evaluation batch instead of a training step.
    pub evaluation: bool,
}

impl Default for Assumed {
    /// Training step on ten classes, or on a text of 65 characters.
    fn default() -> Self {
        Self { classes: 10, channels: None, vocabulary: 65, evaluation: false }
    }
}

/// Training step, or evaluation batch, of a model.
pub struct Workload {
    /// Graph of the step.
    pub graph: Graph,
    /// Shape of the model and its input, in words.
    pub caption: String,
    /// Same facts by name.
    pub fields: Vec<(&'static str, Value)>,
    /// Unit of speed: `images`, `tokens` or `pixels`.
    pub unit: &'static str,
    /// Samples of that unit per step.
    pub samples: usize,
}

impl Workload {
    /// Workload on `rows` square images; `words` end the caption.
    pub(crate) fn on_images(
        (graph, card, rows): (Graph, &ModelCard, usize),
        unit: &'static str,
        words: &str,
    ) -> Self {
        let ModelCard { width, channels, size: (height, side), ref classes, .. } = *card;
        let (shape, n) = (format!("{channels}x{height}x{side}"), |n: usize| Value::Count(n as u64));
        Self {
            graph,
            caption: format!("(width {width}), {shape} {words}"),
            fields: vec![
                ("width_factor", Value::Number(width)),
                ("channels", n(channels)),
                ("height", n(height)),
                ("width", n(side)),
                ("classes", n(classes.len())),
            ],
            unit,
            samples: rows * if unit == "pixels" { height * side } else { 1 },
        }
    }
}

impl Assumed {
    /// Description of an image model on square images, with the usual side and number of channels of its kind.
    pub(crate) fn card(&self, config: &Config, (side, channels): (usize, usize)) -> ModelCard {
        let side = config.image_size.unwrap_or(side);
        let channels = self.channels.unwrap_or(channels);
        ModelCard {
            model: config.model.clone(),
            width: config.width,
            channels,
            size: (side, side),
            classes: (0..self.classes).map(|class| class.to_string()).collect(),
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            reading: Reading::default(),
        }
    }
}

impl Evaluating<'_> {
    /// Description of an image model.
    ///
    /// # Errors
    /// If it describes another model.
    pub(crate) fn image_card(&self) -> Result<&ModelCard, TrainError> {
        match &self.card {
            Card::Image(card) => Ok(card),
            Card::Text(card) => Err(self.foreign(&card.model)),
        }
    }

    /// Description of a language model.
    ///
    /// # Errors
    /// If it describes another model.
    pub(crate) fn text_card(&self) -> Result<&TextCard, TrainError> {
        match &self.card {
            Card::Text(card) => Ok(card),
            Card::Image(card) => Err(self.foreign(&card.model)),
        }
    }

    /// Error of a description whose fields contradict its model.
    fn foreign(&self, model: &str) -> TrainError {
        let why = format!("it describes {model} with other fields than {model} has");
        TrainError::OtherModel { path: self.dir.clone(), why }
    }
}

/// Parts of a run that a program brings.
#[derive(Clone, Default)]
pub struct Brought {
    /// Images in place of a source.
    pub images: Option<OwnImages>,
    /// Augmentation of training images.
    pub augmentation: Option<Arc<dyn Augmentation>>,
}

impl Brought {
    /// Error if anything is brought to a model that takes no images of a program.
    pub(crate) fn refuse(&self, model: &str) -> Result<(), TrainError> {
        let refused = |what: &str| {
            let why = format!("{model} takes no {what} of a program: leave it out");
            Err(TrainError::config(what, why))
        };
        match (&self.images, &self.augmentation) {
            (Some(_), _) => refused("images"),
            (_, Some(_)) => refused("augmentation"),
            (None, None) => Ok(()),
        }
    }
}

/// Kind of task. A new one is a file in `tasks/` and a word in its list.
pub trait TaskKind: Sync {
    /// Names of its models.
    fn models(&self) -> Vec<&'static str>;
    /// Groups of models in settings that its models belong to, as `image models`.
    fn groups(&self) -> &'static [&'static str];
    /// Data read by its models.
    fn input(&self) -> Input;
    /// Answers of its models.
    fn output(&self) -> Output;
    /// Use of a trained model: the end of an error about another use of it, after its folder.
    fn usage(&self) -> &'static str;
    /// File of images written beside the usual files of a run.
    fn sheet(&self) -> Option<&'static str> {
        None
    }
    /// Optimizer kind as this kind of task uses it.
    fn optimizer(&self, usual: OptimizerKind) -> OptimizerKind {
        usual
    }
    /// Checks settings before any data is read, beyond the rules of the table.
    ///
    /// # Errors
    /// The first invalid setting.
    fn check(&self, _: &Config) -> Result<(), TrainError> {
        Ok(())
    }
    /// Opens model and data for training.
    ///
    /// # Errors
    /// If the data cannot be read or does not fit the model.
    fn open<'a>(
        &self,
        config: &'a Config,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Task + 'a>, TrainError>;
    /// Evaluates a trained model.
    ///
    /// # Errors
    /// If checkpoint, data or device fail, or the data is unknown to the model.
    fn evaluate(
        &self,
        evaluating: Evaluating<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError>;
    /// Training step or evaluation batch without data.
    ///
    /// # Errors
    /// If the model cannot be built.
    fn workload(&self, config: &Config, assumed: &Assumed) -> Result<Workload, TrainError>;
}
