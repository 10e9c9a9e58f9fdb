//! Tasks with labels: padding, and the end of a training step's graph.

use super::freeze::trainable;
use super::gradients::Gradients;
use crate::TrainError;
use wgrad_graph::Tensor;
use wgrad_nn::{Loss, Net};

/// Label of padding rows.
pub(crate) const PADDING: i32 = -100;

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

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_graph::{Env, Role, interpret};
    use wgrad_nn::{Init, Mode, Optimizer, OptimizerKind};
    use wgrad_types::{Array, Type};

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
