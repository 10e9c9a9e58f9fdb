//! Attention layers: heads split and joined around the attention of `Tensor`, and `torch.nn.MultiheadAttention`.

use crate::{Init, Net};
use wgrad_graph::Tensor;

/// Self-attention's free choices.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Heads of queries.
    pub queries: usize,
    /// Heads of keys and values, shared by groups of queries (Ainslie et al., 2023); as many as queries without sharing.
    pub keys: usize,
    /// Hide from each position those after it.
    pub causal: bool,
    /// Rotary positions with this base, for positions from 0 on; `None` leaves positions to the embedding.
    pub rotary: Option<f64>,
}

/// Base of rotary positions (Su et al., 2021).
pub const ROTARY_BASE: f64 = 1e4;

impl Heads {
    /// Heads without sharing, no rotary positions.
    pub fn new(queries: usize, causal: bool) -> Self {
        Self { queries, keys: queries, causal, rotary: None }
    }

    /// Width of the joint projection for a model width: queries, keys, values side by side.
    pub fn projected(&self, width: usize) -> usize {
        width + 2 * self.keys * (width / self.queries)
    }

    /// `[B, T, projected]` as queries `[B, queries, T, D]`, keys and values `[B, keys, T, D]`, with rotary
    /// positions for queries and keys if requested.
    #[track_caller]
    pub fn split(&self, qkv: &Tensor, positions: Option<(&Tensor, usize)>) -> [Tensor; 3] {
        let s = qkv.shape();
        let fits = s.len() == 3
            && self.keys > 0
            && self.queries.is_multiple_of(self.keys)
            && s[2].is_multiple_of(self.queries + 2 * self.keys);
        assert!(fits, "attention: {} for {} heads of queries, {} of keys", qkv.ty(), self.queries, self.keys);
        let width = s[2] / (self.queries + 2 * self.keys);
        let heads = |at: usize, n: usize| {
            qkv.narrow(2, at * width, n * width).reshape(&[s[0], s[1], n, width]).permute(&[0, 2, 1, 3])
        };
        let (q, k) = (heads(0, self.queries), heads(self.queries, self.keys));
        let v = heads(self.queries + self.keys, self.keys);
        let turned = |x: Tensor| match (self.rotary, positions) {
            (Some(base), Some((at, limit))) => x.rotary(at, limit, base),
            (Some(base), None) => x.rotary(&x.builder().iota(s[1]), s[1], base),
            (None, _) => x,
        };
        [turned(q), turned(k), v]
    }

    /// Keys or values as many as queries.
    #[track_caller]
    pub fn shared(&self, x: &Tensor) -> Tensor {
        if self.keys == self.queries { x.clone() } else { x.repeat_heads(self.queries / self.keys) }
    }

    /// Attention over a joint projection `[B, T, projected]`, heads joined again: `[B, T, width]`.
    #[track_caller]
    pub fn attend(&self, qkv: &Tensor) -> Tensor {
        let [q, k, v] = self.split(qkv, None);
        join(&q.scaled_dot_product_attention(&k, &v, self.causal))
    }
}

/// `[B, H, T, D]` as `[B, T, H * D]`.
#[track_caller]
pub fn join(heads: &Tensor) -> Tensor {
    let s = heads.shape();
    heads.permute(&[0, 2, 1, 3]).reshape(&[s[0], s[2], s[1] * s[3]])
}

impl Net {
    /// `torch.nn.MultiheadAttention` of a sequence with itself (`batch_first=True`): `[B, T, E] -> [B, T, E]`, f32.
    /// Parameters `name.in_proj_weight`, `name.in_proj_bias`, `name.out_proj.weight`, `name.out_proj.bias`; the
    /// first two have fewer rows if keys and values are shared.
    ///
    /// ```
    /// # use wgrad_nn::{Heads, Mode, Net};
    /// # use wgrad_types::Type;
    /// # let net = Net::new(Mode::Train);
    /// let x = net.input("x", Type::f32(&[2, 16, 64]));
    /// assert_eq!(net.multihead_attention("attn", &x, Heads::new(4, true)).shape(), [2, 16, 64]);
    /// ```
    ///
    /// # Panics
    /// If the name is taken, or the rank is not 3, or the heads do not divide the width.
    #[track_caller]
    pub fn multihead_attention(&self, name: &str, x: &Tensor, heads: Heads) -> Tensor {
        let width = *x.shape().last().unwrap_or(&1);
        let _scope = self.builder().scope(name);
        let rows = heads.projected(width);
        let weight = self.weight(&format!("{name}.in_proj_weight"), &[rows, width], Init::XavierUniform);
        let bias = self.weight(&format!("{name}.in_proj_bias"), &[rows], Init::Zeros);
        let y = heads.attend(&x.linear(&weight, Some(&bias)));
        let weight =
            self.weight(&format!("{name}.out_proj.weight"), &[width, width], Init::pytorch_default());
        let bias = self.weight(&format!("{name}.out_proj.bias"), &[width], Init::Zeros);
        y.linear(&weight, Some(&bias))
    }
}
