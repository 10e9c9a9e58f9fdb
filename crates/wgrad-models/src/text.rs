//! Language models by name, for the command line: their default configurations and builders.

use crate::{Bert, CharRnn, Gpt, ModelError, Positions};
use wgrad_graph::Tensor;
use wgrad_nn::{Net, Recurrent, RecurrentKind};

/// A language model of the zoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// A decoder-only Transformer.
    Gpt,
    /// An encoder for masked tokens.
    Bert,
    /// A recurrent network of this cell.
    Recurrent(RecurrentKind),
}

/// Every language model with its name and a line about it.
pub const TEXT_ZOO: &[(&str, TextKind, &str)] = &[
    ("gpt", TextKind::Gpt, "decoder-only Transformer, 4 layers of 128"),
    ("bert", TextKind::Bert, "encoder that fills in masked tokens, 4 layers of 128"),
    ("char-rnn", TextKind::Recurrent(RecurrentKind::RnnTanh), "recurrent network, 2 layers of 256"),
    ("char-lstm", TextKind::Recurrent(RecurrentKind::Lstm), "LSTM, 2 layers of 256"),
    ("char-gru", TextKind::Recurrent(RecurrentKind::Gru), "GRU, 2 layers of 256"),
];

impl TextKind {
    /// The language model of a name, if it exists.
    pub fn named(name: &str) -> Option<Self> {
        TEXT_ZOO.iter().find(|m| m.0 == name).map(|m| m.1)
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        TEXT_ZOO.iter().find(|m| m.1 == self).map_or("", |m| m.0)
    }
}

/// A language model: configuration and vocabulary size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextModel {
    /// Kind of model.
    pub kind: TextKind,
    /// Tokens there are.
    pub vocab: usize,
    /// Tokens per training sequence; a GPT's maximum context.
    pub context: usize,
    /// Layers.
    pub layers: usize,
    /// Width of the hidden state or residual stream.
    pub hidden: usize,
    /// Heads of attention, in a GPT and in BERT.
    pub heads: usize,
    /// Heads of its keys and values.
    pub key_heads: usize,
    /// Dropout.
    pub dropout: f64,
    /// Rotary positions for a GPT's queries and keys, instead of a learned vector.
    pub rotary: bool,
}

impl TextModel {
    /// Largest context.
    pub const MAX_CONTEXT: usize = 1 << 16;
    /// Largest number of layers.
    pub const MAX_LAYERS: usize = 256;
    /// Largest width.
    pub const MAX_HIDDEN: usize = 1 << 16;
    /// Largest number of heads.
    pub const MAX_HEADS: usize = 1 << 10;

    /// The model's usual shape.
    pub fn new(kind: TextKind, vocab: usize) -> Self {
        let (layers, hidden) = match kind {
            TextKind::Gpt | TextKind::Bert => (4, 128),
            TextKind::Recurrent(_) => (2, 256),
        };
        Self { kind, vocab, context: 64, layers, hidden, heads: 4, key_heads: 4, dropout: 0.0, rotary: false }
    }

    /// Checks the configuration before the model is built.
    ///
    /// # Errors
    /// If a number is invalid for the model.
    pub fn check(&self) -> Result<(), ModelError> {
        let fail = |what: String| Err(ModelError::Invalid { what });
        if self.vocab < 2 {
            return fail(format!("a language model needs at least 2 different tokens, got {}", self.vocab));
        }
        for (field, value, most) in [
            ("context", self.context, Self::MAX_CONTEXT),
            ("layers", self.layers, Self::MAX_LAYERS),
            ("hidden", self.hidden, Self::MAX_HIDDEN),
            ("heads", self.heads, Self::MAX_HEADS),
            ("key_heads", self.key_heads, Self::MAX_HEADS),
        ] {
            if !(1..=most).contains(&value) {
                return fail(format!("`{field}` {value} must be from 1 to {most}"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(format!("`dropout` {} must be in [0, 1)", self.dropout));
        }
        match self.kind {
            TextKind::Recurrent(_) => return Ok(()),
            TextKind::Bert if self.rotary || self.key_heads != self.heads => {
                return fail("`rotary` and `key_heads` are for gpt: leave them out".into());
            }
            TextKind::Bert | TextKind::Gpt => {}
        }
        if !self.hidden.is_multiple_of(self.heads) || !self.heads.is_multiple_of(self.key_heads) {
            return fail(format!(
                "`hidden` {} must be a multiple of `heads` {}, and that one of `key_heads` {}",
                self.hidden, self.heads, self.key_heads
            ));
        }
        if self.rotary && !(self.hidden / self.heads).is_multiple_of(2) {
            return fail(format!("`rotary` needs heads of even width, got {}", self.hidden / self.heads));
        }
        Ok(())
    }

    fn gpt(&self) -> Gpt {
        Gpt {
            key_heads: self.key_heads,
            dropout: self.dropout,
            positions: if self.rotary { Positions::Rotary } else { Positions::Learned },
            tied: true,
            ..Gpt::new(self.vocab, self.context, self.hidden, self.layers, self.heads)
        }
    }

    fn bert(&self) -> Bert {
        Bert {
            vocab: self.vocab + 1,
            context: self.context,
            width: self.hidden,
            layers: self.layers,
            heads: self.heads,
            dropout: self.dropout,
        }
    }

    /// The mask token, numbered after all others; `None` for models that predict the next token.
    pub fn mask(&self) -> Option<i32> {
        (self.kind == TextKind::Bert).then_some(self.vocab as i32)
    }

    fn recurrent(&self, kind: RecurrentKind) -> CharRnn {
        let recurrent = Recurrent { dropout: self.dropout, ..Recurrent::new(kind, self.hidden, self.layers) };
        CharRnn { vocab: self.vocab, embedding: self.hidden.div_ceil(2), recurrent }
    }

    /// Tokens `[B, T]` i32 to logits `[B, T, vocab]` for the next token, or the masked one, at each place.
    ///
    /// # Errors
    /// As [`TextModel::check`].
    pub fn build(&self, net: &Net, tokens: &Tensor) -> Result<Tensor, ModelError> {
        self.check()?;
        Ok(match self.kind {
            TextKind::Gpt => self.gpt().build(net, tokens),
            // The mask is never the answer.
            TextKind::Bert => self.bert().fill_in(net, tokens).narrow(2, 0, self.vocab),
            TextKind::Recurrent(kind) => self.recurrent(kind).build(net, tokens),
        })
    }

    /// One token `[1]` i32 at `position` `[1]` i32 to logits `[vocab]`, from the states after the previous
    /// tokens.
    ///
    /// # Errors
    /// As [`TextModel::check`], and if the model reads whole sequences only.
    pub fn step(&self, net: &Net, token: &Tensor, position: &Tensor) -> Result<Tensor, ModelError> {
        self.check()?;
        Ok(match self.kind {
            TextKind::Gpt => self.gpt().step(net, token, position),
            TextKind::Bert => {
                let what = "bert fills in what is hidden and goes on from nothing: train gpt to write".into();
                return Err(ModelError::Invalid { what });
            }
            TextKind::Recurrent(kind) => self.recurrent(kind).step(net, token),
        })
    }

    /// Maximum number of tokens in the states; `None` if unlimited.
    pub fn most_tokens(&self) -> Option<usize> {
        (self.kind == TextKind::Gpt).then_some(self.context)
    }
}
