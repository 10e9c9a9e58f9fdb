//! BERT (Devlin et al., 2019): an encoder of Transformer blocks with norms after their layers, to fill in
//! masked tokens or to classify sequences. Names are those of the Hugging Face implementation, so its weights
//! load.

use crate::ModelError;
use wgrad_graph::Tensor;
use wgrad_nn::{Heads, Init, Net, join};

/// BERT's free choices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bert {
    /// Tokens there are, the mask among them.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Dropout after embedding, attention and dense layers.
    pub dropout: f64,
}

/// Deviation of initial weights.
const STD: f64 = 0.02;

/// Added to the variance in norms.
const EPS: f64 = 1e-12;

/// Kinds of segments; only the first is used here.
const SEGMENTS: usize = 2;

impl Bert {
    /// BERT base's shape.
    pub fn base() -> Self {
        Self { vocab: 30_522, context: 512, width: 768, layers: 12, heads: 12, dropout: 0.1 }
    }

    /// Checks the configuration before the model is built.
    ///
    /// # Errors
    /// If heads do not divide the width, or anything is 0.
    pub fn check(&self) -> Result<(), ModelError> {
        let fits = self.vocab > 1
            && self.context > 0
            && self.layers > 0
            && self.heads > 0
            && self.width > 0
            && self.width.is_multiple_of(self.heads);
        if fits {
            return Ok(());
        }
        let what = format!(
            "bert of {} layers of {} with {} heads over {} tokens: heads must divide the width, and nothing be 0",
            self.layers, self.width, self.heads, self.vocab
        );
        Err(ModelError::Invalid { what })
    }

    /// Tokens `[B, T]` i32, T at most `context`, to hidden states `[B, T, width]`. Every token sees every other. Parameters
    /// `bert.embeddings`, `bert.encoder.layer.N`.
    #[track_caller]
    pub fn encode(&self, net: &Net, tokens: &Tensor) -> Tensor {
        let steps = tokens.shape()[1];
        assert!(steps <= self.context, "bert: {steps} tokens, the context has {}", self.context);
        let mut x = self.embed(net, tokens, steps);
        for layer in 0..self.layers {
            x = self.block(net, &format!("bert.encoder.layer.{layer}"), &x);
        }
        x
    }

    /// Tokens `[B, T]` to logits `[B, T, vocab]` for the true token at each place. The output shares the
    /// embedding's weight. Parameters of [`Bert::encode`], and `cls.predictions`.
    #[track_caller]
    pub fn fill_in(&self, net: &Net, tokens: &Tensor) -> Tensor {
        let x = self.encode(net, tokens);
        let x = dense(net, "cls.predictions.transform.dense", &x, self.width).gelu();
        let x = norm(net, "cls.predictions.transform.LayerNorm", &x);
        net.builder().scoped("cls.predictions", || {
            let bias = net.weight("cls.predictions.bias", &[self.vocab], Init::Zeros);
            let words = net.shared(|| self.table(net, "word", self.vocab));
            x.linear(&words, Some(&bias))
        })
    }

    /// Tokens `[B, T]` to logits `[B, classes]` of the whole sequence, told from its first token's state. Parameters of
    /// [`Bert::encode`], `bert.pooler` and `classifier`.
    #[track_caller]
    pub fn classify(&self, net: &Net, tokens: &Tensor, classes: usize) -> Tensor {
        let pooled = self.pooled(net, &self.encode(net, tokens));
        dense(net, "classifier", &net.dropout(&pooled, self.dropout), classes)
    }

    /// The first token's state `[B, width]` through a dense layer and tanh.
    fn pooled(&self, net: &Net, states: &Tensor) -> Tensor {
        let first = states.narrow(1, 0, 1).reshape(&[states.shape()[0], self.width]);
        dense(net, "bert.pooler.dense", &first, self.width).tanh()
    }

    /// An embedding's weight.
    fn table(&self, net: &Net, what: &str, entries: usize) -> Tensor {
        let init = Init::Normal { mean: 0.0, std: STD };
        net.weight(&format!("bert.embeddings.{what}_embeddings.weight"), &[entries, self.width], init)
    }

    fn embed(&self, net: &Net, tokens: &Tensor, steps: usize) -> Tensor {
        let x = net.builder().scoped("bert.embeddings", || {
            let words = self.table(net, "word", self.vocab).embedding(tokens);
            let places = self.table(net, "position", self.context).narrow(0, 0, steps);
            words + places + self.table(net, "token_type", SEGMENTS).narrow(0, 0, 1)
        });
        net.dropout(&norm(net, "bert.embeddings.LayerNorm", &x), self.dropout)
    }

    fn block(&self, net: &Net, name: &str, x: &Tensor) -> Tensor {
        let part = |part: &str| format!("{name}.{part}");
        let heads = Heads::new(self.heads, false);
        let project = |what: &str| dense(net, &part(&format!("attention.self.{what}")), x, self.width);
        let [q, k, v] = [project("query"), project("key"), project("value")].map(|p| {
            let s = p.shape();
            p.reshape(&[s[0], s[1], heads.queries, self.width / heads.queries]).permute(&[0, 2, 1, 3])
        });
        let seen = join(&q.scaled_dot_product_attention(&k, &v, heads.causal));
        let y = net.dropout(&dense(net, &part("attention.output.dense"), &seen, self.width), self.dropout);
        let x = norm(net, &part("attention.output.LayerNorm"), &(x + y));
        let hidden = dense(net, &part("intermediate.dense"), &x, 4 * self.width).gelu();
        let y = net.dropout(&dense(net, &part("output.dense"), &hidden, self.width), self.dropout);
        norm(net, &part("output.LayerNorm"), &(x + y))
    }
}

/// A linear layer with normal weights and a bias of 0.
fn dense(net: &Net, name: &str, x: &Tensor, out: usize) -> Tensor {
    let fan_in = *x.shape().last().unwrap_or(&1);
    net.builder().scoped(name, || {
        let init = Init::Normal { mean: 0.0, std: STD };
        let weight = net.weight(&format!("{name}.weight"), &[out, fan_in], init);
        x.linear(&weight, Some(&net.weight(&format!("{name}.bias"), &[out], Init::Zeros)))
    })
}

/// Layer normalisation with BERT's constant.
fn norm(net: &Net, name: &str, x: &Tensor) -> Tensor {
    let last = [*x.shape().last().unwrap_or(&1)];
    net.builder().scoped(name, || {
        let weight = net.weight(&format!("{name}.weight"), &last, Init::Ones);
        let bias = net.weight(&format!("{name}.bias"), &last, Init::Zeros);
        x.layer_norm(&weight, Some(&bias), EPS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;
    use wgrad_types::Type;

    /// Names and sizes of the weights, with the shape of `build`'s result for two sequences of eight tokens.
    fn weights(build: impl Fn(&Net, &Tensor) -> Tensor) -> (Vec<(String, usize)>, Vec<usize>) {
        let net = Net::new(Mode::Train);
        let y = build(&net, &net.input("x", Type::i32(&[2, 8])));
        (net.weights().into_iter().map(|p| (p.name, p.tensor.numel())).collect(), y.shape())
    }

    /// `bert-base-uncased`: its model with the pooler has 109,482,240 parameters; the masked language model
    /// has the head's 622,650 in place of the pooler.
    #[test]
    fn bert_base_parameter_count() {
        let base = Bert::base();
        let (all, shape) = weights(|net, x| base.classify(net, x, 2));
        let own = |all: &[(String, usize)], prefix: &str| -> usize {
            all.iter().filter(|w| w.0.starts_with(prefix)).map(|w| w.1).sum()
        };
        assert_eq!((own(&all, "bert."), own(&all, "classifier."), shape), (109_482_240, 1538, vec![2, 2]));
        let (all, shape) = weights(|net, x| base.fill_in(net, x));
        assert_eq!(
            (own(&all, "bert."), own(&all, "cls."), shape),
            (108_891_648, 622_650, vec![2, 8, 30_522])
        );
        for name in [
            "bert.embeddings.token_type_embeddings.weight",
            "bert.encoder.layer.11.attention.self.query.bias",
            "bert.encoder.layer.0.attention.output.LayerNorm.weight",
            "bert.encoder.layer.3.intermediate.dense.weight",
            "cls.predictions.transform.LayerNorm.bias",
        ] {
            assert!(all.iter().any(|w| w.0 == name), "no {name}");
        }
    }

    #[test]
    fn bert_invalid_shapes_are_refused() {
        let small = Bert { vocab: 9, context: 8, width: 12, layers: 1, heads: 2, dropout: 0.0 };
        assert!(small.check().is_ok());
        for wrong in [
            Bert { heads: 5, ..small },
            Bert { heads: 0, ..small },
            Bert { layers: 0, ..small },
            Bert { vocab: 1, ..small },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
