//! Evaluation: loss and accuracy over a split, confusion matrix of a classifier, perplexity of a language model.

use crate::data::padded;
use crate::generative::{GenerativeKind, generative_graph};
use crate::graphs::eval_graph;
use crate::kept::{checkpoint_dir, run_dir};
use crate::part::{self, Part};
use crate::segmentation::{self, SEGMENTER};
use crate::settings::Config;
use crate::state::{Card, ModelCard, TextCard, fitting, load_card, load_config, other_model};
use crate::{Observer, TrainError, generative_task, spec, text};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_data::{Loader, TEXT_VAL_SPLIT, TokenizerChoice, masked_image_moments, open_text};
use wgrad_device::Device;
use wgrad_graph::Graph;
use wgrad_nn::ConfusionMatrix;
use wgrad_session::{Runner, Session};

/// Images per evaluation batch.
pub(crate) const BATCH: usize = 64;

/// Result of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy, in nats; mean squared difference of an autoencoder.
    pub loss: f64,
    /// Description of the evaluated samples.
    pub split: String,
    /// Scores.
    pub scores: Scores,
}

/// Scores of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub enum Scores {
    /// Scores of a classifier.
    Classes {
        /// Class names.
        names: Vec<String>,
        /// Confusion matrix of labels and predictions.
        confusion: ConfusionMatrix,
        /// True if counts are of pixels, not images.
        pixels: bool,
    },
    /// Scores of a generative image model.
    Pictures {
        /// Number of evaluated images.
        count: u64,
        /// Fraction of variance explained by an autoencoder, or of real and generated images recognised by a discriminator.
        share: f64,
        /// Name of the score.
        what: &'static str,
    },
    /// Scores of a language model.
    Tokens {
        /// Number of predicted tokens.
        count: u64,
        /// Number of correct predictions.
        correct: u64,
    },
}

impl Evaluation {
    /// Fraction of correct predictions (see [`Scores::Pictures`] for generative models); 0 without samples.
    pub fn accuracy(&self) -> f64 {
        match &self.scores {
            Scores::Classes { confusion, .. } => confusion.accuracy(),
            Scores::Pictures { share, .. } => *share,
            Scores::Tokens { count, correct } => *correct as f64 / (*count).max(1) as f64,
        }
    }

    /// Number of evaluated samples.
    pub fn count(&self) -> u64 {
        match &self.scores {
            Scores::Classes { confusion, .. } => confusion.total(),
            Scores::Pictures { count, .. } | Scores::Tokens { count, .. } => *count,
        }
    }

    /// Perplexity of a language model: e to the loss.
    pub fn perplexity(&self) -> Option<f64> {
        matches!(self.scores, Scores::Tokens { .. }).then(|| self.loss.exp())
    }
}

/// [`TrainError::Stopped`] if the caller has requested a stop.
pub(crate) fn check(stop: &AtomicBool) -> Result<(), TrainError> {
    if stop.load(Ordering::Relaxed) { Err(TrainError::Stopped) } else { Ok(()) }
}

/// Stop flag of uninterruptible evaluations.
static GO_ON: AtomicBool = AtomicBool::new(false);

/// Evaluates images with an evaluation plan. `labels` maps classes of the data to those of the model; `stop` ends the
/// evaluation with [`TrainError::Stopped`].
pub(crate) fn evaluate(
    session: &mut Session,
    runner: &mut Runner,
    card: &ModelCard,
    (loaders, labels): (&[&Loader], Option<&[i32]>),
    stop: &AtomicBool,
) -> Result<(f64, ConfusionMatrix), TrainError> {
    let mut confusion = ConfusionMatrix::new(card.classes.len());
    let (mut loss, mut images) = (0.0, 0usize);
    let mut waiting: std::collections::VecDeque<(usize, Vec<i32>)> = std::collections::VecDeque::new();
    let mut collect = |outputs: wgrad_session::Outputs, (len, labels): (usize, Vec<i32>)| {
        loss += f64::from(outputs.scalar("loss")) * len as f64;
        images += len;
        let logits = outputs.get("logits").as_f32();
        for (row, &label) in logits.chunks(card.classes.len()).zip(&labels).take(len) {
            let best = (1..row.len()).fold(0, |b, c| if row[c] > row[b] { c } else { b });
            confusion.add(label as usize, best);
        }
    };
    for batch in loaders.iter().flat_map(|loader| loader.epoch(0, 0)) {
        let mut batch = batch?;
        check(stop)?;
        if let Some(labels) = labels {
            batch.labels.iter_mut().for_each(|label| *label = labels[*label as usize]);
        }
        waiting.push_back((batch.len, batch.labels.clone()));
        let (x, y) = padded(card, batch, BATCH);
        runner.step(session, 0, &[("x", &x), ("y", &y)], &[])?;
        while let Some(outputs) = runner.ready()? {
            collect(outputs, waiting.pop_front().expect("a result belongs to a batch"));
        }
    }
    while let Some(outputs) = runner.wait()? {
        collect(outputs, waiting.pop_front().expect("a result belongs to a batch"));
    }
    Ok((loss / images.max(1) as f64, confusion))
}

/// Classifier of a checkpoint on a device, ready to evaluate batches of `rows` images.
pub(crate) fn load(
    path: &Path,
    batch: usize,
    device: &Device,
) -> Result<(ModelCard, Session, Runner), TrainError> {
    let dir = checkpoint_dir(path);
    let Card::Image(card) = load_card(&dir)? else {
        let why = format!("{} is a language model: use `Generator`", path.display());
        return Err(TrainError::config("checkpoint", why));
    };
    if card.model == SEGMENTER {
        let why = format!("{} is a segmenter: it classifies pixels, not images", path.display());
        return Err(TrainError::config("checkpoint", why));
    }
    if GenerativeKind::named(&card.model).is_some() {
        let why =
            format!("{} generates images and has no classes: use `evaluate_checkpoint`", path.display());
        return Err(TrainError::config("checkpoint", why));
    }
    let (session, runner) = restored(&dir, &eval_graph(&card.image_model()?, batch)?, device)?;
    Ok((card, session, runner))
}

/// Inference session for a graph with a checkpoint's weights, or their moving averages if stored.
pub(crate) fn restored(dir: &Path, graph: &Graph, device: &Device) -> Result<(Session, Runner), TrainError> {
    let names = graph.params().map(|(role, name, _)| (role, name.to_owned())).collect();
    let tensors = fitting(dir, &names, false)?;
    Session::inference(device, graph, &tensors).map_err(|e| other_model(dir, e))
}

/// Training settings of a checkpoint, the source to evaluate on, and true if that is the run's own (the default without
/// `data`).
fn source(path: &Path, data: Option<&str>) -> Result<(Config, String, bool), TrainError> {
    let config = match load_config(&run_dir(path)) {
        Ok(config) => config,
        // A checkpoint may have lost its run; damaged settings of a run are an error.
        Err(TrainError::NoCheckpoint { .. }) => Config { data: String::new(), ..Config::default() },
        Err(damaged) => return Err(damaged),
    };
    let model = config.model.as_str();
    let spec = data.map_or(config.data.clone(), |data| spec::guess_source(data, model));
    if spec.is_empty() {
        return Err(TrainError::config(
            "data",
            "this checkpoint does not name its training data: give a source",
        ));
    }
    spec::check(&spec)?;
    let own = data.is_none_or(|data| part::same(data, &config.data));
    Ok((config, spec, own))
}

/// Evaluates a checkpoint on a part of a source, by default the run's own. Data may lack classes of the model.
///
/// # Errors
/// If the checkpoint, the data or the device fail, or the data has classes or characters unknown to the model.
pub fn evaluate_checkpoint(
    path: &Path,
    data: Option<&str>,
    part: Part,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Evaluation, TrainError> {
    let card = load_card(&checkpoint_dir(path))?;
    let source = source(path, data)?;
    let found = match card {
        Card::Image(card) if card.model == SEGMENTER => {
            evaluate_pixels(path, &source, part, device, observer, &card)
        }
        Card::Image(card) if GenerativeKind::named(&card.model).is_some() => {
            evaluate_pictures(path, &source, part, device, observer, &card)
        }
        Card::Image(_) => evaluate_images(path, &source, part, device, observer),
        Card::Text(card) => evaluate_text(path, &source, part, device, observer, &card),
    };
    let found = found.map_err(|e| if data.is_none() { spec::moved(e, &source.1) } else { e })?;
    if !found.loss.is_finite() {
        observer.note(&format!("the loss is {}: the weights are unusable", found.loss));
    }
    Ok(found)
}

/// Settings of a run, a source, and true if it is the run's own.
type Source = (Config, String, bool);

/// Evaluates a language model on the held-out end of a text, on its training part, or on all of it. A text has no test
/// split: the validation split stands in for it.
fn evaluate_text(
    path: &Path,
    (config, spec, own): &Source,
    part: Part,
    device: &Device,
    observer: &mut dyn Observer,
    card: &TextCard,
) -> Result<Evaluation, TrainError> {
    let model = card.text_model()?;
    let kept = TokenizerChoice::Kept(card.tokenizer()?);
    let text = open_text(spec, &kept, config.val_split.unwrap_or(TEXT_VAL_SPLIT))?;
    text.warnings.iter().for_each(|w| observer.note(w));
    let (train, held_out, name) = part.halves(*own);
    let mut tokens = if train { text.train } else { Vec::new() };
    tokens.extend(if held_out { text.validation } else { Vec::new() });
    if tokens.len() < 2 {
        return Err(TrainError::config("split", format!("{spec} has not enough {name} text")));
    }
    let (mut session, mut runner) =
        restored(&checkpoint_dir(path), &text::text_graph(&model, text::ROWS, None)?, device)?;
    let (loss, scores) = text::score(&mut session, &mut runner, &model, &tokens, &GO_ON)?;
    Ok(Evaluation { loss, split: name.into(), scores })
}

/// Evaluates a segmenter on the held-out images, on the training images, or on all. There is no test split: the
/// validation split stands in for it.
fn evaluate_pixels(
    path: &Path,
    (config, spec, own): &Source,
    part: Part,
    device: &Device,
    observer: &mut dyn Observer,
    card: &ModelCard,
) -> Result<Evaluation, TrainError> {
    let mut images = segmentation::open_for(spec, config, card)?;
    images.warnings.iter().for_each(|w| observer.note(w));
    let labels = part::known(spec, &images.classes, &card.classes)?;
    let moved = masked_image_moments(&images.train, images.channels) == (card.mean.clone(), card.std.clone());
    let (train, held_out, name) = part.halves(*own || moved);
    let mut chosen = if train { std::mem::take(&mut images.train) } else { Vec::new() };
    chosen.extend(if held_out { images.validation } else { Vec::new() });
    let graph = segmentation::pixel_graph(card, segmentation::ROWS, None)?;
    let (mut session, mut runner) = restored(&checkpoint_dir(path), &graph, device)?;
    let labelled = (&chosen[..], Some(&labels[..]));
    let (loss, scores) = segmentation::score(&mut session, &mut runner, card, labelled, &GO_ON)?;
    Ok(Evaluation { loss, split: name.into(), scores })
}

fn evaluate_images(
    path: &Path,
    source: &Source,
    part: Part,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Evaluation, TrainError> {
    let (card, mut session, mut runner) = load(path, BATCH, device)?;
    let found = part::images(source, part, observer, &card)?;
    let labels = part::known(&source.1, &found.classes, &card.classes)?;
    let loaders: Vec<&Loader> = found.loaders.iter().collect();
    let images = (&loaders[..], Some(&labels[..]));
    let (loss, confusion) = evaluate(&mut session, &mut runner, &card, images, &GO_ON)?;
    loaders.iter().flat_map(|l| l.take_warnings()).for_each(|w| observer.note(&w));
    let scores = Scores::Classes { names: card.classes, confusion, pixels: false };
    Ok(Evaluation { loss, split: found.name, scores })
}

/// Evaluates a generative model on images of any class.
fn evaluate_pictures(
    path: &Path,
    source: &Source,
    part: Part,
    device: &Device,
    observer: &mut dyn Observer,
    card: &ModelCard,
) -> Result<Evaluation, TrainError> {
    let found = part::images(source, part, observer, card)?;
    let graph = generative_graph(card, BATCH, None)?;
    let (mut session, mut runner) = restored(&checkpoint_dir(path), &graph, device)?;
    let loaders: Vec<&Loader> = found.loaders.iter().collect();
    let judged = generative_task::judge(&mut session, &mut runner, card, &loaders, &GO_ON)?;
    loaders.iter().flat_map(|l| l.take_warnings()).for_each(|w| observer.note(&w));
    Ok(Evaluation { loss: judged.loss, split: found.name, scores: judged.scores })
}
