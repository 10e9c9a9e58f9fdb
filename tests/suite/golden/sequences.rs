//! Sequence models of the zoo: recurrent networks and a small GPT.

use super::runs::{CLASSES, Run, check_both, same};
use wgrad_graph::Tensor;
use wgrad_models::{CharRnn, Gpt};
use wgrad_nn::{Net, Optimizer, OptimizerKind, Recurrent, RecurrentKind};

fn recurrent(file: &'static str, model: fn(&Net, &Tensor) -> Tensor) {
    let (optimizer, lr) = (Optimizer::adam(), 1e-2);
    check_both(&Run { file, model, loss: CLASSES, optimizer, lr, rename: same, free: None });
}

fn build(kind: RecurrentKind, net: &Net, x: &Tensor) -> Tensor {
    CharRnn { vocab: 27, embedding: 16, recurrent: Recurrent::new(kind, 24, 2) }.build(net, x)
}

#[test]
fn golden_run_rnn_adam() {
    recurrent("rnn_adam", |net, x| build(RecurrentKind::RnnTanh, net, x));
}

#[test]
fn golden_run_lstm_adam() {
    recurrent("lstm_adam", |net, x| build(RecurrentKind::Lstm, net, x));
}

#[test]
fn golden_run_gru_adam() {
    recurrent("gru_adam", |net, x| build(RecurrentKind::Gru, net, x));
}

#[test]
fn golden_run_gpt_tiny_adamw() {
    let kind = OptimizerKind::AdamW { betas: (0.9, 0.95), eps: 1e-8 };
    check_both(&Run {
        file: "gpt_tiny_adamw",
        model: |net, x| Gpt::new(65, 16, 32, 2, 2).build(net, x),
        loss: CLASSES,
        optimizer: Optimizer::new(kind).weight_decay(0.1),
        lr: 1e-3,
        rename: same,
        // Keys' biases add the same to all of a row's scores; softmax removes it again.
        free: Some(("qkv.bias", 32..64)),
    });
}
