//! `wgrad train`: collects settings from defaults, a file and flags, then runs the training.

use crate::output::{self, count, seconds, table};
use crate::progress::Progress;
use crate::shape::Shape;
use crate::spelling::{self, Rate, rate};
use crate::{report, runs};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_device::{Device, Request};
use wgrad_train::{Config, Summary, TrainError};

/// Exit code of an interrupted run: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad train\n  \
    wgrad train --data cifar10:./cifar-10-batches-bin --model cifar-cnn --augment flip,crop:4 --epochs 30\n  \
    wgrad train --data folder:./photos --model alexnet --width 0.5 --val-split 0.1 --patience 5\n  \
    wgrad train --model gpt --data text:novel.txt --out runs/novel\n  \
    wgrad train --resume --out runs/lenet-fashion-mini --epochs 30")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Device: auto, gpu, gpu:N, software or cpu [default: auto]
    #[arg(long)]
    device: Option<String>,
    /// Run folder to write [default: runs/MODEL-SOURCE, with a number if taken]
    #[arg(long, value_name = "DIR", aliases = ["output", "output-dir", "out-dir", "save-dir"])]
    out: Option<PathBuf>,
    /// Resume the run in --out, or the newest in runs/; --epochs or --steps extend a finished run, --data gives the new
    /// location of moved data, --lr changes the learning rate
    #[arg(long)]
    resume: bool,
    /// Settings file in the format of a run's config.toml; flags take precedence
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Print JSON lines: start, evaluations, end
    #[arg(long)]
    json: bool,
}

/// Flags for the fields of [`Config`].
#[derive(Clone, clap::Args)]
struct Settings {
    /// Model [default: lenet]
    #[arg(long, value_name = "NAME", aliases = ["arch", "net"], help = format!("{} [default: lenet]", models()))]
    model: Option<String>,
    /// Width multiplier of the model's layers [default: 1]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    width: Option<f64>,
    /// Data source. Images: fashion-mini, mnist:DIR, fashion-mnist:DIR, cifar10:DIR, folder:DIR; images and masks (unet):
    /// masks:DIR; text: shakespeare-mini, text:FILE, text:DIR [default: fashion-mini, shakespeare-mini for language models]
    #[arg(long, value_name = "SPEC", aliases = ["dataset", "data-dir", "data-path"])]
    data: Option<String>,
    /// Number of passes over the training data [default: 15]
    #[arg(long, value_name = "N", conflicts_with = "steps", aliases = ["epoch", "num-epochs", "max-epochs"])]
    epochs: Option<u64>,
    /// Total training steps, instead of --epochs [default for language models: 2000]
    #[arg(long, value_name = "N", aliases = ["max-steps", "num-steps", "iterations", "max-iters"])]
    steps: Option<u64>,
    /// Batch size: images, or rows of text, per step [default: 32; dcgan 64, unet 8, text 12, bert 32]
    #[arg(long, value_name = "N", aliases = ["batch", "batchsize", "bs"])]
    batch_size: Option<usize>,
    /// Gradient accumulation: split each batch into N micro-batches; less memory, the same update [default: 1]
    #[arg(long, value_name = "N", aliases = ["grad-accum", "gradient-accumulation-steps", "accumulate-grad-batches"])]
    accumulate: Option<usize>,
    /// Optimizer [default: adam]
    #[arg(long, value_name = "NAME", alias = "opt", help = format!("{} [default: adam]", optimizers()))]
    optimizer: Option<String>,
    /// Learning rate [default: 0.002; gpt 0.004, bert and autoencoder 0.001, dcgan 0.0002]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = rate, aliases = ["learning-rate", "lr0"])]
    lr: Option<Rate>,
    /// Momentum coefficient, for --optimizer momentum or nesterov [default: 0.9]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    momentum: Option<f64>,
    /// Learning rate schedule: constant, step, cosine, one-cycle or linear-warmup [default: one-cycle]
    #[arg(long)]
    schedule: Option<String>,
    /// Weight decay: L2 penalty, or decoupled (adamw, lamb, lion, muon) [default: 0; adamw 0.01, muon 0.1, language models 0.1]
    #[arg(long, value_name = "F", allow_negative_numbers = true, alias = "wd")]
    weight_decay: Option<f64>,
    /// Exclude biases and normalisation weights from weight decay
    #[arg(long)]
    decay_matrices_only: bool,
    /// Clip the global gradient norm to F
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    clip_norm: Option<f64>,
    /// Clip each gradient element to -F..F
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    clip_value: Option<f64>,
    /// Keep a moving average of the weights, with this decay, for evaluation and prediction, e.g. 0.999
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    ema: Option<f64>,
    /// f32, or f16 to store the operands of matrix products, convolutions and attention as f16 [default: f32]
    #[arg(long, value_name = "NAME")]
    precision: Option<String>,
    /// Label smoothing, e.g. 0.1 [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    label_smoothing: Option<f64>,
    /// Augmentations: none, or a list of flip, crop, resized-crop, rotate, jitter, e.g. flip,crop:4 [default: none]
    #[arg(long, value_name = "LIST")]
    augment: Option<String>,
    /// Mask label excluded from loss and scores: an index, a grey level or a colour, e.g. 255 or '#e0e0c0'
    #[arg(long, value_name = "LABEL")]
    ignore: Option<String>,
    /// Side of the model's square input images, in pixels [default: the model's own]
    #[arg(long, value_name = "N", aliases = ["imgsz", "img-size", "imgsize", "img", "input-size", "resolution"])]
    image_size: Option<usize>,
    /// Fraction of the training data held out for validation [default for text: 0.1]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    val_split: Option<f64>,
    /// Early stopping: end after N evaluations without a lower loss
    #[arg(long, value_name = "N", alias = "early-stopping")]
    patience: Option<u64>,
    /// Start from the weights of another run
    #[arg(long, value_name = "DIR")]
    init_from: Option<String>,
    /// Last layer with --init-from: keep its weights, or new to reinitialise it for other classes [default: keep]
    #[arg(long)]
    head: Option<String>,
    /// Freeze weights whose names match, e.g. 'features.*,*.bias'
    #[arg(long, value_name = "PATTERNS")]
    freeze: Option<String>,
    /// Tokenizer of a language model: char, byte, or bpe:FILE written by `wgrad tokenize` [default: char]
    #[arg(long, value_name = "NAME")]
    tokenizer: Option<String>,
    #[command(flatten)]
    shape: Shape,
    /// Key and value heads of gpt, fewer than --heads for grouped-query attention [default: --heads]
    #[arg(long, value_name = "N")]
    key_heads: Option<usize>,
    /// Use rotary position embeddings in gpt instead of learned ones
    #[arg(long)]
    rotary: bool,
    /// Dropout rate of a language model [default: 0]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    dropout: Option<f64>,
    /// Random seed [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Number of threads decoding and augmenting images [default: 2]
    #[arg(long, value_name = "N", alias = "num-workers")]
    workers: Option<usize>,
    /// Fail on image files that do not decode instead of skipping them
    #[arg(long)]
    strict: bool,
    /// Stop at the first NaN or infinity and report where it arose (slower)
    #[arg(long)]
    detect_anomaly: bool,
    /// Tune kernels not tuned before, then start training
    #[arg(long)]
    tune: bool,
}

impl Settings {
    /// Writes the given flags into `config` and returns their names.
    fn apply(self, config: &mut Config) -> Vec<&'static str> {
        let mut given = Vec::new();
        if self.epochs.is_some() {
            config.steps = None;
        }
        set(&mut given, "--model", self.model, &mut config.model);
        set(&mut given, "--width", self.width, &mut config.width);
        set(&mut given, "--data", self.data, &mut config.data);
        set(&mut given, "--epochs", self.epochs, &mut config.epochs);
        set(&mut given, "--steps", self.steps, &mut config.steps);
        set(&mut given, "--batch-size", self.batch_size, &mut config.batch_size);
        set(&mut given, "--accumulate", self.accumulate, &mut config.accumulate);
        set(&mut given, "--optimizer", self.optimizer, &mut config.optimizer);
        set(&mut given, "--lr", self.lr.and_then(|rate| rate.0), &mut config.lr);
        set(&mut given, "--momentum", self.momentum, &mut config.momentum);
        set(&mut given, "--schedule", self.schedule, &mut config.schedule);
        set(&mut given, "--weight-decay", self.weight_decay, &mut config.weight_decay);
        let matrices = self.decay_matrices_only.then_some(true);
        set(&mut given, "--decay-matrices-only", matrices, &mut config.decay_matrices_only);
        set(&mut given, "--clip-norm", self.clip_norm, &mut config.clip_norm);
        set(&mut given, "--clip-value", self.clip_value, &mut config.clip_value);
        set(&mut given, "--ema", self.ema, &mut config.ema);
        set(&mut given, "--precision", self.precision, &mut config.precision);
        set(&mut given, "--label-smoothing", self.label_smoothing, &mut config.label_smoothing);
        set(&mut given, "--augment", self.augment, &mut config.augment);
        set(&mut given, "--ignore", self.ignore, &mut config.ignore);
        set(&mut given, "--image-size", self.image_size, &mut config.image_size);
        set(&mut given, "--val-split", self.val_split, &mut config.val_split);
        set(&mut given, "--patience", self.patience, &mut config.patience);
        set(&mut given, "--init-from", self.init_from, &mut config.init_from);
        set(&mut given, "--head", self.head, &mut config.head);
        set(&mut given, "--freeze", self.freeze, &mut config.freeze);
        set(&mut given, "--tokenizer", self.tokenizer, &mut config.tokenizer);
        set(&mut given, "--context", self.shape.context, &mut config.context);
        set(&mut given, "--layers", self.shape.layers, &mut config.layers);
        set(&mut given, "--hidden", self.shape.hidden, &mut config.hidden);
        set(&mut given, "--heads", self.shape.heads, &mut config.heads);
        set(&mut given, "--key-heads", self.key_heads, &mut config.key_heads);
        set(&mut given, "--rotary", self.rotary.then_some(true), &mut config.rotary);
        set(&mut given, "--dropout", self.dropout, &mut config.dropout);
        set(&mut given, "--seed", self.seed, &mut config.seed);
        set(&mut given, "--workers", self.workers, &mut config.workers);
        set(&mut given, "--strict", self.strict.then_some(true), &mut config.strict);
        let detect = self.detect_anomaly.then_some(true);
        set(&mut given, "--detect-anomaly", detect, &mut config.detect_anomaly);
        set(&mut given, "--tune", self.tune.then_some(true), &mut config.tune);
        given
    }
}

/// Flags accepted by a resumed run besides --device.
const RESUME_FLAGS: [&str; 6] = ["--epochs", "--steps", "--data", "--patience", "--workers", "--lr"];
/// Flags for image classifiers only.
const IMAGE_FLAGS: [&str; 6] = ["--width", "--augment", "--image-size", "--ignore", "--workers", "--strict"];
/// Flags for language models only.
const TEXT_FLAGS: [&str; 8] =
    ["--tokenizer", "--context", "--layers", "--hidden", "--heads", "--key-heads", "--rotary", "--dropout"];

/// Names of all models, separated by commas.
pub(crate) fn models() -> String {
    let images = wgrad_models::ZOO.iter().map(|m| m.0);
    images
        .chain([wgrad_train::SEGMENTER])
        .chain(wgrad_train::GENERATIVE_MODELS.map(|m| m.0))
        .chain(wgrad_models::TEXT_ZOO.iter().map(|m| m.0))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Names of all optimizers, separated by commas.
pub(crate) fn optimizers() -> String {
    let names: Vec<&str> = wgrad_nn::OPTIMIZERS.iter().map(|o| o.0).collect();
    names.join(", ")
}

fn set<T>(given: &mut Vec<&'static str>, flag: &'static str, value: Option<impl Into<T>>, field: &mut T) {
    if let Some(value) = value {
        given.push(flag);
        *field = value.into();
    }
}

fn wrong(option: &str, why: impl Into<String>) -> TrainError {
    TrainError::Config { option: option.into(), why: why.into() }
}

impl Args {
    /// Settings and folder of a new run.
    fn fresh(&self) -> Result<(Config, PathBuf), TrainError> {
        let mut config = match &self.config {
            None => match &self.settings.model {
                Some(name) => Config::for_model(&spelling::model(name)?),
                None => Config::default(),
            },
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|e| wrong("--config", format!("cannot read {name}: {e}")))?;
                Config::from_toml(&text, &name)?
            }
        };
        let given = self.settings.clone().apply(&mut config);
        config = spelling::settled(config)?;
        config.data = wgrad_train::guess_source(&config.data, &config.model);
        if let Some(device) = &self.device {
            config.device.clone_from(device);
        }
        config.check()?;
        let stray = if config.text_kind().is_some() { &IMAGE_FLAGS[..] } else { &TEXT_FLAGS[..] };
        if let Some(flag) = given.iter().find(|flag| stray.contains(flag)) {
            return Err(wrong(flag, format!("does not apply to {}: leave it out", config.model)));
        }
        if given.contains(&"--momentum") && !["momentum", "nesterov"].contains(&config.optimizer.as_str()) {
            let why = format!("{} has no momentum: use --optimizer momentum or nesterov", config.optimizer);
            return Err(wrong("--momentum", why));
        }
        let out = self.out.clone().unwrap_or_else(|| runs::fresh(&config.model, &config.data));
        Ok((config, out))
    }

    /// Settings and folder of the run to resume.
    fn resumed(&self) -> Result<(Config, PathBuf), TrainError> {
        let mut given = self.settings.clone().apply(&mut Config::default());
        given.extend(self.config.as_ref().map(|_| "--config"));
        given.retain(|flag| !RESUME_FLAGS.contains(flag));
        if !given.is_empty() {
            let why = format!(
                "a resumed run keeps its settings; only {} may change: leave out {}",
                RESUME_FLAGS.join(", "),
                given.join(", ")
            );
            return Err(wrong("--resume", why));
        }
        let out = match &self.out {
            Some(out) => out.clone(),
            None => {
                let newest = runs::newest()?;
                output::note(&format!("note: resuming the newest run, {}", newest.display()));
                newest
            }
        };
        let mut config = wgrad_train::load_config(&out)?;
        self.settings.clone().apply(&mut config);
        config.data = wgrad_train::guess_source(&config.data, &config.model);
        if let Some(device) = &self.device {
            config.device.clone_from(device);
        }
        config.check()?;
        Ok((config, out))
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (config, out) = if args.resume { args.resumed()? } else { args.fresh()? };
    let request: Request = config.device.parse().map_err(TrainError::from)?;
    let (device, selected) = Device::open(&request)?;
    let stop = Arc::new(AtomicBool::new(false));
    let handle = stop.clone();
    ctrlc::set_handler(move || {
        if handle.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        output::note("Stopping after this step; the run will be saved. Ctrl-C again quits now");
    })
    .context("cannot install the Ctrl-C handler")?;
    let mut progress = Progress::new(args.json, config.data.clone(), selected.reason, out.clone());
    let done =
        device.install(|| wgrad_train::train(&config, &out, args.resume, &device, &mut progress, &stop));
    progress.clear();
    let summary = done?;
    if summary.interrupted {
        let out = quoted(&summary.out.display().to_string());
        output::note(&format!(
            "interrupted at step {}: continue with wgrad train --resume --out {out}",
            summary.steps
        ));
    }
    let unit = match config.text_kind() {
        Some(_) => "tokens",
        None if config.is_segmenter() => "pixels",
        None => "images",
    };
    show(&summary, unit, args.json)?;
    Ok(if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Folder name, quoted for a shell if necessary.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_alphanumeric() || "-_./\\:".contains(c));
    if plain { name.into() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// Prints the run's final figures.
fn show(summary: &Summary, unit: &str, json: bool) -> Result<()> {
    let speed = summary.samples as f64 / summary.train_seconds.max(1e-9);
    for doubt in summary.evaluation.iter().flat_map(report::doubts) {
        output::note(&format!("note: {doubt}"));
    }
    if json {
        return output::json_line(&json!({
            "event": "end",
            "interrupted": summary.interrupted,
            "step": summary.steps,
            "device": summary.device,
            "parameters": summary.parameters,
            "train_seconds": summary.train_seconds,
            (format!("{unit}_per_second")): speed,
            "out": summary.out.display().to_string(),
            "epochs": summary.epochs,
            "best_epoch": summary.best.map(|b| b.0),
            "best_loss": summary.best.map(|b| b.1),
            "evaluation": summary.evaluation.as_ref().map(report::json),
        }));
    }
    let Some(evaluation) = &summary.evaluation else { return Ok(()) };
    let weights = match summary.best {
        Some((epoch, loss)) => {
            let (of, watched) = (summary.epochs, summary.watched);
            let chosen = match watched {
                "test" => "; selected on the test images, --val-split F selects on held-out ones",
                _ => "",
            };
            format!("epoch {epoch} of {of}, the lowest {watched} loss ({loss:.4}){chosen}")
        }
        None => format!("epoch {}, the last", summary.epochs),
    };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let speed = match summary.samples {
        0 => "-".into(),
        _ => format!("{} {unit}/s", count(speed as u64)),
    };
    let rows = [
        row("weights", weights),
        row("training time", seconds(summary.train_seconds)),
        row("speed", speed),
        row("device", summary.device.clone()),
        row("written to", summary.out.display().to_string()),
    ];
    output::line(&format!("\n{}\n\n{}", report::text(evaluation), table(&rows, &[1])))
}

#[cfg(test)]
#[path = "train_tests.rs"]
mod tests;
