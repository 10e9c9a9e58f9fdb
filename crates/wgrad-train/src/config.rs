//! Settings of a run, from `config.toml` and the command line.

use crate::TrainError;
use crate::generative::{GENERATIVE_MODELS, GenerativeKind};
use crate::precision::PRECISIONS;
use crate::segmentation::SEGMENTER;
use serde::{Deserialize, Serialize};
use wgrad_data::EMBEDDED_TEXT;
use wgrad_models::{ModelError, ModelKind, TEXT_ZOO, TextKind, TextModel, ZOO};
use wgrad_nn::{Clip, DecayOn, OPTIMIZERS, Optimizer, OptimizerKind, Schedule};

/// Largest batch size; sizes computed from it stay far from overflow.
const MAX_BATCH: usize = 1 << 20;

/// Settings of a training run. Every field has a default; a run's `config.toml` holds them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Model name.
    pub model: String,
    /// Width multiplier of the model's layers.
    pub width: f64,
    /// Data source.
    pub data: String,
    /// Number of passes over the training data.
    pub epochs: u64,
    /// Total training steps; overrides `epochs`.
    pub steps: Option<u64>,
    /// Batch size: images, or rows of text, per step.
    pub batch_size: usize,
    /// Micro-batches per step (gradient accumulation).
    pub accumulate: usize,
    /// Optimizer, by its name in [`OPTIMIZERS`].
    pub optimizer: String,
    /// Base learning rate.
    pub lr: f64,
    /// Momentum coefficient of `momentum` and `nesterov`.
    pub momentum: f64,
    /// Learning rate schedule: `constant`, `step`, `cosine`, `one-cycle` or `linear-warmup`.
    pub schedule: String,
    /// Weight decay: L2 penalty, or decoupled (AdamW, LAMB, Lion, Muon); the optimizer's own default if `None`.
    pub weight_decay: Option<f64>,
    /// Exclude biases and normalisation weights from weight decay.
    pub decay_matrices_only: bool,
    /// Limit of the global gradient norm.
    pub clip_norm: Option<f64>,
    /// Limit of each gradient element's magnitude.
    pub clip_value: Option<f64>,
    /// Decay of a moving average of the weights, used in evaluation.
    pub ema: Option<f64>,
    /// `f32`, or `f16` to store the operands of matrix products as f16.
    pub precision: String,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Augmentations: `none`, or a list like `flip,crop:4`.
    pub augment: String,
    /// Ignored mask label: an index, a grey level or a colour as `#rrggbb`.
    pub ignore: Option<String>,
    /// Side of the model's input images; the model's own if `None`.
    pub image_size: Option<usize>,
    /// Fraction of the training data held out for validation if the source has no validation split.
    pub val_split: Option<f64>,
    /// Early stopping: number of evaluations without a lower validation loss.
    pub patience: Option<u64>,
    /// Fail on files that do not decode instead of skipping them.
    pub strict: bool,
    /// Stop at the first NaN or infinity and report its origin.
    pub detect_anomaly: bool,
    /// Tune kernels not tuned before.
    pub tune: bool,
    /// Folder of a run with initial weights for this one.
    pub init_from: Option<String>,
    /// Last layer with `init_from`: `keep`, or `new` to reinitialise it.
    pub head: String,
    /// Frozen weights: name patterns with `*`, separated by commas.
    pub freeze: Option<String>,
    /// Tokenizer of a language model: `char`, `byte` or `bpe:FILE`.
    pub tokenizer: String,
    /// Context length of a language model, in tokens.
    pub context: Option<usize>,
    /// Number of layers of a language model.
    pub layers: Option<usize>,
    /// Width of a language model's hidden state or residual stream.
    pub hidden: Option<usize>,
    /// Number of attention heads of a GPT.
    pub heads: Option<usize>,
    /// Number of key and value heads; `heads` if `None`.
    pub key_heads: Option<usize>,
    /// Rotary position embeddings in a GPT instead of learned ones.
    pub rotary: bool,
    /// Dropout rate of a language model.
    pub dropout: f64,
    /// Device: `auto`, `gpu`, `gpu:N`, `software` or `cpu`.
    pub device: String,
    /// Random seed of initial values, sample order, augmentation and dropout.
    pub seed: u64,
    /// Number of threads decoding and augmenting images.
    pub workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: "lenet".into(),
            width: 1.0,
            data: "fashion-mini".into(),
            epochs: 15,
            steps: None,
            batch_size: 32,
            accumulate: 1,
            optimizer: "adam".into(),
            lr: 2e-3,
            momentum: 0.9,
            schedule: "one-cycle".into(),
            weight_decay: None,
            decay_matrices_only: false,
            clip_norm: None,
            clip_value: None,
            ema: None,
            precision: "f32".into(),
            label_smoothing: 0.0,
            augment: "none".into(),
            ignore: None,
            image_size: None,
            val_split: None,
            patience: None,
            strict: false,
            detect_anomaly: false,
            tune: false,
            init_from: None,
            head: "keep".into(),
            freeze: None,
            tokenizer: "char".into(),
            context: None,
            layers: None,
            hidden: None,
            heads: None,
            key_heads: None,
            rotary: false,
            dropout: 0.0,
            device: "auto".into(),
            seed: 0,
            workers: 2,
        }
    }
}

impl Config {
    /// Default settings of a model.
    pub fn for_model(model: &str) -> Self {
        if model == SEGMENTER {
            return Self { model: model.into(), data: "masks:".into(), batch_size: 8, ..Self::default() };
        }
        let Some(kind) = TextKind::named(model) else {
            let usual = Self { model: model.into(), ..Self::default() };
            return match GenerativeKind::named(model) {
                Some(GenerativeKind::Autoencoder) => Self { lr: 1e-3, ..usual },
                // From the paper, with its momentum of 0.5.
                Some(GenerativeKind::DcGan) => {
                    Self { lr: 2e-4, schedule: "constant".into(), batch_size: 64, ..usual }
                }
                None => usual,
            };
        };
        let usual = Self {
            model: model.into(),
            data: EMBEDDED_TEXT.into(),
            steps: Some(2000),
            batch_size: 12,
            optimizer: "adamw".into(),
            weight_decay: Some(0.1),
            decay_matrices_only: true,
            clip_norm: Some(1.0),
            schedule: "linear-warmup".into(),
            ..Self::default()
        };
        match kind {
            // Few tokens per batch are masked, and post-norm layers do not tolerate large steps.
            TextKind::Bert => Self { batch_size: 32, lr: 1e-3, ..usual },
            // nanoGPT's recipe for Shakespeare, with a learning rate for a residual stream 128 wide.
            TextKind::Gpt => Self { lr: 4e-3, ..usual },
            TextKind::Recurrent(_) => usual,
        }
    }

    /// These settings with the ones changeable on resume taken from `given`.
    pub(crate) fn resumed_with(self, given: &Self) -> Self {
        Self {
            device: given.device.clone(),
            data: given.data.clone(),
            epochs: given.epochs,
            steps: given.steps,
            patience: given.patience,
            workers: given.workers,
            lr: given.lr,
            ..self
        }
    }

    /// Total training steps, given the number per epoch.
    pub(crate) fn total(&self, batches: usize) -> u64 {
        self.steps.unwrap_or(self.epochs.saturating_mul(batches as u64))
    }

    /// Settings from TOML text; `name` is the file's name for messages.
    ///
    /// # Errors
    /// If the text is not valid TOML or has an unknown field.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, TrainError> {
        // Some editors write a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        toml::from_str(text).map_err(|e| TrainError::config(name, e.message().replace('\n', " ")))
    }

    /// Settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain values")
    }

    /// Checks every number and name, before any file is opened or written.
    ///
    /// # Errors
    /// The first invalid setting, with the valid values.
    pub fn check(&self) -> Result<(), TrainError> {
        let fail = |option: &str, why: String| Err(TrainError::config(option, why));
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return fail("--lr", format!("{} must be a positive number", self.lr));
        }
        if let Some(decay) = self.weight_decay.filter(|v| !(v.is_finite() && *v >= 0.0)) {
            return fail("--weight-decay", format!("{decay} must be 0 or more"));
        }
        for (option, most) in [("--clip-norm", self.clip_norm), ("--clip-value", self.clip_value)] {
            if let Some(most) = most.filter(|v| !(v.is_finite() && *v > 0.0)) {
                return fail(option, format!("{most} must be a positive number"));
            }
        }
        if !PRECISIONS.contains(&self.precision.as_str()) {
            return fail("--precision", format!("unknown {:?}: use f32 or f16", self.precision));
        }
        if self.detect_anomaly && self.precision == "f16" {
            let why = "cannot be combined with --precision f16, whose loss scaling skips steps with overflow";
            return fail("--detect-anomaly", why.into());
        }
        if self.clip_norm.is_some() && self.clip_value.is_some() {
            return fail("--clip-value", "cannot be combined with --clip-norm: choose one".into());
        }
        if let Some(decay) = self.ema.filter(|v| !(*v > 0.0 && *v < 1.0)) {
            return fail("--ema", format!("{decay} must be above 0 and below 1, e.g. 0.999"));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return fail("--momentum", format!("{} must be in [0, 1)", self.momentum));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return fail("--label-smoothing", format!("{} must be in [0, 1)", self.label_smoothing));
        }
        if !(1..=MAX_BATCH).contains(&self.batch_size) {
            return fail("--batch-size", format!("{} must be from 1 to {MAX_BATCH}", self.batch_size));
        }
        if self.accumulate == 0 || !self.batch_size.is_multiple_of(self.accumulate) {
            let why = format!("{} must divide --batch-size {}", self.accumulate, self.batch_size);
            return fail("--accumulate", why);
        }
        if self.epochs == 0 {
            return fail("--epochs", "must be at least 1".into());
        }
        if self.steps == Some(0) {
            return fail("--steps", "must be at least 1".into());
        }
        // The largest integer in TOML.
        let whole = [
            ("--epochs", Some(self.epochs)),
            ("--steps", self.steps),
            ("--seed", Some(self.seed)),
            ("--patience", self.patience),
        ];
        if let Some((option, _)) = whole.iter().find(|w| w.1.is_some_and(|v| v > i64::MAX as u64)) {
            return fail(option, format!("must be at most {}", i64::MAX));
        }
        if !(0..=1024).contains(&self.workers) {
            return fail("--workers", format!("{} must be from 0 to 1024", self.workers));
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return fail("--width", format!("{} must be above 0 and at most 64", self.width));
        }
        if self.val_split.is_some_and(|v| !(v > 0.0 && v < 1.0)) {
            return fail("--val-split", "must be above 0 and below 1".into());
        }
        if self.image_size.is_some_and(|s| s == 0 || s > 4096) {
            return fail("--image-size", "must be from 1 to 4096".into());
        }
        if self.patience == Some(0) {
            return fail("--patience", "must be at least 1".into());
        }
        if !["keep", "new"].contains(&self.head.as_str()) {
            return fail("--head", format!("unknown {:?}: use keep or new", self.head));
        }
        if self.head == "new" && (self.init_from.is_none() || self.text_kind().is_some()) {
            return fail("--head", "new applies to image classifiers with --init-from".into());
        }
        if self.freeze.is_some() && self.ema.is_some() {
            return fail("--ema", "cannot be combined with --freeze: leave one out".into());
        }
        self.check_kind()?;
        self.check_generative()?;
        self.optimizer()?;
        self.schedule()?;
        wgrad_data::parse_augment(&self.augment)?;
        self.device.parse::<wgrad_device::Request>()?;
        Ok(())
    }

    /// Error if the model is unknown or does not accept this kind of data.
    fn check_kind(&self) -> Result<(), TrainError> {
        let text = wgrad_data::is_text(&self.data);
        if self.is_segmenter() != wgrad_data::is_masks(&self.data) {
            let why = if self.is_segmenter() {
                format!("{SEGMENTER} takes images with masks: give masks:DIR")
            } else {
                format!("{} is not a segmenter: use --model {SEGMENTER} for masks:DIR", self.model)
            };
            return Err(TrainError::config("--data", why));
        }
        if self.is_segmenter() {
            return Ok(());
        }
        if self.ignore.is_some() {
            let why = format!("applies to masks, and {} takes none: leave it out", self.model);
            return Err(TrainError::config("--ignore", why));
        }
        match self.text_kind() {
            Some(kind) => {
                if !text {
                    let why =
                        format!("{} takes text: give {EMBEDDED_TEXT}, text:FILE or text:DIR", self.model);
                    return Err(TrainError::config("--data", why));
                }
                self.tokenizer.parse::<wgrad_data::TokenizerChoice>()?;
                // The vocabulary is not known yet: any size will do.
                Ok(self.text_model(kind, 256).check()?)
            }
            None => {
                if self.generative_kind().is_none() {
                    self.model_kind()?;
                }
                if text {
                    let names: Vec<&str> = TEXT_ZOO.iter().map(|m| m.0).collect();
                    let why = format!("{} does not take text: use one of {}", self.model, names.join(", "));
                    return Err(TrainError::config("--model", why));
                }
                Ok(())
            }
        }
    }

    /// Error if a generative model has a setting without effect on it.
    fn check_generative(&self) -> Result<(), TrainError> {
        let Some(kind) = self.generative_kind() else { return Ok(()) };
        let stray = [
            ("--head", self.head != "keep", true),
            ("--label-smoothing", self.label_smoothing != 0.0, true),
            ("--accumulate", self.accumulate != 1, kind == GenerativeKind::DcGan),
            ("--ema", self.ema.is_some(), kind == GenerativeKind::DcGan),
            ("--freeze", self.freeze.is_some(), kind == GenerativeKind::DcGan),
            ("--patience", self.patience.is_some(), kind == GenerativeKind::DcGan),
            ("--precision f16", self.precision == "f16", kind == GenerativeKind::DcGan),
        ];
        match stray.iter().find(|s| s.1 && s.2) {
            Some((option, ..)) => {
                Err(TrainError::config(option, format!("does not apply to {}: leave it out", self.model)))
            }
            None => Ok(()),
        }
    }

    /// Generative model; `None` for other kinds.
    pub fn generative_kind(&self) -> Option<GenerativeKind> {
        GenerativeKind::named(&self.model)
    }

    /// Image classifier.
    ///
    /// # Errors
    /// If no image classifier has this name.
    pub fn model_kind(&self) -> Result<ModelKind, TrainError> {
        self.model.parse().map_err(|_| {
            let names = ZOO
                .iter()
                .map(|m| m.0)
                .chain([SEGMENTER])
                .chain(GENERATIVE_MODELS.map(|m| m.0))
                .chain(TEXT_ZOO.iter().map(|m| m.0));
            let known = names.collect::<Vec<_>>().join(", ");
            ModelError::Unknown { name: self.model.clone(), known }.into()
        })
    }

    /// True for a segmenter.
    pub fn is_segmenter(&self) -> bool {
        self.model == SEGMENTER
    }

    /// Language model; `None` for other kinds.
    pub fn text_kind(&self) -> Option<TextKind> {
        TextKind::named(&self.model)
    }

    /// Language model as configured, with a vocabulary of `vocab` tokens.
    pub fn text_model(&self, kind: TextKind, vocab: usize) -> TextModel {
        let usual = TextModel::new(kind, vocab);
        let heads = self.heads.unwrap_or(usual.heads);
        TextModel {
            context: self.context.unwrap_or(usual.context),
            layers: self.layers.unwrap_or(usual.layers),
            hidden: self.hidden.unwrap_or(usual.hidden),
            heads,
            key_heads: self.key_heads.unwrap_or(heads),
            dropout: self.dropout,
            rotary: self.rotary,
            ..usual
        }
    }

    /// Optimizer as configured.
    ///
    /// # Errors
    /// If no optimizer has this name.
    pub fn optimizer(&self) -> Result<Optimizer, TrainError> {
        let kind = OptimizerKind::named(&self.optimizer).ok_or_else(|| {
            let names: Vec<&str> = OPTIMIZERS.iter().map(|o| o.0).collect();
            let why = format!("unknown {:?}: use one of {}", self.optimizer, names.join(", "));
            TrainError::config("--optimizer", why)
        })?;
        let kind = match kind {
            OptimizerKind::Sgd { momentum, nesterov } if momentum > 0.0 => {
                OptimizerKind::Sgd { momentum: self.momentum, nesterov }
            }
            OptimizerKind::Adam { betas, eps, amsgrad }
                if self.generative_kind() == Some(GenerativeKind::DcGan) =>
            {
                OptimizerKind::Adam { betas: (0.5, betas.1), eps, amsgrad }
            }
            other => other,
        };
        let clip = match (self.clip_norm, self.clip_value) {
            (Some(most), _) => Clip::Norm(most),
            (None, Some(most)) => Clip::Value(most),
            (None, None) => Clip::Off,
        };
        let optimizer = Optimizer::new(kind);
        Ok(optimizer
            .weight_decay(self.weight_decay.unwrap_or(optimizer.weight_decay))
            .decay_on(if self.decay_matrices_only { DecayOn::Matrices } else { DecayOn::All })
            .clip(clip)
            .ema(self.ema)
            .loss_scaling(self.precision == "f16"))
    }

    /// Learning rate schedule as configured.
    ///
    /// # Errors
    /// If no schedule has this name.
    pub fn schedule(&self) -> Result<Schedule, TrainError> {
        Ok(match self.schedule.as_str() {
            "constant" => Schedule::Constant,
            "step" => Schedule::Step { every: 1.0 / 3.0, gamma: 0.1 },
            "cosine" => Schedule::Cosine,
            "one-cycle" => Schedule::OneCycle,
            "linear-warmup" => Schedule::LinearWarmup { share: 0.05 },
            other => {
                let why =
                    format!("unknown {other:?}: use constant, step, cosine, one-cycle or linear-warmup");
                return Err(TrainError::config("--schedule", why));
            }
        })
    }
}
