//! Scaled dot-product attention as operations of its own: result, log-sum-exp of the scores, and the three gradients.
//!
//! With s = q k^T / sqrt(D) over a query's visible keys: lse = log sum exp s, p = exp(s - lse), y = p v.
//! Backwards (Dao et al., "FlashAttention-2", 2023), with delta = the row sums of dy * y: dv = p^T dy,
//! ds = p * (dy v^T - delta), dq = ds k / sqrt(D), dk = ds^T q / sqrt(D). No operation stores p: its size is queries
//! times keys, and it is cheap to recompute.

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type};

/// `softmax(q k^T / sqrt(D)) v`: q `[B, H, L, D]`, k `[B, G, S, D]`, v `[B, G, S, E]` -> `[B, L, H, E]`, so that heads
/// join without a copy. G divides H: heads in groups of H / G share keys and values (Ainslie et al., 2023).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attention {
    /// Hide from position `i` every key after `i`.
    pub causal: bool,
}

/// The logarithm of the sum of `exp(q k^T / sqrt(D))` over a query's visible keys: q, k -> `[B, H, L]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionLse {
    /// As in [`Attention`].
    pub causal: bool,
}

/// An operand of [`Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionOperand {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
}

/// Gradient of [`Attention`] with respect to one operand: q, k, v, `dy` `[B, L, H, E]`, `lse` and `delta` `[B, H, L]` ->
/// the operand's shape with heads and positions exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttentionGrad {
    /// As in [`Attention`].
    pub causal: bool,
    /// The operand.
    pub of: AttentionOperand,
}

/// Extents of an attention.
#[derive(Clone, Copy)]
struct Extents {
    batch: usize,
    heads: usize,
    groups: usize,
    queries: usize,
    keys: usize,
    depth: usize,
    width: usize,
}

fn extents(op: &'static str, x: &[Type]) -> Result<Extents, ShapeError> {
    let (q, k, v) = (&x[0], &x[1], x.get(2).unwrap_or(&x[1]));
    let fits = [q, k, v].iter().all(|t| t.shape.len() == 4 && matches!(t.dtype, DType::F32 | DType::F16))
        && q.shape[0] == k.shape[0]
        && q.shape[3] == k.shape[3]
        && k.shape[..3] == v.shape[..3]
        && k.shape[1] > 0
        && q.shape[1].is_multiple_of(k.shape[1])
        && k.shape[2] > 0;
    if !fits {
        return Err(ShapeError::new(
            op,
            format!(
                "q {q}, k {k}, v {v}: needs f32 or f16 [B, H, L, D], [B, G, S, D], [B, G, S, E], G a divisor of H"
            ),
        ));
    }
    let [batch, heads, queries, depth] = [0, 1, 2, 3].map(|d| q.shape[d]);
    Ok(Extents { batch, heads, groups: k.shape[1], queries, keys: k.shape[2], depth, width: v.shape[3] })
}

impl Extents {
    fn of(x: &[Array]) -> Self {
        let types: Vec<Type> = x.iter().take(3).map(|a| Type::f32(&a.shape)).collect();
        extents("attention", &types).expect("infer has checked the shapes")
    }

    fn scale(&self) -> f64 {
        1.0 / (self.depth as f64).sqrt()
    }

    /// Calls `f(b, h, i, scores)` for every query with the scores of the keys it sees.
    fn each(&self, causal: bool, q: &Array, k: &Array, mut f: impl FnMut(usize, usize, usize, &[f64])) {
        for b in 0..self.batch {
            for h in 0..self.heads {
                for i in 0..self.queries {
                    let seen = if causal { (i + 1).min(self.keys) } else { self.keys };
                    let row = self.query(b, h, i);
                    let score = |j: usize| {
                        let key = self.key(b, h, j) * self.depth;
                        let dot = (0..self.depth).map(|d| q.data[row * self.depth + d] * k.data[key + d]);
                        dot.sum::<f64>() * self.scale()
                    };
                    f(b, h, i, &(0..seen).map(score).collect::<Vec<_>>());
                }
            }
        }
    }

    fn query(&self, b: usize, h: usize, i: usize) -> usize {
        (b * self.heads + h) * self.queries + i
    }

    /// Row of k and v for key `j` of head `h`.
    fn key(&self, b: usize, h: usize, j: usize) -> usize {
        (b * self.groups + h / (self.heads / self.groups)) * self.keys + j
    }

    /// The row of the result.
    fn result(&self, b: usize, h: usize, i: usize) -> usize {
        (b * self.queries + i) * self.heads + h
    }
}

fn log_sum_exp(scores: &[f64]) -> f64 {
    let most = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
    most + scores.iter().map(|s| (s - most).exp()).sum::<f64>().ln()
}

impl OpDef for Attention {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let e = extents("attention", x)?;
        Ok(Type::f32(&[e.batch, e.queries, e.heads, e.width]))
    }
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        let lse = x[0].attention_lse(&x[1], self.causal);
        let delta = (dy * y).sum(&[3]).permute(&[0, 2, 1]);
        let gradient = |of| {
            let op = AttentionGrad { causal: self.causal, of };
            Some(x[0].attention_grad(op, [&x[1], &x[2], dy, &lse, &delta]).permute(&[0, 2, 1, 3]))
        };
        Vjp::Of([AttentionOperand::Q, AttentionOperand::K, AttentionOperand::V].map(gradient).into())
    }
    fn reference(&self, x: &[Array]) -> Array {
        let e = Extents::of(x);
        let mut y = Array::zeros(&[e.batch, e.queries, e.heads, e.width]);
        e.each(self.causal, &x[0], &x[1], |b, h, i, scores| {
            let lse = log_sum_exp(scores);
            for (j, s) in scores.iter().enumerate() {
                for c in 0..e.width {
                    y.data[e.result(b, h, i) * e.width + c] +=
                        (s - lse).exp() * x[2].data[e.key(b, h, j) * e.width + c];
                }
            }
        });
        y
    }
    fn name(&self) -> &'static str {
        "attention"
    }
}

impl OpDef for AttentionLse {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let e = extents("attention_lse", x)?;
        Ok(Type::f32(&[e.batch, e.heads, e.queries]))
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::None("the log-sum-exp of attention's scores is there for attention's own gradient")
    }
    fn reference(&self, x: &[Array]) -> Array {
        let e = Extents::of(x);
        let mut y = Array::zeros(&[e.batch, e.heads, e.queries]);
        e.each(self.causal, &x[0], &x[1], |b, h, i, scores| y.data[e.query(b, h, i)] = log_sum_exp(scores));
        y
    }
    fn name(&self) -> &'static str {
        "attention_lse"
    }
}

impl OpDef for AttentionGrad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let e = extents("attention_grad", x)?;
        let rows = Type::f32(&[e.batch, e.heads, e.queries]);
        if x[3].widened() != Type::f32(&[e.batch, e.queries, e.heads, e.width])
            || x[4] != rows
            || x[5] != rows
        {
            let given = format!("dy {}, lse {}, delta {}", x[3], x[4], x[5]);
            return Err(ShapeError::new(
                "attention_grad",
                format!("{given} do not fit q {}, v {}", x[0], x[2]),
            ));
        }
        Ok(Type::f32(&match self.of {
            AttentionOperand::Q => [e.batch, e.queries, e.heads, e.depth],
            AttentionOperand::K => [e.batch, e.keys, e.groups, e.depth],
            AttentionOperand::V => [e.batch, e.keys, e.groups, e.width],
        }))
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::None("second derivatives through attention are not provided")
    }
    fn reference(&self, x: &[Array]) -> Array {
        let [q, k, v, dy, lse, delta] = [0, 1, 2, 3, 4, 5].map(|i| &x[i]);
        let e = Extents::of(x);
        let types: Vec<Type> = x.iter().map(|a| Type::f32(&a.shape)).collect();
        let mut dx = Array::zeros(&self.infer(&types).expect("infer has checked the shapes").shape);
        e.each(self.causal, q, k, |b, h, i, scores| {
            let (row, out) = (e.query(b, h, i), e.result(b, h, i));
            for (j, s) in scores.iter().enumerate() {
                let key = e.key(b, h, j);
                // Gradients of keys and values lie as [B, S, G, ..].
                let to = (b * e.keys + j) * e.groups + h / (e.heads / e.groups);
                let p = (s - lse.data[row]).exp();
                let dp: f64 =
                    (0..e.width).map(|c| dy.data[out * e.width + c] * v.data[key * e.width + c]).sum();
                let ds = p * (dp - delta.data[row]) * e.scale();
                match self.of {
                    AttentionOperand::Q => {
                        (0..e.depth)
                            .for_each(|d| dx.data[out * e.depth + d] += ds * k.data[key * e.depth + d]);
                    }
                    AttentionOperand::K => {
                        (0..e.depth)
                            .for_each(|d| dx.data[to * e.depth + d] += ds * q.data[row * e.depth + d]);
                    }
                    AttentionOperand::V => {
                        (0..e.width)
                            .for_each(|c| dx.data[to * e.width + c] += p * dy.data[out * e.width + c]);
                    }
                }
            }
        });
        dx
    }
    fn name(&self) -> &'static str {
        match self.of {
            AttentionOperand::Q => "attention_grad_q",
            AttentionOperand::K => "attention_grad_k",
            AttentionOperand::V => "attention_grad_v",
        }
    }
}
