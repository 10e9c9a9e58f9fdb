//! A run's settings: what `config.toml` holds and the command line sets.

use crate::TrainError;
use crate::generative::{GENERATIVE_MODELS, GenerativeKind};
use crate::precision::PRECISIONS;
use crate::segmentation::SEGMENTER;
use serde::{Deserialize, Serialize};
use wgrad_data::EMBEDDED_TEXT;
use wgrad_models::{ModelError, ModelKind, TEXT_ZOO, TextKind, TextModel, ZOO};
use wgrad_nn::{Clip, DecayOn, OPTIMIZERS, Optimizer, OptimizerKind, Schedule};

/// Images of a step that still make sense; sizes computed from them stay far from overflow.
const MAX_BATCH: usize = 1 << 20;

/// Settings of a training run. Every field has a default; `config.toml` of a run holds them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Model of the zoo.
    pub model: String,
    /// Factor on the model's widths.
    pub width: f64,
    /// Data source.
    pub data: String,
    /// Passes over the training data.
    pub epochs: u64,
    /// Steps in all; overrides `epochs`.
    pub steps: Option<u64>,
    /// Images a step.
    pub batch_size: usize,
    /// Parts that a step's batch is computed in, one after another.
    pub accumulate: usize,
    /// A name of [`OPTIMIZERS`].
    pub optimizer: String,
    /// Base learning rate.
    pub lr: f64,
    /// Momentum of `momentum` and `nesterov`.
    pub momentum: f64,
    /// `constant`, `step`, `cosine`, `one-cycle` or `linear-warmup`.
    pub schedule: String,
    /// L2 penalty, decoupled in AdamW, LAMB, Lion and Muon; the optimizer's own default if not set.
    pub weight_decay: Option<f64>,
    /// Leave biases and norms out of weight decay.
    pub decay_matrices_only: bool,
    /// Largest norm of all gradients together.
    pub clip_norm: Option<f64>,
    /// Largest magnitude of a gradient's element.
    pub clip_value: Option<f64>,
    /// Decay of a moving average of the weights, which is then what evaluation uses.
    pub ema: Option<f64>,
    /// `f32`, or `f16` to store as f16 what products read.
    pub precision: String,
    /// Share of the target spread over all classes.
    pub label_smoothing: f64,
    /// Augmentation: `none`, or a list as `flip,crop:4`.
    pub augment: String,
    /// Label of masks that counts for nothing: an index, a grey level or a colour as `#rrggbb`.
    pub ignore: Option<String>,
    /// Side of the images the model sees; the model's own where not set.
    pub image_size: Option<usize>,
    /// Share of the training data held out for validation where the source has no such split.
    pub val_split: Option<f64>,
    /// Stop after so many evaluations without a lower validation loss.
    pub patience: Option<u64>,
    /// Refuse files that do not decode instead of skipping them.
    pub strict: bool,
    /// Wait for every step, and say where the first value that is no finite number comes from.
    pub detect_anomaly: bool,
    /// Time the forms of kernels not timed before, and take the fastest.
    pub tune: bool,
    /// Folder of a run whose weights this one starts from.
    pub init_from: Option<String>,
    /// `keep`, or `new` to start the last layer afresh.
    pub head: String,
    /// Names of weights that stand still, `*` for anything, separated by commas.
    pub freeze: Option<String>,
    /// A language model's tokens: `char`, `byte` or `bpe:FILE`.
    pub tokenizer: String,
    /// Tokens of a language model's training sequence.
    pub context: Option<usize>,
    /// A language model's layers.
    pub layers: Option<usize>,
    /// Width of its hidden state or residual stream.
    pub hidden: Option<usize>,
    /// Heads of a GPT's attention.
    pub heads: Option<usize>,
    /// Heads of its keys and values; as many as `heads` where not set.
    pub key_heads: Option<usize>,
    /// Rotary positions in a GPT instead of learned ones.
    pub rotary: bool,
    /// A language model's dropout.
    pub dropout: f64,
    /// `auto`, `gpu`, `gpu:N`, `software` or `cpu`.
    pub device: String,
    /// Seed of initial values, order, augmentation, dropout.
    pub seed: u64,
    /// Threads that decode and augment.
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
    /// What a model's training starts from where nothing is set: the defaults for images, masks or text.
    pub fn for_model(model: &str) -> Self {
        if model == SEGMENTER {
            return Self { model: model.into(), data: "masks:".into(), batch_size: 8, ..Self::default() };
        }
        let Some(kind) = TextKind::named(model) else {
            let usual = Self { model: model.into(), ..Self::default() };
            return match GenerativeKind::named(model) {
                Some(GenerativeKind::Autoencoder) => Self { lr: 1e-3, ..usual },
                // The paper's, with its momentum of 0.5.
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
            // Few tokens of a batch are to be told, and norms after the layers stand no large steps.
            TextKind::Bert => Self { batch_size: 32, lr: 1e-3, ..usual },
            // nanoGPT's recipe for Shakespeare, at the rate that suits a stream 128 wide.
            TextKind::Gpt => Self { lr: 4e-3, ..usual },
            TextKind::Recurrent(_) => usual,
        }
    }

    /// These settings with what a resumed run may be given anew.
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

    /// Steps in all, for so many in an epoch.
    pub(crate) fn total(&self, batches: usize) -> u64 {
        self.steps.unwrap_or(self.epochs.saturating_mul(batches as u64))
    }

    /// Settings from TOML text; `name` is the file's, for messages.
    ///
    /// # Errors
    /// Where the text is no TOML or has an unknown field.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, TrainError> {
        // Some editors write a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        toml::from_str(text).map_err(|e| TrainError::config(name, e.message().replace('\n', " ")))
    }

    /// The settings as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain values")
    }

    /// Checks every number and name, before anything is opened or written.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what would.
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
            let why =
                "cannot be combined with --precision f16, which tries large scales and skips what overflows";
            return fail("--detect-anomaly", why.into());
        }
        if self.clip_norm.is_some() && self.clip_value.is_some() {
            return fail("--clip-value", "cannot be combined with --clip-norm: choose one".into());
        }
        if let Some(decay) = self.ema.filter(|v| !(*v > 0.0 && *v < 1.0)) {
            return fail("--ema", format!("{decay} must be above 0 and below 1, as 0.999"));
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
            return fail("--epochs", "there must be at least one".into());
        }
        if self.steps == Some(0) {
            return fail("--steps", "there must be at least one".into());
        }
        // TOML's whole numbers end there.
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
            return fail("--head", "new is for image classifiers that start from --init-from".into());
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

    /// That the model is known and reads what the data is.
    fn check_kind(&self) -> Result<(), TrainError> {
        let text = wgrad_data::is_text(&self.data);
        if self.is_segmenter() != wgrad_data::is_masks(&self.data) {
            let why = if self.is_segmenter() {
                format!("{SEGMENTER} reads pictures with masks: give masks:DIR")
            } else {
                format!("{} gives no class to pixels: use --model {SEGMENTER} for masks:DIR", self.model)
            };
            return Err(TrainError::config("--data", why));
        }
        if self.is_segmenter() {
            return Ok(());
        }
        if self.ignore.is_some() {
            let why = format!("is a label of masks, which {} does not read: leave it out", self.model);
            return Err(TrainError::config("--ignore", why));
        }
        match self.text_kind() {
            Some(kind) => {
                if !text {
                    let why =
                        format!("{} reads text: give {EMBEDDED_TEXT}, text:FILE or text:DIR", self.model);
                    return Err(TrainError::config("--data", why));
                }
                self.tokenizer.parse::<wgrad_data::TokenizerChoice>()?;
                // The tokens are not known yet: any number of them does.
                Ok(self.text_model(kind, 256).check()?)
            }
            None => {
                if self.generative_kind().is_none() {
                    self.model_kind()?;
                }
                if text {
                    let names: Vec<&str> = TEXT_ZOO.iter().map(|m| m.0).collect();
                    let why = format!("{} does not read text: use one of {}", self.model, names.join(", "));
                    return Err(TrainError::config("--model", why));
                }
                Ok(())
            }
        }
    }

    /// That a model that makes pictures is told nothing that only others heed.
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
                Err(TrainError::config(option, format!("is not for {}: leave it out", self.model)))
            }
            None => Ok(()),
        }
    }

    /// The model that makes pictures, where the model is one.
    pub fn generative_kind(&self) -> Option<GenerativeKind> {
        GenerativeKind::named(&self.model)
    }

    /// The image classifier.
    ///
    /// # Errors
    /// Where no image classifier has the name.
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

    /// Whether the model gives every pixel a class.
    pub fn is_segmenter(&self) -> bool {
        self.model == SEGMENTER
    }

    /// The language model, where the model is one.
    pub fn text_kind(&self) -> Option<TextKind> {
        TextKind::named(&self.model)
    }

    /// A language model as set, over so many tokens.
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

    /// The optimizer.
    ///
    /// # Errors
    /// Where no optimizer has the name.
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

    /// The schedule.
    ///
    /// # Errors
    /// Where no schedule has the name.
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
