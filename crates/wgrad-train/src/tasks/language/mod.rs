//! Language modelling: token streams, graphs, evaluation by loss and perplexity.

mod generate;

use super::gradients::Gradients;
use super::kind::{Assumed, Brought, Evaluating, Input, Output, TaskKind, Workload};
use super::labelled::{PADDING, trained};
use super::task::{Feed, Feeds, Sizes, Task, evaluation_net};
use crate::evaluation::{Evaluation, GO_ON, Scores, check};
use crate::numbers::thousands;
use crate::saved::card::{Card, TextCard};
use crate::saved::tensors::restored;
use crate::settings::{Config, Value};
use crate::{Observer, TrainError};
pub use generate::{Generator, Sampling};
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use wgrad_data::{Masking, Streams, TEXT_VAL_SPLIT, TokenBatch, TokenizerChoice, open_text, windows};
use wgrad_graph::{CrossEntropy, Graph, Tensor};
use wgrad_models::{ModelError, TEXT_ZOO, TextKind, TextModel};
use wgrad_nn::{Mode, Net, Optimizer};
use wgrad_session::{Runner, Session};
use wgrad_types::{HostTensor, Type};

/// Language models.
pub(super) struct Language;

/// Windows per evaluation batch.
const ROWS: usize = 32;

/// Language model of the settings, with a vocabulary of `vocab` tokens.
fn model(config: &Config, vocab: usize) -> Result<TextModel, TrainError> {
    let known = || TEXT_ZOO.iter().map(|m| m.0).collect::<Vec<_>>().join(", ");
    let unknown = || ModelError::Unknown { name: config.model.clone(), known: known() };
    let usual = TextModel::new(TextKind::named(&config.model).ok_or_else(unknown)?, vocab);
    let heads = config.heads.unwrap_or(usual.heads);
    let model = TextModel {
        context: config.context.unwrap_or(usual.context),
        layers: config.layers.unwrap_or(usual.layers),
        hidden: config.hidden.unwrap_or(usual.hidden),
        heads,
        key_heads: config.key_heads.unwrap_or(heads),
        dropout: config.dropout,
        rotary: config.rotary,
        ..usual
    };
    model.check()?;
    Ok(model)
}

impl TaskKind for Language {
    fn models(&self) -> Vec<&'static str> {
        TEXT_ZOO.iter().map(|model| model.0).collect()
    }

    fn groups(&self) -> &'static [&'static str] {
        &["language models"]
    }

    fn input(&self) -> Input {
        Input::Text
    }

    fn output(&self) -> Output {
        Output::Text
    }

    fn usage(&self) -> &'static str {
        "is a language model: use `Generator`"
    }

    fn check(&self, config: &Config) -> Result<(), TrainError> {
        // The vocabulary is not known yet: any size will do.
        model(config, 256).map(drop)
    }

    fn open<'a>(
        &self,
        config: &'a Config,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Task + 'a>, TrainError> {
        brought.refuse(&config.model)?;
        Ok(Box::new(TextTask::new(config, observer)?))
    }

    /// Evaluates on the held-out end of a text, on its training part, or on all of it. A text has no test split: the
    /// validation split stands in for it.
    fn evaluate(
        &self,
        evaluating: Evaluating<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        let Evaluating { ref config, ref spec, own, part, .. } = evaluating;
        let card = evaluating.text_card()?;
        let model = card.text_model()?;
        let kept = TokenizerChoice::Kept(card.tokenizer()?);
        let text = open_text(spec, &kept, config.val_split.unwrap_or(TEXT_VAL_SPLIT))?;
        text.warnings.iter().for_each(|w| observer.note(w));
        let (train, held_out, name) = part.halves(own);
        let mut tokens = if train { text.train } else { Vec::new() };
        tokens.extend(if held_out { text.validation } else { Vec::new() });
        if tokens.len() < 2 {
            return Err(TrainError::config("split", format!("{spec} has not enough {name} text")));
        }
        let graph = text_graph(&model, ROWS, None)?;
        let (mut session, mut runner) = restored(&evaluating.dir, &graph, evaluating.device)?;
        let (loss, scores) = score(&mut session, &mut runner, &model, &tokens, &GO_ON)?;
        Ok(Evaluation { loss, split: name.into(), scores })
    }

    fn workload(&self, config: &Config, assumed: &Assumed) -> Result<Workload, TrainError> {
        let model = model(config, assumed.vocabulary)?;
        let optimizer = if assumed.evaluation { None } else { Some(config.optimizer()?) };
        let graph = text_graph(&model, config.batch_size, optimizer.as_ref())?;
        let TextModel { layers, hidden, heads, context, vocab, .. } = model;
        let known = thousands(vocab as u64);
        let caption = format!("({layers} layers of {hidden}), context {context}, {known} tokens");
        let fields = [
            ("layers", layers),
            ("hidden", hidden),
            ("heads", heads),
            ("context", context),
            ("vocabulary", vocab),
        ];
        let fields = fields.map(|(name, n)| (name, Value::Count(n as u64))).to_vec();
        Ok(Workload { graph, caption, fields, unit: "tokens", samples: config.batch_size * context })
    }
}

/// Language model with its text.
struct TextTask {
    card: TextCard,
    model: TextModel,
    streams: Streams,
    masking: Option<Masking>,
    validation: Vec<i32>,
    sizes: Sizes,
    val_split: f64,
    rows: usize,
    label_smoothing: f64,
    freeze: Option<String>,
}

impl TextTask {
    fn new(config: &Config, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let choice: TokenizerChoice = config.tokenizer.parse()?;
        let val_split = config.val_split.unwrap_or(TEXT_VAL_SPLIT);
        let text = open_text(&config.data, &choice, val_split)?;
        text.warnings.iter().for_each(|w| observer.note(w));
        let model = model(config, text.tokenizer.vocabulary())?;
        if text.validation.len() < 2 {
            let why = format!("{} is too short to hold out validation text", config.data);
            return Err(TrainError::config("val_split", why));
        }
        let (train, validation) = (text.train.len(), text.validation.len());
        let streams = Streams::new(text.train, config.batch_size, model.context, config.seed)?;
        Ok(Self {
            card: TextCard::new(&model, &text.tokenizer),
            masking: masking(&model, config.seed),
            model,
            streams,
            validation: text.validation,
            sizes: Sizes { train, validation, test: 0 },
            val_split,
            rows: config.batch_size,
            label_smoothing: config.label_smoothing,
            freeze: config.freeze.clone(),
        })
    }
}

/// Token masking of masked language models.
fn masking(model: &TextModel, seed: u64) -> Option<Masking> {
    model.mask().map(|mask| Masking { vocabulary: model.vocab, mask, padding: PADDING, seed })
}

/// Fixed random draws for masking in evaluation.
const EVALUATION_SEED: u64 = 0;

/// Token and label tensors of a batch.
fn tensors(batch: &TokenBatch, rows: usize, context: usize) -> (HostTensor, HostTensor) {
    (HostTensor::i32(&[rows, context], &batch.x), HostTensor::i32(&[rows, context], &batch.y))
}

/// Inputs and logits of a model, one row per token.
fn logits(net: &Net, model: &TextModel, rows: usize) -> Result<(Tensor, Tensor), TrainError> {
    let ty = Type::i32(&[rows, model.context]);
    let (x, y) = (net.input("x", ty.clone()), net.input("y", ty));
    let tokens = rows * model.context;
    Ok((model.build(net, &x)?.reshape(&[tokens, model.vocab]), y.reshape(&[tokens])))
}

/// Evaluation graph of one batch: outputs `loss` (mean over labels other than padding) and `correct` (count).
fn evaluation(net: &Net, model: &TextModel, rows: usize) -> Result<Graph, TrainError> {
    let (logits, labels) = logits(net, model, rows)?;
    let options = CrossEntropy { ignore_index: PADDING, ..CrossEntropy::default() };
    net.builder().output("loss", &logits.cross_entropy(&labels, options));
    net.builder().output("correct", &logits.correct(&labels));
    Ok(net.builder().graph())
}

/// Graph of a language model's training step on `rows` rows, or of an evaluation batch if there is no optimizer: inputs
/// `x` and `y` `[rows, context]` i32, outputs `loss` (mean) and `correct` (count).
///
/// # Errors
/// If the model cannot be built.
pub fn text_graph(
    model: &TextModel,
    rows: usize,
    optimizer: Option<&Optimizer>,
) -> Result<Graph, TrainError> {
    match optimizer {
        Some(optimizer) => {
            let net = training(model, rows, Gradients::Update(optimizer), 0.0, None)?;
            Ok(net.builder().graph())
        }
        None => evaluation(&Net::new(Mode::Eval), model, rows),
    }
}

fn training(
    model: &TextModel,
    rows: usize,
    gradients: Gradients<'_>,
    label_smoothing: f64,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let (logits, labels) = logits(&net, model, rows)?;
    trained(net, (&logits, &labels), &[], gradients, label_smoothing, freeze)
}

/// Loss and number of correct tokens over a text, window by window: each token is predicted from the ones before it in
/// its window, or a masked one from all others.
fn score(
    session: &mut Session,
    runner: &mut Runner,
    model: &TextModel,
    tokens: &[i32],
    stop: &AtomicBool,
) -> Result<(f64, Scores), TrainError> {
    let (context, masking) = (model.context, masking(model, EVALUATION_SEED));
    let (mut loss, mut correct, mut count) = (0.0, 0.0, 0usize);
    let mut waiting: VecDeque<usize> = VecDeque::new();
    let mut collect = |outputs: wgrad_session::Outputs, labels: usize| {
        loss += f64::from(outputs.scalar("loss")) * labels as f64;
        correct += f64::from(outputs.scalar("correct"));
        count += labels;
    };
    for (number, (batch, labels)) in windows(tokens, ROWS, context, PADDING).enumerate() {
        check(stop)?;
        let (batch, labels) = match &masking {
            None => (batch, labels),
            Some(masking) => {
                let batch = masking.apply(&batch.x, labels, 0, number as u64);
                let hidden = batch.y.iter().filter(|&&y| y != PADDING).count();
                (batch, hidden)
            }
        };
        waiting.push_back(labels);
        let (x, y) = tensors(&batch, ROWS, context);
        runner.step(session, 0, &[("x", &x), ("y", &y)], &[])?;
        while let Some(outputs) = runner.ready()? {
            collect(outputs, waiting.pop_front().expect("a result belongs to a batch"));
        }
    }
    while let Some(outputs) = runner.wait()? {
        collect(outputs, waiting.pop_front().expect("a result belongs to a batch"));
    }
    let scores = Scores::Tokens { count: count as u64, correct: correct as u64 };
    Ok((loss / count.max(1) as f64, scores))
}

impl Task for TextTask {
    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn val_split(&self) -> Option<f64> {
        Some(self.val_split)
    }

    fn card(&self) -> Card {
        Card::Text(self.card.clone())
    }

    fn unit(&self) -> &'static str {
        "tokens"
    }

    fn vocabulary(&self) -> Option<usize> {
        Some(self.model.vocab)
    }

    fn batch_sizes(&self) -> (usize, Option<usize>) {
        (self.rows, None)
    }

    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        training(&self.model, rows, gradients, self.label_smoothing, self.freeze.as_deref())
    }

    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError> {
        evaluation(&evaluation_net(averaged), &self.model, ROWS)
    }

    fn batches_per_epoch(&self) -> usize {
        self.streams.batches_per_epoch()
    }

    fn epoch(&self, epoch: u64, from: usize) -> Feeds<'_> {
        Box::new((from..self.streams.batches_per_epoch()).map(move |i| {
            let batch = self.streams.batch(epoch, i);
            let batch = match &self.masking {
                None => batch,
                Some(masking) => masking.apply(&batch.x, batch.x.len(), epoch, i as u64),
            };
            let (x, y) = tensors(&batch, self.rows, self.model.context);
            Ok(Feed { x, y, rows: self.rows })
        }))
    }

    fn watched(&self) -> &'static str {
        "validation"
    }

    fn judge(
        &self,
        session: &mut Session,
        runner: &mut Runner,
        _: bool,
        stop: &AtomicBool,
    ) -> Result<Evaluation, TrainError> {
        let (loss, scores) = score(session, runner, &self.model, &self.validation, stop)?;
        Ok(Evaluation { loss, split: "validation".into(), scores })
    }

    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
