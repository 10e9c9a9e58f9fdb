//! Generative image task: loaders of unlabelled images, evaluation, and a sheet of generated images.

use crate::data::padded;
use crate::evaluate::{BATCH, Evaluation, Scores, check};
use crate::generative::{self, GenerativeKind};
use crate::image_data::ImageData;
use crate::settings::Config;
use crate::state::{Card, ModelCard};
use crate::task::{Feeds, Gradients, Sizes, Task};
use crate::{Observer, TrainError};
use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use wgrad_data::Loader;
use wgrad_graph::Graph;
use wgrad_nn::{Mode, Net, Optimizer};
use wgrad_session::{Runner, Session};

/// Images on a sheet: two rows of eight, each above its reconstructions; or four rows of samples.
const SHOWN: usize = 16;
const COLUMNS: usize = 8;
/// Gap between images, in pixels.
const GAP: usize = 2;

/// Generative model with its training images.
pub(crate) struct GenerativeTask<'a> {
    config: &'a Config,
    kind: GenerativeKind,
    image_data: ImageData,
    sheet: RefCell<Option<Vec<u8>>>,
}

impl<'a> GenerativeTask<'a> {
    pub(crate) fn new(
        config: &'a Config,
        kind: GenerativeKind,
        observer: &mut dyn Observer,
    ) -> Result<Self, TrainError> {
        // DCGAN trains on full batches only; a small data set is one batch.
        let image_data = ImageData::new(config, kind == GenerativeKind::DcGan, observer)?;
        Ok(Self { config, kind, image_data, sheet: RefCell::default() })
    }
}

/// Result of an evaluation, with the first generated images and their inputs.
pub(crate) struct Judged {
    pub loss: f64,
    pub scores: Scores,
    made: Vec<f32>,
    seen: Vec<f32>,
}

/// Evaluates images with an evaluation plan; `stop` ends it with [`TrainError::Stopped`].
pub(crate) fn judge(
    session: &mut Session,
    runner: &mut Runner,
    card: &ModelCard,
    loaders: &[&Loader],
    stop: &AtomicBool,
) -> Result<Judged, TrainError> {
    let what = GenerativeKind::named(&card.model).map_or("", GenerativeKind::score);
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

/// Sheet as PNG: rows of inputs, each above its reconstructions, or rows of samples.
fn sheet(card: &ModelCard, kind: GenerativeKind, judged: &Judged) -> Result<Vec<u8>, TrainError> {
    let (height, width) = card.size;
    let size = card.channels * height * width;
    let mut rows: Vec<Vec<&[f32]>> = Vec::new();
    match kind {
        GenerativeKind::Autoencoder => {
            let (seen, made) = (judged.seen.chunks(size), judged.made.chunks(size));
            let pairs: Vec<(&[f32], &[f32])> = seen.zip(made).take(SHOWN).collect();
            for pairs in pairs.chunks(COLUMNS) {
                rows.push(pairs.iter().map(|p| p.0).collect());
                rows.push(pairs.iter().map(|p| p.1).collect());
            }
        }
        GenerativeKind::DcGan => {
            let made: Vec<&[f32]> = judged.made.chunks(size).take(2 * SHOWN).collect();
            rows.extend(made.chunks(COLUMNS).map(<[_]>::to_vec));
        }
    }
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
    let fail = |e: image::ImageError| TrainError::file(kind.sheet(), e.to_string());
    png.write_to(&mut bytes, image::ImageFormat::Png).map_err(fail)?;
    Ok(bytes.into_inner())
}

impl Task for GenerativeTask<'_> {
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
        self.kind.score()
    }

    /// False for DCGAN: each network's loss depends on the other's skill.
    fn ranks(&self) -> bool {
        self.kind != GenerativeKind::DcGan
    }

    fn batch_sizes(&self) -> (usize, Option<usize>) {
        let images = self.image_data.prepared.dataset.train.len();
        let full = self.config.batch_size.min(images);
        let rest = Some(images % full).filter(|&rest| rest > 0 && self.kind != GenerativeKind::DcGan);
        (full, rest)
    }

    fn training(&self, rows: usize, gradients: Gradients<'_>) -> Result<Net, TrainError> {
        generative::training(&self.image_data.prepared.card, rows, gradients, self.config.freeze.as_deref())
    }

    fn answer(&self, rows: usize, optimizer: &Optimizer) -> Result<Option<Graph>, TrainError> {
        generative::answer(&self.image_data.prepared.card, rows, optimizer)
    }

    fn evaluation(&self, averaged: bool) -> Result<Graph, TrainError> {
        let net = if averaged { Net::averaged() } else { Net::new(Mode::Eval) };
        generative::evaluation(&net, &self.image_data.prepared.card, BATCH)
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
        let judge = |loader: &_| judge(session, runner, card, &[loader], stop);
        let (judged, split) = self.image_data.judged(final_test, judge)?;
        *self.sheet.borrow_mut() = Some(sheet(card, self.kind, &judged)?);
        Ok(Evaluation { loss: judged.loss, split: split.into(), scores: judged.scores })
    }

    fn picture(&self) -> Option<(&'static str, Vec<u8>)> {
        self.sheet.take().map(|png| (self.kind.sheet(), png))
    }

    fn take_warnings(&self) -> Vec<String> {
        self.image_data.loader.take_warnings()
    }
}
