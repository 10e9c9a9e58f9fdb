//! Image classification: graphs, training data, evaluation by the confusion matrix, prediction.

use super::gradients::Gradients;
use super::image_data::{BATCH, ImageData, Preparation, padded, pipeline};
use super::kind::{Assumed, Brought, Evaluating, Input, Output, TaskKind, Workload};
use super::labelled::{PADDING, trained};
use super::part;
use super::task::{Feeds, Sizes, Task, evaluation_net};
use crate::evaluation::{Evaluation, GO_ON, Scores, check};
use crate::numbers::thousands;
use crate::saved::card::{Card, ModelCard};
use crate::saved::tensors::restored;
use crate::settings::Config;
use crate::{Observer, TrainError};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use wgrad_data::{Batch, DataError, Loader, Pipeline, decode_levels};
use wgrad_device::Device;
use wgrad_graph::{CrossEntropy, Graph};
use wgrad_models::{ImageModel, ModelKind, ZOO};
use wgrad_nn::{ConfusionMatrix, Mode, Net, Optimizer};
use wgrad_session::{Outputs, Runner, Session, Tensors};
use wgrad_types::Type;

/// Image classifiers.
pub(super) struct Classify;

/// Side of the images if neither model nor caller says.
const SIDE: usize = 28;

/// Preparation of a model's images.
pub(super) fn preparation(model: &str) -> Result<Preparation, TrainError> {
    let kind: ModelKind = model.parse()?;
    Ok(Preparation {
        side: kind.image_size(),
        moments: None,
        drop_last: false,
        check: |card| Ok(card.image_model()?.check()?),
    })
}

impl TaskKind for Classify {
    fn models(&self) -> Vec<&'static str> {
        ZOO.iter().map(|model| model.0).collect()
    }

    fn groups(&self) -> &'static [&'static str] {
        &["image models", "image classifiers"]
    }

    fn input(&self) -> Input {
        Input::Images
    }

    fn output(&self) -> Output {
        Output::Classes
    }

    fn usage(&self) -> &'static str {
        "is an image classifier: use `Predictor`"
    }

    fn open<'a>(
        &self,
        config: &'a Config,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Task + 'a>, TrainError> {
        Ok(Box::new(ImageTask::new(config, brought, observer)?))
    }

    fn evaluate(
        &self,
        evaluating: Evaluating<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        let card = evaluating.image_card()?;
        let graph = eval_graph(&card.image_model()?, BATCH)?;
        let (mut session, mut runner) = restored(&evaluating.dir, &graph, evaluating.device)?;
        let found = part::images(&evaluating, card, preparation(&card.model)?.side, observer)?;
        let labels = part::known(&evaluating.spec, &found.classes, &card.classes)?;
        let loaders: Vec<&Loader> = found.loaders.iter().collect();
        let images = (&loaders[..], Some(&labels[..]));
        let (loss, confusion) = evaluate(&mut session, &mut runner, card, images, &GO_ON)?;
        loaders.iter().flat_map(|l| l.take_warnings()).for_each(|w| observer.note(&w));
        let scores = Scores::Classes { names: card.classes.clone(), confusion, pixels: false };
        Ok(Evaluation { loss, split: found.name, scores })
    }

    fn workload(&self, config: &Config, assumed: &Assumed) -> Result<Workload, TrainError> {
        let kind: ModelKind = config.model.parse()?;
        let grey = matches!(kind, ModelKind::Linear | ModelKind::Mlp | ModelKind::LeNet);
        let usual = (kind.image_size().unwrap_or(SIDE), if grey { 1 } else { 3 });
        let card = assumed.card(config, usual);
        let model = card.image_model()?;
        model.check()?;
        let graph = if assumed.evaluation {
            eval_graph(&model, config.batch_size)?
        } else {
            step_graph(&model, config.batch_size, &config.optimizer()?, config.label_smoothing)?
        };
        let words = format!("images, {} classes", thousands(assumed.classes as u64));
        Ok(Workload::on_images((graph, &card, config.batch_size), "images", &words))
    }
}

/// Graph of one training step, and the initial tensors for a seed: inputs `x` and `y`, outputs `loss` (mean) and `correct`
/// (count).
///
/// # Errors
/// If the model cannot be built.
pub fn train_graph(
    model: &ImageModel,
    batch: usize,
    optimizer: &Optimizer,
    label_smoothing: f64,
    seed: u64,
) -> Result<(Graph, Tensors), TrainError> {
    let net = training(model, batch, Gradients::Update(optimizer), label_smoothing, None)?;
    Ok((net.builder().graph(), net.initial(seed)))
}

/// Graph of [`train_graph`], without drawing initial tensors.
///
/// # Errors
/// If the model cannot be built.
pub fn step_graph(
    model: &ImageModel,
    batch: usize,
    optimizer: &Optimizer,
    label_smoothing: f64,
) -> Result<Graph, TrainError> {
    Ok(training(model, batch, Gradients::Update(optimizer), label_smoothing, None)?.builder().graph())
}

/// Network of [`train_graph`]; weights matching `freeze` are frozen.
fn training(
    model: &ImageModel,
    batch: usize,
    gradients: Gradients<'_>,
    label_smoothing: f64,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let (x, y) = (net.input("x", model.input(batch)), net.input("y", Type::i32(&[batch])));
    let (logits, heads) = model.build_for_training(&net, &x)?;
    trained(net, (&logits, &y), &heads, gradients, label_smoothing, freeze)
}

/// Graph of one evaluation batch: inputs `x` and `y`, outputs `logits` and `loss` (mean over all rows but padding).
///
/// # Errors
/// If the model cannot be built.
pub fn eval_graph(model: &ImageModel, batch: usize) -> Result<Graph, TrainError> {
    evaluation(&Net::new(Mode::Eval), model, batch)
}

fn evaluation(net: &Net, model: &ImageModel, batch: usize) -> Result<Graph, TrainError> {
    let (x, y) = (net.input("x", model.input(batch)), net.input("y", Type::i32(&[batch])));
    let logits = model.build(net, &x)?;
    let options = CrossEntropy { ignore_index: PADDING, ..CrossEntropy::default() };
    net.builder().output("logits", &logits);
    net.builder().output("loss", &logits.cross_entropy(&y, options));
    Ok(net.builder().graph())
}

/// Evaluates images with an evaluation plan. `labels` maps classes of the data to those of the model; `stop` ends the
/// evaluation with [`TrainError::Stopped`].
fn evaluate(
    session: &mut Session,
    runner: &mut Runner,
    card: &ModelCard,
    (loaders, labels): (&[&Loader], Option<&[i32]>),
    stop: &AtomicBool,
) -> Result<(f64, ConfusionMatrix), TrainError> {
    let mut confusion = ConfusionMatrix::new(card.classes.len());
    let (mut loss, mut images) = (0.0, 0usize);
    let mut waiting: VecDeque<(usize, Vec<i32>)> = VecDeque::new();
    let mut collect = |outputs: Outputs, (len, labels): (usize, Vec<i32>)| {
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

/// Classifier with its images.
struct ImageTask<'a> {
    config: &'a Config,
    image_data: ImageData,
    model: ImageModel,
}

impl<'a> ImageTask<'a> {
    fn new(config: &'a Config, brought: &Brought, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let image_data = ImageData::new(config, &preparation(&config.model)?, brought, observer)?;
        let model = image_data.prepared.card.image_model()?;
        Ok(Self { config, image_data, model })
    }
}

impl Task for ImageTask<'_> {
    fn sizes(&self) -> Sizes {
        self.image_data.sizes()
    }

    fn val_split(&self) -> Option<f64> {
        self.image_data.prepared.val_split
    }

    fn card(&self) -> Card {
        Card::Image(self.image_data.prepared.card.clone())
    }

    fn unit(&self) -> &'static str {
        "images"
    }

    fn class_counts(&self) -> Vec<u64> {
        let (card, train) = (&self.image_data.prepared.card, &self.image_data.prepared.dataset.train);
        let mut counts = vec![0; card.classes.len()];
        (0..train.len()).for_each(|i| counts[train.label(i)] += 1);
        counts
    }

    fn batch_sizes(&self) -> (usize, Option<usize>) {
        let images = self.image_data.prepared.dataset.train.len();
        let full = self.config.batch_size.min(images);
        (full, Some(images % full).filter(|&rest| rest > 0))
    }

    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        let (smoothing, freeze) = (self.config.label_smoothing, self.config.freeze.as_deref());
        training(&self.model, rows, gradients, smoothing, freeze)
    }

    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError> {
        evaluation(&evaluation_net(averaged), &self.model, BATCH)
    }

    fn batches_per_epoch(&self) -> usize {
        self.image_data.loader.batches_per_epoch()
    }

    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_> {
        self.image_data.epoch(epoch, from)
    }

    fn watched(&self) -> &'static str {
        self.image_data.watched_name
    }

    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        final_test: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError> {
        let card = &self.image_data.prepared.card;
        let judge = |loader: &_| evaluate(session, runner, card, (&[loader], None), stop);
        let ((loss, confusion), split) = self.image_data.judged(final_test, judge)?;
        let scores = Scores::Classes { names: card.classes.clone(), confusion, pixels: false };
        Ok(Evaluation { loss, split: split.into(), scores })
    }

    fn take_warnings(&self) -> Vec<String> {
        self.image_data.loader.take_warnings()
    }
}

/// Predicted class with its probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// Class name.
    pub class: String,
    /// Softmax probability.
    pub probability: f64,
}

/// Loaded classifier.
pub struct Predictor {
    card: ModelCard,
    session: Session,
    runner: Runner,
    pipeline: Pipeline,
    /// Images per batch.
    batch: usize,
}

impl Predictor {
    /// Classifier of a description and its checkpoint `dir`, for about `images` images.
    pub(crate) fn new(
        dir: &Path,
        card: ModelCard,
        images: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let batch = images.clamp(1, BATCH);
        let (session, runner) = restored(dir, &eval_graph(&card.image_model()?, batch)?, device)?;
        let pipeline = pipeline(&card, "none")?;
        Ok(Self { card, session, runner, pipeline, batch })
    }

    /// Images per batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Most probable `top` classes per image, best first, ties in class order; or the reason for not decoding.
    ///
    /// # Errors
    /// If the device fails.
    pub fn predict(
        &mut self,
        images: &[impl AsRef<Path>],
        top: usize,
    ) -> Result<Vec<Result<Vec<Guess>, DataError>>, TrainError> {
        let mut guesses = Vec::new();
        for paths in images.chunks(self.batch) {
            let prepared = |path: &_| {
                let image = decode_levels(path, self.card.channels, self.card.reading.levels())?;
                self.pipeline.apply(&image, None)
            };
            let prepared: Vec<Result<Vec<f32>, DataError>> = paths.iter().map(prepared).collect();
            let len = prepared.iter().filter(|p| p.is_ok()).count();
            let images = prepared.iter().flatten().flatten().copied().collect();
            if len == 0 {
                guesses.extend(prepared.into_iter().filter_map(Result::err).map(Err));
                continue;
            }
            let batch = Batch { images, labels: vec![0; len], len, indices: Vec::new() };
            let (x, y) = padded(&self.card, batch, self.batch);
            self.runner.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
            let outputs = self.runner.wait()?.expect("a step is under way");
            let mut rows = outputs.get("logits").as_f32().chunks(self.card.classes.len());
            let mut guess = |_| self.rank(rows.next().expect("one row per image"), top);
            guesses.extend(prepared.into_iter().map(|found| found.map(&mut guess)));
        }
        Ok(guesses)
    }

    fn rank(&self, logits: &[f32], top: usize) -> Vec<Guess> {
        let most = logits.iter().fold(f64::MIN, |m, &v| m.max(f64::from(v)));
        let weights: Vec<f64> = logits.iter().map(|&v| (f64::from(v) - most).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut guesses: Vec<Guess> = weights
            .iter()
            .zip(&self.card.classes)
            .map(|(w, class)| Guess { class: class.clone(), probability: w / total })
            .collect();
        guesses.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        guesses.truncate(top.max(1));
        guesses
    }
}
