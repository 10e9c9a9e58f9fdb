//! Graphs of an image classifier: one training step, one evaluation batch.

use crate::TrainError;
use crate::task::Gradients;
use crate::transfer::trainable;
use wgrad_graph::{CrossEntropy, Graph, Tensor};
use wgrad_models::ImageModel;
use wgrad_nn::{Loss, Mode, Net, Optimizer};
use wgrad_session::Tensors;
use wgrad_types::Type;

/// Label of padding rows.
pub(crate) const PADDING: i32 = -100;

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
pub(crate) fn training(
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

/// Adds loss, accuracy and gradients to the training graph of a classifier: outputs `loss` and `correct`. Auxiliary heads
/// contribute to the objective, not to the reported loss.
pub(crate) fn trained(
    net: Net,
    (logits, labels): (&Tensor, &Tensor),
    heads: &[(Tensor, f64)],
    gradients: Gradients<'_>,
    label_smoothing: f64,
    freeze: Option<&str>,
) -> Result<Net, TrainError> {
    let loss = Loss::CrossEntropy { label_smoothing }.of(logits, labels);
    net.builder().output("loss", &loss);
    net.builder().output("correct", &logits.correct(labels));
    let aim = heads.iter().fold(loss, |aim, (head, share)| {
        aim + Loss::CrossEntropy { label_smoothing }.of(head, labels) * *share
    });
    gradients.of(&aim, &trainable(&net, freeze)?)?;
    Ok(net)
}

/// Graph of one evaluation batch: inputs `x` and `y`, outputs `logits` and `loss` (mean over all rows but padding).
///
/// # Errors
/// If the model cannot be built.
pub fn eval_graph(model: &ImageModel, batch: usize) -> Result<Graph, TrainError> {
    evaluation(&Net::new(Mode::Eval), model, batch)
}

/// Graph of [`eval_graph`] over a training session's tensors; with `averaged`, over the moving averages.
pub(crate) fn watch_graph(model: &ImageModel, batch: usize, averaged: bool) -> Result<Graph, TrainError> {
    let net = if averaged { Net::averaged() } else { Net::new(Mode::Eval) };
    evaluation(&net, model, batch)
}

fn evaluation(net: &Net, model: &ImageModel, batch: usize) -> Result<Graph, TrainError> {
    let (x, y) = (net.input("x", model.input(batch)), net.input("y", Type::i32(&[batch])));
    let logits = model.build(net, &x)?;
    let options = CrossEntropy { ignore_index: PADDING, ..CrossEntropy::default() };
    net.builder().output("logits", &logits);
    net.builder().output("loss", &logits.cross_entropy(&y, options));
    Ok(net.builder().graph())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_graph::{Env, Role, interpret};
    use wgrad_nn::{Init, OptimizerKind};
    use wgrad_types::Array;

    /// Cross-entropy gradient at all-zero logits: (1/classes - one-hot label) / rows.
    #[test]
    fn auxiliary_heads_train_by_their_weight_and_stay_out_of_the_reported_loss() {
        let net = Net::new(Mode::Train);
        let y = net.input("y", Type::i32(&[2]));
        let own = ["main", "first", "second"].map(|name| net.weight(name, &[2, 4], Init::Zeros));
        let heads = [(own[1].clone(), 0.3), (own[2].clone(), 0.05)];
        let sgd = Optimizer::new(OptimizerKind::Sgd { momentum: 0.0, nesterov: false });
        let net = trained(net, (&own[0], &y), &heads, Gradients::Update(&sgd), 0.0, None).expect("a graph");
        let graph = net.builder().graph();
        let mut env = Env::default();
        env.inputs.insert("y".into(), Array::new(&[2], vec![3.0, 1.0]));
        env.inputs.insert("lr".into(), Array::new(&[], vec![1.0]));
        for name in ["main", "first", "second"] {
            env.params.insert((Role::Weight, name.into()), Array::zeros(&[2, 4]));
        }
        let values = interpret(&graph, &env);
        let of = |v: wgrad_graph::Value| values[v.index()].clone().expect("a value").data;
        for (update, share) in graph.updates.iter().zip([1.0, 0.3, 0.05]) {
            for (i, moved) in of(update.value).into_iter().enumerate() {
                let want = share * (if i == 3 || i == 5 { 0.75 } else { -0.25 }) / 2.0;
                assert!((moved - want).abs() < 1e-6, "share {share}: [{i}] moves by {moved}, by hand {want}");
            }
        }
        let told = graph.outputs.iter().find(|o| o.0 == "loss").expect("a loss");
        assert!((of(told.1)[0] - 4f64.ln()).abs() < 1e-6, "the main head's loss only");
    }
}
