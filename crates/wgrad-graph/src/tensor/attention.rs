//! Attention, and positions for it.

use super::Tensor;
use crate::ops::{Attention, AttentionGrad, AttentionLse};
use wgrad_types::{Array, DType};

/// Score of hidden positions: below any other, and finite, since WGSL may assume no infinities.
const HIDDEN: f64 = -1e30;

impl Tensor {
    /// `softmax(q k^T / sqrt(D)) v` (`torch.nn.functional.scaled_dot_product_attention` with `enable_gqa`): `self` is q
    /// `[B, H, L, D]`, k `[B, G, S, D]`, v `[B, G, S, E]` -> `[B, H, L, E]`; G divides H, and heads in groups of H / G
    /// share keys and values. `causal` hides from position `i` every key after `i`.
    ///
    /// Head sizes that are multiples of 4 up to 128 run as one kernel that never stores the scores; others, and single
    /// queries, as products around a softmax.
    ///
    /// # Panics
    /// If a rank is not 4 or the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn scaled_dot_product_attention(&self, k: &Self, v: &Self, causal: bool) -> Self {
        let y = self.apply(Attention { causal }, &[k, v]).permute(&[0, 2, 1, 3]);
        let (q, width) = (self.shape(), y.shape()[3]);
        if [q[3], width].iter().all(|d| d.is_multiple_of(4) && (4..=128).contains(d)) && q[2] > 1 {
            return y;
        }
        let times = q[1] / k.shape()[1];
        let (k, v) =
            if times == 1 { (k.clone(), v.clone()) } else { (k.repeat_heads(times), v.repeat_heads(times)) };
        let scores = self.attention_scores(&k, &v);
        if !causal {
            return scores.softmax(-1).matmul(&v);
        }
        let visible = scores.iota_like(3).le(&scores.iota_like(2));
        scores.seen_where(&visible).matmul(&v)
    }

    /// Log-sum-exp of attention's scores, `[B, H, L]`, for its gradient; `self` is q. PyTorch has no such function.
    ///
    /// # Panics
    /// If a rank is not 4 or the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn attention_lse(&self, k: &Self, causal: bool) -> Self {
        self.apply(AttentionLse { causal }, &[k])
    }

    /// Gradient of attention for one operand; `self` is q, the rest k, v, dy, lse, delta as [`AttentionGrad`] says.
    ///
    /// # Panics
    /// If a rank is not 4 or the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn attention_grad(&self, op: AttentionGrad, rest: [&Self; 5]) -> Self {
        self.apply(op, &rest)
    }

    /// `torch.nn.functional.scaled_dot_product_attention(attn_mask)`: `mask` holds truth values that broadcast to
    /// `[B, H, L, S]`, true for the keys a position sees. A row without any gets the mean of all values.
    ///
    /// # Panics
    /// If the mask is not of truth values, or the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn masked_dot_product_attention(&self, k: &Self, v: &Self, mask: &Self) -> Self {
        assert!(mask.dtype() == DType::Bool, "masked_dot_product_attention: mask is {}", mask.ty());
        self.attention_scores(k, v).seen_where(mask).matmul(v)
    }

    #[track_caller]
    fn attention_scores(&self, k: &Self, v: &Self) -> Self {
        let (q, key, value) = (self.shape(), k.shape(), v.shape());
        assert!(
            q.len() == 4 && key.len() == 4 && value.len() == 4 && q[3] == key[3] && key[..3] == value[..3],
            "scaled_dot_product_attention: q {}, k {}, v {}",
            self.ty(),
            k.ty(),
            v.ty()
        );
        self.matmul(&k.t()) * (1.0 / (q[3] as f64).sqrt())
    }

    #[track_caller]
    fn seen_where(&self, mask: &Self) -> Self {
        mask.select(self, &self.full_like(HIDDEN)).softmax(-1)
    }

    /// `torch.repeat_interleave(x, times, 1)`: `[B, G, S, D]` with every head repeated in a row, `[B, G * times, S,
    /// D]`, as grouped-query attention shares keys and values.
    ///
    /// # Panics
    /// If the rank is not 4 or `times` is 0.
    #[track_caller]
    #[must_use]
    pub fn repeat_heads(&self, times: usize) -> Self {
        let s = self.shape();
        assert!(s.len() == 4 && times > 0, "repeat_heads: {times} times {}", self.ty());
        self.reshape(&[s[0], s[1], 1, s[2], s[3]]).broadcast_to(&[s[0], s[1], times, s[2], s[3]]).reshape(&[
            s[0],
            s[1] * times,
            s[2],
            s[3],
        ])
    }

    /// Rotary positions (Su et al., 2021) on `[B, H, S, D]`, D even, halves paired as in LLaMA. At position `p` the pair
    /// `(x[i], x[i + D/2])` turns by `p * base^(-2i / D)`. `positions` `[S]` are i32 in `[0, limit)`. PyTorch has no such
    /// function.
    ///
    /// # Panics
    /// If the rank is not 4, D is odd, or the positions are not `[S]`.
    #[track_caller]
    #[must_use]
    pub fn rotary(&self, positions: &Self, limit: usize, base: f64) -> Self {
        let s = self.shape();
        assert!(
            s.len() == 4 && s[3].is_multiple_of(2) && positions.shape() == [s[2]],
            "rotary: {} at positions {}",
            self.ty(),
            positions.ty()
        );
        let half = s[3] / 2;
        // Tables, not the device's sine: its error grows with the angle.
        let table = |f: fn(f64) -> f64| {
            let angle = |i: usize| (i / half) as f64 * base.powf(-((i % half) as f64) / half as f64);
            self.builder().literal(&Array::from_fn(&[limit, half], |i| f(angle(i)))).embedding(positions)
        };
        let (cos, sin) = (table(f64::cos), table(f64::sin));
        let (a, b) = (self.narrow(3, 0, half), self.narrow(3, half, half));
        Self::concat(&[&(&a * &cos - &b * &sin), &(&b * &cos + &a * &sin)], 3)
    }

    /// Sinusoidal encoding (Vaswani et al., 2017) of positions `self` (i32 in `[0, limit)`, any shape),
    /// `[..] -> [.., width]`: sines of even columns, cosines of odd ones. PyTorch has no such function.
    ///
    /// # Panics
    /// If the positions are not i32.
    #[track_caller]
    #[must_use]
    pub fn sinusoidal_positions(&self, limit: usize, width: usize) -> Self {
        let value = |i: usize| {
            let (position, column) = ((i / width) as f64, i % width);
            let angle = position * 1e4f64.powf(-((column / 2 * 2) as f64) / width as f64);
            if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }
        };
        self.builder().literal(&Array::from_fn(&[limit, width], value)).embedding(self)
    }
}
