//! Autoencoder: reconstructs each image from a code of thirty numbers.

use super::freeze::trainable;
use super::gradients::Gradients;
use super::image_data::Preparation;
use super::kind::{Assumed, Brought, Evaluating, Input, Output, TaskKind, Workload};
use super::pictures::{Pictures, inputs, reconstructions, sums};
use super::task::Task;
use crate::evaluation::Evaluation;
use crate::saved::card::ModelCard;
use crate::settings::Config;
use crate::{Observer, TrainError};
use wgrad_graph::{Graph, Tensor};
use wgrad_models::Autoencoder;
use wgrad_nn::{Mode, Net};

/// Reconstruction of images.
pub(super) struct Autoencoding;

static PICTURES: Pictures = Pictures {
    score: "explained variance",
    sheet: "reconstructions.png",
    rows: reconstructions,
    ranks: true,
    preparation: Preparation { side: None, moments: None, drop_last: false, check: |_| Ok(()) },
    usual: (28, 1),
    training,
    answer: None,
    evaluation,
    words: ["images"; 2],
};

impl TaskKind for Autoencoding {
    fn models(&self) -> Vec<&'static str> {
        vec!["autoencoder"]
    }

    fn groups(&self) -> &'static [&'static str] {
        &["image models", "generative models"]
    }

    fn input(&self) -> Input {
        Input::Images
    }

    fn output(&self) -> Output {
        Output::Images
    }

    fn usage(&self) -> &'static str {
        "generates images and has no classes: use `evaluate_checkpoint`"
    }

    fn sheet(&self) -> Option<&'static str> {
        Some(PICTURES.sheet)
    }

    fn open<'a>(
        &self,
        config: &'a Config,
        brought: &Brought,
        observer: &mut dyn Observer,
    ) -> Result<Box<dyn Task + 'a>, TrainError> {
        PICTURES.open(config, brought, observer)
    }

    fn evaluate(
        &self,
        evaluating: Evaluating<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        PICTURES.evaluate(&evaluating, observer)
    }

    fn workload(&self, config: &Config, assumed: &Assumed) -> Result<Workload, TrainError> {
        PICTURES.workload(config, assumed)
    }
}

fn model(card: &ModelCard) -> Autoencoder {
    Autoencoder { width: card.width, ..Autoencoder::default() }
}

fn training(
    card: &ModelCard,
    rows: usize,
    gradients: Gradients<'_>,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let (x, _) = inputs(&net, card, rows);
    let made = model(card).build(&net, &x);
    let missed = (&made - &x).square().sum_all() / (x.square().sum_all() + f64::MIN_POSITIVE);
    let (loss, score) = (made.mse_loss(&x), 1.0 - missed);
    net.builder().output("loss", &loss);
    net.builder().output("correct", &(score * rows as f64));
    gradients.of(&loss, &trainable(&net, freeze)?)?;
    Ok(net)
}

fn evaluation(net: &Net, card: &ModelCard, rows: usize) -> Result<Graph, TrainError> {
    let (x, y) = inputs(net, card, rows);
    let made = model(card).build(net, &x);
    let squares = |t: &Tensor| t.square().sum(&[1, 2, 3]);
    let (missed, all) = (squares(&(&made - &x)), squares(&x));
    let pixels = (x.numel() / rows) as f64;
    Ok(sums(net, &y, &made, [&missed / pixels, &all - &missed, all]))
}
