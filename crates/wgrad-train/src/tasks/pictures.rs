//! Generative image models: their training data, evaluation, and a sheet of generated images.

use super::gradients::Gradients;
use super::image_data::{BATCH, ImageData, Preparation, padded};
use super::kind::{Assumed, Brought, Evaluating, Workload};
use super::part;
use super::task::{Feeds, Sizes, Task, evaluation_net};
use crate::evaluation::{Evaluation, GO_ON, Scores, check};
use crate::saved::card::{Card, ModelCard};
use crate::saved::tensors::restored;
use crate::settings::Config;
use crate::{Observer, TrainError};
use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use wgrad_data::Loader;
use wgrad_graph::{Graph, Tensor};
use wgrad_nn::{Mode, Net, Optimizer};
use wgrad_session::{Runner, Session};
use wgrad_types::Type;

/// Images on a sheet: two rows of eight, each above its reconstructions; or four rows of samples.
const SHOWN: usize = 16;
const COLUMNS: usize = 8;
/// Gap between images, in pixels.
const GAP: usize = 2;

/// Graph of a training step.
type Training = fn(&ModelCard, usize, Gradients<'_>, Option<&str>) -> Result<Net, TrainError>;

/// Graph of a step run after each training step.
type Answer = fn(&ModelCard, usize, &Optimizer) -> Result<Graph, TrainError>;

/// Arrangement of images on a sheet.
type Rows = for<'a> fn(&[&'a [f32]], &[&'a [f32]]) -> Vec<Vec<&'a [f32]>>;

/// Facts and graphs of a generative model.
pub(super) struct Pictures {
    /// Name of its score.
    pub score: &'static str,
    /// File name of its sheet.
    pub sheet: &'static str,
    /// Rows of the sheet, of the inputs of an evaluation and the images generated.
    pub rows: Rows,
    /// True if a lower loss on the monitored split means better weights.
    pub ranks: bool,
    pub preparation: Preparation,
    /// Side and channels of its images, without data.
    pub usual: (usize, usize),
    /// Training step: inputs as [`inputs`], outputs `loss` (mean) and `correct` (the score times the rows).
    pub training: Training,
    /// Step run after each training step, without inputs.
    pub answer: Option<Answer>,
    /// Evaluation batch: outputs as [`sums`] adds them.
    pub evaluation: fn(&Net, &ModelCard, usize) -> Result<Graph, TrainError>,
    /// End of the caption of a training step and of an evaluation batch.
    pub words: [&'static str; 2],
}

impl Pictures {
    pub(super) fn open<'a>(
        &'static self,
        config: &'a Config,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Task + 'a>, TrainError> {
        let image_data = ImageData::new(config, &self.preparation, brought, observer)?;
        Ok(Box::new(PictureTask { config, pictures: self, image_data, sheet: RefCell::default() }))
    }

    /// Evaluates a trained model on images of any class.
    pub(super) fn evaluate(
        &self,
        evaluating: &Evaluating<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        let card = evaluating.image_card()?;
        let found = part::images(evaluating, card, self.preparation.side, observer)?;
        (self.preparation.check)(card)?;
        let graph = (self.evaluation)(&Net::new(Mode::Eval), card, BATCH)?;
        let (mut session, mut runner) = restored(&evaluating.dir, &graph, evaluating.device)?;
        let loaders: Vec<&Loader> = found.loaders.iter().collect();
        let judged = judge(&mut session, &mut runner, card, (&loaders, self.score), &GO_ON)?;
        loaders.iter().flat_map(|l| l.take_warnings()).for_each(|w| observer.note(&w));
        Ok(Evaluation { loss: judged.loss, split: found.name, scores: judged.scores })
    }

    pub(super) fn workload(&self, config: &Config, assumed: &Assumed) -> Result<Workload, TrainError> {
        let (card, rows) = (assumed.card(config, self.usual), config.batch_size);
        (self.preparation.check)(&card)?;
        let graph = match assumed.evaluation {
            true => (self.evaluation)(&Net::new(Mode::Eval), &card, rows)?,
            false => {
                let optimizer = config.optimizer()?;
                (self.training)(&card, rows, Gradients::Update(&optimizer), None)?.builder().graph()
            }
        };
        let words = self.words[usize::from(assumed.evaluation)];
        Ok(Workload::on_images((graph, &card, rows), "images", words))
    }
}

/// Inputs `x` (images) and `y` (labels; negative for padding, otherwise ignored).
pub(super) fn inputs(net: &Net, card: &ModelCard, rows: usize) -> (Tensor, Tensor) {
    let x = Type::f32(&[rows, card.channels, card.size.0, card.size.1]);
    (net.input("x", x), net.input("y", Type::i32(&[rows])))
}

/// Adds the outputs of an evaluation batch, sums over all rows but padding: `loss_sum`, and `score_sum` and
/// `score_total`, the score's numerator and denominator; and the `generated` images.
pub(super) fn sums(net: &Net, y: &Tensor, made: &Tensor, [loss, score, total]: [Tensor; 3]) -> Graph {
    let counts = y.ge(&y.zeros_like()).to_f32();
    net.builder().output("generated", made);
    for (name, sum) in [("loss_sum", loss), ("score_sum", score), ("score_total", total)] {
        net.builder().output(name, &(sum * &counts).sum_all());
    }
    net.builder().graph()
}

/// Generative model with its training images.
struct PictureTask<'a> {
    config: &'a Config,
    pictures: &'static Pictures,
    image_data: ImageData,
    sheet: RefCell<Option<Vec<u8>>>,
}

/// Result of an evaluation, with the first generated images and their inputs.
struct Judged {
    loss: f64,
    scores: Scores,
    made: Vec<f32>,
    seen: Vec<f32>,
}

/// Evaluates images with an evaluation plan by the score `what`; `stop` ends it with [`TrainError::Stopped`].
fn judge(
    session: &mut Session,
    runner: &mut Runner,
    card: &ModelCard,
    (loaders, what): (&[&Loader], &'static str),
    stop: &AtomicBool,
) -> Result<Judged, TrainError> {
    let (mut loss, mut score, mut total, mut count) = (0.0, 0.0, 0.0, 0u64);
    let (mut made, mut seen) = (Vec::new(), Vec::new());
    for batch in loaders.iter().flat_map(|loader| loader.epoch(0, 0)) {
        let batch = batch?;
        check(stop)?;
        let len = batch.len;
        let (x, y) = padded(card, batch, BATCH);
        runner.step(session, 0, &[("x", &x), ("y", &y)], &[])?;
        let outputs = runner.wait()?.expect("a step is under way");
        if count == 0 {
            let shown = len.min(SHOWN) * x.as_f32().len() / BATCH;
            seen = x.as_f32()[..shown].to_vec();
            made = outputs.get("generated").as_f32().to_vec();
        }
        count += len as u64;
        let sum = |name: &str| f64::from(outputs.scalar(name));
        loss += sum("loss_sum");
        score += sum("score_sum");
        total += sum("score_total");
    }
    let share = if total > 0.0 { score / total } else { 0.0 };
    let loss = loss / count.max(1) as f64;
    Ok(Judged { loss, scores: Scores::Pictures { count, share, what }, made, seen })
}

/// Rows of a sheet: inputs, each row above its reconstructions.
pub(super) fn reconstructions<'a>(seen: &[&'a [f32]], made: &[&'a [f32]]) -> Vec<Vec<&'a [f32]>> {
    let shown = SHOWN.min(seen.len());
    let rows = seen[..shown].chunks(COLUMNS).zip(made.chunks(COLUMNS));
    rows.flat_map(|(seen, made)| [seen.to_vec(), made[..seen.len()].to_vec()]).collect()
}

/// Rows of a sheet: generated images.
pub(super) fn samples<'a>(_: &[&'a [f32]], made: &[&'a [f32]]) -> Vec<Vec<&'a [f32]>> {
    made[..made.len().min(2 * SHOWN)].chunks(COLUMNS).map(<[_]>::to_vec).collect()
}

/// Sheet as PNG.
fn sheet(card: &ModelCard, pictures: &Pictures, judged: &Judged) -> Result<Vec<u8>, TrainError> {
    let (height, width) = card.size;
    let size = card.channels * height * width;
    let (seen, made): (Vec<&[f32]>, Vec<&[f32]>) =
        (judged.seen.chunks(size).collect(), judged.made.chunks(size).collect());
    let rows = (pictures.rows)(&seen, &made);
    let side = |n: usize, of: usize| (n * (of + GAP) + GAP) as u32;
    let white = image::Rgb([255; 3]);
    let mut png = image::RgbImage::from_pixel(side(COLUMNS, width), side(rows.len(), height), white);
    for (i, row) in rows.iter().enumerate() {
        for (j, picture) in row.iter().enumerate() {
            for at in 0..height * width {
                let level = |c: usize| {
                    let c = c % card.channels;
                    let v = picture[c * height * width + at] * card.std[c] + card.mean[c];
                    (v.clamp(0.0, 1.0) * 255.0).round() as u8
                };
                let (x, y) = (side(j, width) as usize + at % width, side(i, height) as usize + at / width);
                png.put_pixel(x as u32, y as u32, image::Rgb([level(0), level(1), level(2)]));
            }
        }
    }
    let mut bytes = std::io::Cursor::new(Vec::new());
    let fail = |e: image::ImageError| TrainError::file(pictures.sheet, e.to_string());
    png.write_to(&mut bytes, image::ImageFormat::Png).map_err(fail)?;
    Ok(bytes.into_inner())
}

impl Task for PictureTask<'_> {
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

    fn score(&self) -> &'static str {
        self.pictures.score
    }

    fn ranks(&self) -> bool {
        self.pictures.ranks
    }

    fn batch_sizes(&self) -> (usize, Option<usize>) {
        let images = self.image_data.prepared.dataset.train.len();
        let full = self.config.batch_size.min(images);
        let rest = Some(images % full).filter(|&rest| rest > 0 && !self.pictures.preparation.drop_last);
        (full, rest)
    }

    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        let (card, freeze) = (&self.image_data.prepared.card, self.config.freeze.as_deref());
        (self.pictures.training)(card, rows, gradients, freeze)
    }

    fn answer(&self, rows: usize, optimizer: &Optimizer) -> Result<Option<Graph>, TrainError> {
        let card = &self.image_data.prepared.card;
        self.pictures.answer.map(|answer| answer(card, rows, optimizer)).transpose()
    }

    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError> {
        (self.pictures.evaluation)(&evaluation_net(averaged), &self.image_data.prepared.card, BATCH)
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
        let judge = |loader: &_| judge(session, runner, card, (&[loader], self.pictures.score), stop);
        let (judged, split) = self.image_data.judged(final_test, judge)?;
        *self.sheet.borrow_mut() = Some(sheet(card, self.pictures, &judged)?);
        Ok(Evaluation { loss: judged.loss, split: split.into(), scores: judged.scores })
    }

    fn picture(&self) -> Option<(&'static str, Vec<u8>)> {
        self.sheet.take().map(|png| (self.pictures.sheet, png))
    }

    fn take_warnings(&self) -> Vec<String> {
        self.image_data.loader.take_warnings()
    }
}
