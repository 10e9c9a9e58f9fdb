//! GPT: a decoder-only Transformer with norms before its layers (Radford et al., 2019), for training on
//! sequences and for generation token by token with cached keys and values.

use wgrad_graph::{Role, Tensor};
use wgrad_nn::{Heads, Init, Net, ROTARY_BASE, join};

/// Positional encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// A learned vector a position, added to the token's.
    Learned,
    /// Queries and keys are turned by their position.
    Rotary,
}

/// GPT's free choices.
#[derive(Clone, Copy, Debug)]
pub struct Gpt {
    /// Tokens there are.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; equal to `heads` without sharing.
    pub key_heads: usize,
    /// Dropout after embedding, attention and dense layers.
    pub dropout: f64,
    /// Positional encoding.
    pub positions: Positions,
    /// Tie the output's weight to the embedding.
    pub tied: bool,
}

/// Deviation of initial weights; projections into the residual stream start smaller by the root of their number (GPT-2).
const STD: f64 = 0.02;

impl Gpt {
    /// Learned positions, nothing shared, no dropout.
    pub fn new(vocab: usize, context: usize, width: usize, layers: usize, heads: usize) -> Self {
        Self {
            vocab,
            context,
            width,
            layers,
            heads,
            key_heads: heads,
            dropout: 0.0,
            positions: Positions::Learned,
            tied: false,
        }
    }

    fn heads(&self) -> Heads {
        let rotary = (self.positions == Positions::Rotary).then_some(ROTARY_BASE);
        Heads { queries: self.heads, keys: self.key_heads, causal: true, rotary }
    }

    /// Tokens `[B, T]` i32, T at most `context`, to logits `[B, T, vocab]`. Parameters `tok`, `pos`,
    /// `blocks.N.{ln1,qkv,proj,ln2,fc,out}`, `ln`, `head`.
    #[track_caller]
    pub fn build(&self, net: &Net, tokens: &Tensor) -> Tensor {
        let steps = tokens.shape()[1];
        assert!(steps <= self.context, "gpt: {steps} tokens, the context has {}", self.context);
        let mut x = self.embed(net, tokens, &net.builder().iota(steps));
        x = net.dropout(&x, self.dropout);
        for layer in 0..self.layers {
            x = self.block(net, layer, &x, &|qkv| self.heads().attend(qkv));
        }
        self.logits(net, &x)
    }

    /// One token `[1]` i32 at `position` `[1]` i32 (below `context`) to logits `[vocab]`, over the keys and
    /// values of the previous positions, kept as states `blocks.N.keys` and `.values`.
    #[track_caller]
    pub fn step(&self, net: &Net, token: &Tensor, position: &Tensor) -> Tensor {
        let mut x = self.embed(net, &token.reshape(&[1, 1]), position);
        for layer in 0..self.layers {
            x = self.block(net, layer, &x, &|qkv| self.attend_kept(net, layer, qkv, position));
        }
        self.logits(net, &x).reshape(&[self.vocab])
    }

    /// Attention of one query over the keys and values kept, its own put among them.
    fn attend_kept(&self, net: &Net, layer: usize, qkv: &Tensor, position: &Tensor) -> Tensor {
        let (b, heads) = (net.builder(), self.heads());
        let [q, k, v] = heads.split(qkv, Some((position, self.context)));
        let shape = [1, self.key_heads, self.context, self.width / self.heads];
        let at = position.reshape(&[1, 1, 1, 1]);
        let kept = |what: &str, new: &Tensor| {
            let all = b.param(&format!("blocks.{layer}.{what}"), &shape, Role::State);
            let here = all.iota_like(2).eq(&at);
            let moved = here.select(new, &all);
            b.update(&[(&all, &moved)]);
            moved
        };
        let (k, v) = (kept("keys", &k), kept("values", &v));
        let seen = b.iota(self.context).reshape(&[1, 1, 1, self.context]).le(&at);
        join(&q.masked_dot_product_attention(&heads.shared(&k), &heads.shared(&v), &seen))
    }

    fn token_weight(&self, net: &Net) -> Tensor {
        net.weight("tok.weight", &[self.vocab, self.width], Init::Normal { mean: 0.0, std: STD })
    }

    fn embed(&self, net: &Net, tokens: &Tensor, positions: &Tensor) -> Tensor {
        net.builder().scoped("embedding", || {
            let x = self.token_weight(net).embedding(tokens);
            match self.positions {
                Positions::Rotary => x,
                Positions::Learned => {
                    let init = Init::Normal { mean: 0.0, std: STD };
                    let table = net.weight("pos.weight", &[self.context, self.width], init);
                    x + table.embedding(positions)
                }
            }
        })
    }

    fn block(&self, net: &Net, layer: usize, x: &Tensor, attend: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
        let name = |part: &str| format!("blocks.{layer}.{part}");
        let residual = STD / (2.0 * self.layers as f64).sqrt();
        let qkv = dense(
            net,
            &name("qkv"),
            &net.layer_norm(&name("ln1"), x),
            self.heads().projected(self.width),
            STD,
        );
        let y = dense(net, &name("proj"), &attend(&qkv), self.width, residual);
        let x = x + net.dropout(&y, self.dropout);
        let hidden = dense(net, &name("fc"), &net.layer_norm(&name("ln2"), &x), 4 * self.width, STD).gelu();
        let y = dense(net, &name("out"), &hidden, self.width, residual);
        x + net.dropout(&y, self.dropout)
    }

    fn logits(&self, net: &Net, x: &Tensor) -> Tensor {
        let x = net.layer_norm("ln", x);
        net.builder().scoped("head", || {
            let weight = if self.tied {
                net.shared(|| self.token_weight(net))
            } else {
                net.weight("head.weight", &[self.vocab, self.width], Init::Normal { mean: 0.0, std: STD })
            };
            x.linear(&weight, None)
        })
    }
}

/// A linear layer with normal weights and a bias of 0.
fn dense(net: &Net, name: &str, x: &Tensor, out: usize, std: f64) -> Tensor {
    let fan_in = *x.shape().last().unwrap_or(&1);
    net.builder().scoped(name, || {
        let weight = net.weight(&format!("{name}.weight"), &[out, fan_in], Init::Normal { mean: 0.0, std });
        let bias = net.weight(&format!("{name}.bias"), &[out], Init::Zeros);
        x.linear(&weight, Some(&bias))
    })
}
