//! DCGAN: images from noise, by separate steps for discriminator and generator.

use super::freeze::trainable;
use super::gradients::Gradients;
use super::image_data::Preparation;
use super::kind::{Assumed, Brought, Evaluating, Input, Output, TaskKind, Workload};
use super::pictures::{Pictures, inputs, samples, sums};
use super::task::Task;
use crate::evaluation::Evaluation;
use crate::saved::card::ModelCard;
use crate::settings::Config;
use crate::{Observer, TrainError};
use wgrad_graph::{Graph, Tensor};
use wgrad_models::DcGan;
use wgrad_nn::{Mode, Net, Optimizer, OptimizerKind};

/// Generative adversarial networks.
pub(super) struct Gan;

/// Side of the images if none is set.
const SIDE: usize = 32;

static PICTURES: Pictures = Pictures {
    score: "discriminator accuracy",
    sheet: "samples.png",
    rows: samples,
    // Each network's loss depends on the other's skill.
    ranks: false,
    preparation: Preparation {
        side: Some(SIDE),
        // The generator's images range from -1 to 1.
        moments: Some((0.5, 0.5)),
        // A small data set is one batch.
        drop_last: true,
        check,
    },
    usual: (SIDE, 3),
    training,
    answer: Some(answer),
    evaluation,
    words: ["images, the discriminator's half of a step", "images"],
};

impl TaskKind for Gan {
    fn models(&self) -> Vec<&'static str> {
        vec!["dcgan"]
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

    fn optimizer(&self, usual: OptimizerKind) -> OptimizerKind {
        match usual {
            // From the paper.
            OptimizerKind::Adam { betas, eps, amsgrad } => {
                OptimizerKind::Adam { betas: (0.5, betas.1), eps, amsgrad }
            }
            other => other,
        }
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

/// Name prefixes of the weights of DCGAN's two networks.
const NETWORKS: [&str; 2] = ["discriminator.", "generator."];

fn model(card: &ModelCard) -> DcGan {
    let usual = DcGan::new(card.channels);
    let width = (usual.width as f64 * card.width).round() as usize;
    DcGan { side: card.size.0, width: width.max(1), ..usual }
}

/// Error if the model cannot be built.
fn check(card: &ModelCard) -> Result<(), TrainError> {
    if card.size.0 != card.size.1 {
        return Err(TrainError::config("image_size", "dcgan generates square images: set a side"));
    }
    Ok(model(card).check()?)
}

/// 1 for every correct logit, else 0.
fn right(logits: &Tensor, real: bool) -> Tensor {
    let zero = logits.zeros_like();
    if real { logits.gt(&zero) } else { logits.le(&zero) }.to_f32()
}

/// Weights of a network, by its prefix.
fn weights_of(net: &Net, prefix: &str, freeze: Option<&str>) -> Result<Vec<(String, Tensor)>, TrainError> {
    Ok(trainable(net, freeze)?.into_iter().filter(|w| w.0.starts_with(prefix)).collect())
}

/// The discriminator's step.
fn training(
    card: &ModelCard,
    rows: usize,
    gradients: Gradients<'_>,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let (x, _) = inputs(&net, card, rows);
    let (real, made) = model(card).judged(&net, &x)?;
    let right = (right(&real, true) + right(&made, false)).mean_all() * 0.5;
    let loss = DcGan::telling_apart(&real, &made);
    net.builder().output("loss", &loss);
    net.builder().output("correct", &(right * rows as f64));
    gradients.of(&loss, &weights_of(&net, NETWORKS[0], freeze)?)?;
    Ok(net)
}

/// The generator's step on as many images.
fn answer(card: &ModelCard, rows: usize, optimizer: &Optimizer) -> Result<Graph, TrainError> {
    let net = Net::new(Mode::Train);
    let loss = model(card).generator_loss(&net, rows)?;
    optimizer.minimise(&loss, &weights_of(&net, NETWORKS[1], None)?)?;
    Ok(net.builder().graph())
}

fn evaluation(net: &Net, card: &ModelCard, rows: usize) -> Result<Graph, TrainError> {
    let (x, y) = inputs(net, card, rows);
    let dcgan = model(card);
    let made = dcgan.generator(net, &dcgan.draw(net, rows))?;
    let real = dcgan.discriminator(net, &x)?;
    let fake = net.shared(|| dcgan.discriminator(net, &made))?;
    let loss = (-&real).softplus() + fake.softplus();
    let score = right(&real, true) + right(&fake, false);
    Ok(sums(net, &y, &made, [loss, score, real.full_like(2.0)]))
}
