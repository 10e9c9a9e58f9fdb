//! Evaluation: loss, accuracy and the confusion matrix over a split.

use crate::config::Config;
use crate::data::{eval_loader, padded, pipeline};
use crate::graphs::eval_graph;
use crate::state::{CHECKPOINT, ModelCard, checkpoint_dir, load_card, load_config, restore};
use crate::{Observer, TrainError};
use std::path::Path;
use wgrad_data::{Loader, SourceOptions, Split, open};
use wgrad_device::Device;
use wgrad_nn::ConfusionMatrix;
use wgrad_session::{Runner, Session};

/// Images of an evaluation batch.
pub(crate) const BATCH: usize = 64;

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Labels against predictions.
    pub confusion: ConfusionMatrix,
    /// Class names.
    pub classes: Vec<String>,
    /// What was evaluated.
    pub split: String,
}

/// Runs a split through an evaluation plan.
pub(crate) fn evaluate(
    session: &mut Session,
    runner: &mut Runner,
    card: &ModelCard,
    loader: &Loader,
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
    for batch in loader.epoch(0, 0) {
        let batch = batch?;
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

/// A checkpoint's model on a device, ready to evaluate batches of [`BATCH`].
pub(crate) fn load(path: &Path, device: &Device) -> Result<(ModelCard, Session, Runner), TrainError> {
    let dir = checkpoint_dir(path);
    let card = load_card(&dir)?;
    let graph = eval_graph(&card.image_model()?, BATCH)?;
    let (mut session, runner) = Session::new(device, &graph, &Vec::new(), 0)?;
    restore(&dir, &mut session, false)?;
    Ok((card, session, runner))
}

/// Evaluates a checkpoint on a split of a source: the run's own where `data` is not given.
///
/// # Errors
/// Where the checkpoint, the data or the device fail, or the classes are not the model's.
pub fn evaluate_checkpoint(
    path: &Path,
    data: Option<&str>,
    split: Split,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Evaluation, TrainError> {
    let (card, mut session, mut runner) = load(path, device)?;
    // The checkpoint's own folder may be given, too.
    let run = if path.ends_with(CHECKPOINT) { path.parent().unwrap_or(path) } else { path };
    let config = load_config(run).unwrap_or_else(|_| Config { data: String::new(), ..Config::default() });
    let spec = data.map_or(config.data.clone(), str::to_owned);
    if spec.is_empty() {
        return Err(TrainError::config(
            "--data",
            "this checkpoint does not say what it was trained on: give a source",
        ));
    }
    let options = SourceOptions {
        val_split: config.val_split,
        seed: config.seed,
        strict: config.strict,
        channels: Some(card.channels),
        image_size: Some(card.size.0.max(card.size.1)),
    };
    let dataset = open(&spec, &options)?;
    dataset.warnings.iter().for_each(|w| observer.note(w));
    if dataset.classes != card.classes {
        let why = format!("{spec} has classes {:?}, the model knows {:?}", dataset.classes, card.classes);
        return Err(TrainError::config("--data", why));
    }
    let subset = dataset.subset(split);
    if subset.is_empty() {
        return Err(TrainError::config("--split", format!("{spec} has no such images: try another split")));
    }
    let loader = eval_loader(subset, &pipeline(&card, "none")?, BATCH, config.workers)?;
    let (loss, confusion) = evaluate(&mut session, &mut runner, &card, &loader)?;
    loader.take_warnings().iter().for_each(|w| observer.note(w));
    Ok(Evaluation { loss, confusion, classes: card.classes, split: subset.description().to_owned() })
}
