//! The graphs of models that make pictures: an autoencoder, which makes each one again from a short code, and DCGAN, whose
//! two players each have a step of their own.

use crate::TrainError;
use crate::state::ModelCard;
use crate::task::Gradients;
use crate::transfer::trainable;
use wgrad_graph::{Graph, Tensor};
use wgrad_models::{Autoencoder, DcGan, ModelError};
use wgrad_nn::{Mode, Net, Optimizer};
use wgrad_types::Type;

/// A model that makes pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GenerativeKind {
    /// Makes pictures again from a code of thirty numbers.
    Autoencoder,
    /// Makes pictures from noise.
    DcGan,
}

/// Every such model by its name on the command line.
pub const GENERATIVE_MODELS: [(&str, GenerativeKind); 2] =
    [("autoencoder", GenerativeKind::Autoencoder), ("dcgan", GenerativeKind::DcGan)];

/// Weights' names of the two players.
const PLAYERS: [&str; 2] = ["discriminator.", "generator."];

impl GenerativeKind {
    /// The model of a name; `None` where there is no such.
    pub fn named(name: &str) -> Option<Self> {
        GENERATIVE_MODELS.iter().find(|p| p.0 == name).map(|p| p.1)
    }

    /// What its score is the share of.
    pub(crate) fn score(self) -> &'static str {
        match self {
            Self::Autoencoder => "variance kept",
            Self::DcGan => "told from made up",
        }
    }

    /// The file that shows what it makes.
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

fn players(card: &ModelCard) -> DcGan {
    let usual = DcGan::new(card.channels);
    let width = (usual.width as f64 * card.width).round() as usize;
    DcGan { side: card.size.0, width: width.max(1), ..usual }
}

/// That the model can be built, before it is.
pub(crate) fn check(card: &ModelCard) -> Result<(), TrainError> {
    match kind(card)? {
        GenerativeKind::Autoencoder => Ok(()),
        GenerativeKind::DcGan if card.size.0 == card.size.1 => Ok(players(card).check()?),
        GenerativeKind::DcGan => {
            Err(TrainError::config("--image-size", "dcgan makes square pictures: set a side"))
        }
    }
}

/// Inputs `x` and `y`: pictures, and labels, of which only padding's sign counts.
fn inputs(net: &Net, card: &ModelCard, rows: usize) -> (Tensor, Tensor) {
    let x = Type::f32(&[rows, card.channels, card.size.0, card.size.1]);
    (net.input("x", x), net.input("y", Type::i32(&[rows])))
}

/// A training step: outputs `loss` (mean) and `correct`, the score times the rows. DCGAN's is the discriminator's.
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
            let (real, made) = players(card).judged(&net, &x)?;
            let right = (right(&real, true) + right(&made, false)).mean_all() * 0.5;
            (DcGan::telling_apart(&real, &made), right)
        }
    };
    net.builder().output("loss", &loss);
    net.builder().output("correct", &(score * rows as f64));
    let all = trainable(&net, freeze)?;
    let own = match kind(card)? {
        GenerativeKind::Autoencoder => all,
        GenerativeKind::DcGan => all.into_iter().filter(|w| w.0.starts_with(PLAYERS[0])).collect(),
    };
    gradients.of(&loss, &own)?;
    Ok(net)
}

/// 1 where a logit tells what is so.
fn right(logits: &Tensor, real: bool) -> Tensor {
    let zero = logits.zeros_like();
    if real { logits.gt(&zero) } else { logits.le(&zero) }.to_f32()
}

/// The generator's step on as many pictures, which follows the discriminator's; `None` for models of one player.
pub(crate) fn answer(
    card: &ModelCard,
    rows: usize,
    optimizer: &Optimizer,
) -> Result<Option<Graph>, TrainError> {
    if kind(card)? != GenerativeKind::DcGan {
        return Ok(None);
    }
    let net = Net::new(Mode::Train);
    let loss = players(card).generator_loss(&net, rows)?;
    let own = trainable(&net, None)?.into_iter().filter(|w| w.0.starts_with(PLAYERS[1]));
    optimizer.minimise(&loss, &own.collect::<Vec<_>>())?;
    Ok(Some(net.builder().graph()))
}

/// An evaluation batch. Outputs sums over rows whose label is not padding: `off` (losses), `good` and `all` (what the
/// score is a share of); and `made`, the pictures.
pub(crate) fn evaluation(net: &Net, card: &ModelCard, rows: usize) -> Result<Graph, TrainError> {
    let (x, y) = inputs(net, card, rows);
    let counts = y.ge(&y.zeros_like()).to_f32();
    let (made, off, good, all) = match kind(card)? {
        GenerativeKind::Autoencoder => {
            let made = autoencoder(card).build(net, &x);
            let squares = |t: &Tensor| t.square().sum(&[1, 2, 3]);
            let (missed, all) = (squares(&(&made - &x)), squares(&x));
            let pixels = (x.numel() / rows) as f64;
            (made, &missed / pixels, &all - &missed, all)
        }
        GenerativeKind::DcGan => {
            let players = players(card);
            let made = players.generator(net, &players.draw(net, rows))?;
            let real = players.discriminator(net, &x)?;
            let told = net.shared(|| players.discriminator(net, &made))?;
            let off = (-&real).softplus() + told.softplus();
            (made, off, right(&real, true) + right(&told, false), real.full_like(2.0))
        }
    };
    net.builder().output("made", &made);
    for (name, sum) in [("off", off), ("good", good), ("all", all)] {
        net.builder().output(name, &(sum * &counts).sum_all());
    }
    Ok(net.builder().graph())
}

/// The training step of a model that makes pictures (of DCGAN the discriminator's), or its evaluation batch where there is
/// no optimizer, on `rows` pictures.
///
/// # Errors
/// Where the model cannot be built.
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
