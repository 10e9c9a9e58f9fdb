//! Graphs of generative image models: an autoencoder, reconstructing each image from a short code, and DCGAN, with
//! separate steps for discriminator and generator.

use crate::TrainError;
use crate::state::ModelCard;
use crate::task::Gradients;
use crate::transfer::trainable;
use wgrad_graph::{Graph, Tensor};
use wgrad_models::{Autoencoder, DcGan, ModelError};
use wgrad_nn::{Mode, Net, Optimizer};
use wgrad_types::Type;

/// Generative image model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerativeKind {
    /// Reconstructs images from a code of thirty numbers.
    Autoencoder,
    /// Generates images from noise.
    DcGan,
}

/// All generative models by their names on the command line.
pub const GENERATIVE_MODELS: [(&str, GenerativeKind); 2] =
    [("autoencoder", GenerativeKind::Autoencoder), ("dcgan", GenerativeKind::DcGan)];

/// Name prefixes of the weights of DCGAN's two networks.
const NETWORKS: [&str; 2] = ["discriminator.", "generator."];

impl GenerativeKind {
    /// Model by name; `None` if there is none.
    pub fn named(name: &str) -> Option<Self> {
        GENERATIVE_MODELS.iter().find(|p| p.0 == name).map(|p| p.1)
    }

    /// Name of its score.
    pub(crate) fn score(self) -> &'static str {
        match self {
            Self::Autoencoder => "explained variance",
            Self::DcGan => "discriminator accuracy",
        }
    }

    /// File name of its sheet of generated images.
    pub(crate) fn sheet(self) -> &'static str {
        match self {
            Self::Autoencoder => "reconstructions.png",
            Self::DcGan => "samples.png",
        }
    }
}

fn kind(card: &ModelCard) -> Result<GenerativeKind, TrainError> {
    let unknown = || ModelError::Unknown { name: card.model.clone(), known: "autoencoder, dcgan".into() };
    Ok(GenerativeKind::named(&card.model).ok_or_else(unknown)?)
}

fn autoencoder(card: &ModelCard) -> Autoencoder {
    Autoencoder { width: card.width, ..Autoencoder::default() }
}

fn dcgan(card: &ModelCard) -> DcGan {
    let usual = DcGan::new(card.channels);
    let width = (usual.width as f64 * card.width).round() as usize;
    DcGan { side: card.size.0, width: width.max(1), ..usual }
}

/// Error if the model cannot be built.
pub(crate) fn check(card: &ModelCard) -> Result<(), TrainError> {
    match kind(card)? {
        GenerativeKind::Autoencoder => Ok(()),
        GenerativeKind::DcGan if card.size.0 == card.size.1 => Ok(dcgan(card).check()?),
        GenerativeKind::DcGan => {
            Err(TrainError::config("image_size", "dcgan generates square images: set a side"))
        }
    }
}

/// Inputs `x` (images) and `y` (labels; negative for padding, otherwise ignored).
fn inputs(net: &Net, card: &ModelCard, rows: usize) -> (Tensor, Tensor) {
    let x = Type::f32(&[rows, card.channels, card.size.0, card.size.1]);
    (net.input("x", x), net.input("y", Type::i32(&[rows])))
}

/// Training step, of DCGAN the discriminator's: outputs `loss` (mean) and `correct` (the score times the rows).
pub(crate) fn training(
    card: &ModelCard,
    rows: usize,
    gradients: Gradients<'_>,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let (x, _) = inputs(&net, card, rows);
    let (loss, score) = match kind(card)? {
        GenerativeKind::Autoencoder => {
            let made = autoencoder(card).build(&net, &x);
            let missed = (&made - &x).square().sum_all() / (x.square().sum_all() + f64::MIN_POSITIVE);
            (made.mse_loss(&x), 1.0 - missed)
        }
        GenerativeKind::DcGan => {
            let (real, made) = dcgan(card).judged(&net, &x)?;
            let right = (right(&real, true) + right(&made, false)).mean_all() * 0.5;
            (DcGan::telling_apart(&real, &made), right)
        }
    };
    net.builder().output("loss", &loss);
    net.builder().output("correct", &(score * rows as f64));
    let all = trainable(&net, freeze)?;
    let own = match kind(card)? {
        GenerativeKind::Autoencoder => all,
        GenerativeKind::DcGan => all.into_iter().filter(|w| w.0.starts_with(NETWORKS[0])).collect(),
    };
    gradients.of(&loss, &own)?;
    Ok(net)
}

/// 1 for every correct logit, else 0.
fn right(logits: &Tensor, real: bool) -> Tensor {
    let zero = logits.zeros_like();
    if real { logits.gt(&zero) } else { logits.le(&zero) }.to_f32()
}

/// Generator's step on as many images, run after the discriminator's; `None` for models other than DCGAN.
pub(crate) fn answer(
    card: &ModelCard,
    rows: usize,
    optimizer: &Optimizer,
) -> Result<Option<Graph>, TrainError> {
    if kind(card)? != GenerativeKind::DcGan {
        return Ok(None);
    }
    let net = Net::new(Mode::Train);
    let loss = dcgan(card).generator_loss(&net, rows)?;
    let own = trainable(&net, None)?.into_iter().filter(|w| w.0.starts_with(NETWORKS[1]));
    optimizer.minimise(&loss, &own.collect::<Vec<_>>())?;
    Ok(Some(net.builder().graph()))
}

/// Evaluation batch. Outputs sums over all rows but padding: `loss_sum`, and `score_sum` and `score_total`, the score's
/// numerator and denominator; and the `generated` images.
pub(crate) fn evaluation(net: &Net, card: &ModelCard, rows: usize) -> Result<Graph, TrainError> {
    let (x, y) = inputs(net, card, rows);
    let counts = y.ge(&y.zeros_like()).to_f32();
    let (made, loss, score, total) = match kind(card)? {
        GenerativeKind::Autoencoder => {
            let made = autoencoder(card).build(net, &x);
            let squares = |t: &Tensor| t.square().sum(&[1, 2, 3]);
            let (missed, all) = (squares(&(&made - &x)), squares(&x));
            let pixels = (x.numel() / rows) as f64;
            (made, &missed / pixels, &all - &missed, all)
        }
        GenerativeKind::DcGan => {
            let dcgan = dcgan(card);
            let made = dcgan.generator(net, &dcgan.draw(net, rows))?;
            let real = dcgan.discriminator(net, &x)?;
            let fake = net.shared(|| dcgan.discriminator(net, &made))?;
            let loss = (-&real).softplus() + fake.softplus();
            (made, loss, right(&real, true) + right(&fake, false), real.full_like(2.0))
        }
    };
    net.builder().output("generated", &made);
    for (name, sum) in [("loss_sum", loss), ("score_sum", score), ("score_total", total)] {
        net.builder().output(name, &(sum * &counts).sum_all());
    }
    Ok(net.builder().graph())
}

/// Graph of a generative model's training step (of DCGAN the discriminator's) on `rows` images, or of an evaluation batch
/// if there is no optimizer.
///
/// # Errors
/// If the model cannot be built.
pub fn generative_graph(
    card: &ModelCard,
    rows: usize,
    optimizer: Option<&Optimizer>,
) -> Result<Graph, TrainError> {
    check(card)?;
    match optimizer {
        Some(optimizer) => Ok(training(card, rows, Gradients::Update(optimizer), None)?.builder().graph()),
        None => evaluation(&Net::new(Mode::Eval), card, rows),
    }
}
