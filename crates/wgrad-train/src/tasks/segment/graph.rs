//! Graphs of a segmenter, and its batches as tensors.

use crate::TrainError;
use crate::saved::card::ModelCard;
use crate::tasks::gradients::Gradients;
use crate::tasks::labelled::{PADDING, trained};
use wgrad_data::{IGNORED, MaskedBatch};
use wgrad_graph::{CrossEntropy, Graph, Tensor};
use wgrad_models::UNet;
use wgrad_nn::{Mode, Net};
use wgrad_types::{HostTensor, Type};

/// Images per evaluation batch.
pub(super) const ROWS: usize = 8;

/// Inputs `x` and `y`, and the loss's operands: logits and labels, one row per pixel.
fn pixels(net: &Net, card: &ModelCard, rows: usize) -> Result<(Tensor, Tensor), TrainError> {
    let (classes, (height, width)) = (card.classes.len(), card.size);
    let x = net.input("x", Type::f32(&[rows, card.channels, height, width]));
    let y = net.input("y", Type::i32(&[rows, height, width]));
    let logits = UNet { classes, width: card.width }.build(net, &x)?;
    let count = rows * height * width;
    Ok((logits.permute(&[0, 2, 3, 1]).reshape(&[count, classes]), y.reshape(&[count])))
}

pub(super) fn training(
    card: &ModelCard,
    rows: usize,
    gradients: Gradients<'_>,
    label_smoothing: f64,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let (logits, labels) = pixels(&net, card, rows)?;
    trained(net, (&logits, &labels), &[], gradients, label_smoothing, freeze)
}

/// Evaluation graph of one batch: outputs `loss` (mean over labels other than padding) and `predicted`, one class per pixel.
pub(super) fn evaluation(net: &Net, card: &ModelCard, rows: usize) -> Result<Graph, TrainError> {
    let (logits, labels) = pixels(net, card, rows)?;
    let options = CrossEntropy { ignore_index: PADDING, ..CrossEntropy::default() };
    net.builder().output("loss", &logits.cross_entropy(&labels, options));
    net.builder().output("predicted", &logits.argmax(-1));
    Ok(net.builder().graph())
}

/// Tensors of a batch, padded to `rows` rows with zeros and the padding label.
pub(super) fn tensors(card: &ModelCard, mut batch: MaskedBatch, rows: usize) -> (HostTensor, HostTensor) {
    let (height, width) = card.size;
    batch.pictures.resize(rows * card.channels * height * width, 0.0);
    // Ignored pixels have the padding label.
    const { assert!(IGNORED == PADDING) };
    batch.classes.resize(rows * height * width, PADDING);
    let x = HostTensor::f32(&[rows, card.channels, height, width], &batch.pictures);
    (x, HostTensor::i32(&[rows, height, width], &batch.classes))
}
