//! Attention as a kernel: operands, their views and the results wanted.

use crate::SmallList;
use smallvec::smallvec;
use wgrad_types::View;

/// A result of an attention kernel, forward or backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The result, `[B, L, H, E]`.
    Y,
    /// Log-sum-exp of the scores, `[B, H, L]`.
    Lse,
    /// Gradient of q, `[B, L, H, D]`.
    Dq,
    /// Gradient of k, `[B, S, G, D]`.
    Dk,
    /// Gradient of v, `[B, S, G, E]`.
    Dv,
}

/// Operands by position: q `[B, H, L, D]`, k `[B, G, S, D]`, v `[B, G, S, E]`; backwards also dy `[B, L, H,
/// E]`, lse and delta `[B, H, L]`. A kernel for [`Part::Lse`] alone may end with k.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Hide from position `i` every key after `i`.
    pub causal: bool,
    /// View of each operand, without masks.
    pub views: Vec<View>,
    /// Content of each output: forward parts, or backward ones.
    pub parts: Vec<Part>,
}

/// Position of an operand in [`Attention::views`].
pub(crate) const Q: usize = 0;
pub(crate) const K: usize = 1;
pub(crate) const V: usize = 2;
pub(crate) const DY: usize = 3;
pub(crate) const LSE: usize = 4;
pub(crate) const DELTA: usize = 5;

/// Extents of an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extents {
    /// Batch.
    pub batch: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub groups: usize,
    /// Queries a head.
    pub queries: usize,
    /// Keys a head.
    pub keys: usize,
    /// Elements per query and per key.
    pub depth: usize,
    /// Elements per value.
    pub width: usize,
}

impl Attention {
    /// The extents; `width` is `depth` if there is no v.
    pub fn extents(&self) -> Extents {
        let (q, k) = (&self.views[Q].shape, &self.views[K].shape);
        let v = &self.views.get(V).unwrap_or(&self.views[K]).shape;
        Extents {
            batch: q[0],
            heads: q[1],
            groups: k[1],
            queries: q[2],
            keys: k[2],
            depth: q[3],
            width: v[3],
        }
    }

    /// True for gradients.
    pub fn is_gradient(&self) -> bool {
        self.views.len() > V + 1
    }

    /// Output index of a part.
    pub fn output(&self, part: Part) -> Option<usize> {
        self.parts.iter().position(|p| *p == part)
    }

    /// The shape of a part.
    pub fn shape(&self, part: Part) -> SmallList<usize> {
        let e = self.extents();
        match part {
            Part::Y => smallvec![e.batch, e.queries, e.heads, e.width],
            Part::Lse => smallvec![e.batch, e.heads, e.queries],
            Part::Dq => smallvec![e.batch, e.queries, e.heads, e.depth],
            Part::Dk => smallvec![e.batch, e.keys, e.groups, e.depth],
            Part::Dv => smallvec![e.batch, e.keys, e.groups, e.width],
        }
    }

    /// Floating-point operations by count, a multiply-add counting two: products over all visible pairs of
    /// query and key.
    pub fn flops(&self) -> usize {
        let e = self.extents();
        let seen = |i: usize| if self.causal { (i + 1).min(e.keys) } else { e.keys };
        let pairs = e.batch * e.heads * (0..e.queries).map(seen).sum::<usize>();
        let any = |parts: &[Part]| parts.iter().any(|p| self.parts.contains(p));
        let (d, w) = (e.depth, e.width);
        // Scores always; dy v^T only if ds is needed.
        let mut a_pair = d + if any(&[Part::Dq, Part::Dk]) { w } else { 0 };
        for part in &self.parts {
            a_pair += match part {
                Part::Y | Part::Dv => w,
                Part::Dq | Part::Dk => d,
                Part::Lse => 0,
            };
        }
        2 * pairs * a_pair
    }
}
