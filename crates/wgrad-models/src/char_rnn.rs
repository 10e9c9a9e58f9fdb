//! Recurrent language models: embedding, recurrent layers, a linear layer over the vocabulary.

use wgrad_graph::{Role, Tensor};
use wgrad_nn::{CellState, Net, Recurrent, RecurrentKind};

/// A recurrent language model's free choices.
#[derive(Clone, Copy, Debug)]
pub struct CharRnn {
    /// Tokens there are.
    pub vocab: usize,
    /// Width of the embedding.
    pub embedding: usize,
    /// The recurrent layers.
    pub recurrent: Recurrent,
}

impl CharRnn {
    /// Tokens `[B, T]` i32 to logits `[B, T, vocab]`. Parameters `tok`, `rnn`, `head`.
    #[track_caller]
    pub fn build(&self, net: &Net, tokens: &Tensor) -> Tensor {
        let x = net.embedding("tok", tokens, self.vocab, self.embedding);
        let y = net.recurrent("rnn", &x, self.recurrent).y;
        net.linear("head", &net.dropout(&y, self.recurrent.dropout), self.vocab)
    }

    /// One token `[1]` i32 to logits `[vocab]`, from the hidden states after the previous tokens, kept as
    /// states `rnn.hN` and `rnn.cN`.
    #[track_caller]
    pub fn step(&self, net: &Net, token: &Tensor) -> Tensor {
        let x = net.embedding("tok", &token.reshape(&[1, 1]), self.vocab, self.embedding);
        let kept = |what: &str, layer: usize| {
            net.builder().param(&format!("rnn.{what}{layer}"), &[1, self.recurrent.hidden], Role::State)
        };
        let state = |layer| CellState {
            hidden: kept("h", layer),
            cell: (self.recurrent.kind == RecurrentKind::Lstm).then(|| kept("c", layer)),
        };
        let before: Vec<CellState> = (0..self.recurrent.layers).map(state).collect();
        let after = net.recurrent_from("rnn", &x, self.recurrent, &before);
        for (old, new) in before.iter().zip(&after.last) {
            net.builder().update(&[(&old.hidden, &new.hidden)]);
            if let (Some(old), Some(new)) = (&old.cell, &new.cell) {
                net.builder().update(&[(old, new)]);
            }
        }
        net.linear("head", &after.y, self.vocab).reshape(&[self.vocab])
    }
}
