//! Reductions over axes. Mean, variance, log-sum-exp and softmax are compositions in `tensor/`.

use super::{BinaryKind, OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type, coordinates, numel, strides_of};

/// Kind of reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceKind {
    /// Sum, in a fixed order; 0 of nothing.
    Sum,
    /// Largest, NaN if any is; gradient shared evenly among ties, as `torch.amax`.
    Max,
    /// Smallest, NaN if any is; gradient shared evenly among ties, as `torch.amin`.
    Min,
}

impl ReduceKind {
    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        ["sum", "amax", "amin"][self as usize]
    }

    /// Two elements into one.
    pub fn combine(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => a + b,
            Self::Max => BinaryKind::Maximum.eval(a, b),
            Self::Min => BinaryKind::Minimum.eval(a, b),
        }
    }

    /// Start value of a reduction: 0, or infinity of the other sign.
    pub fn start(self) -> f64 {
        match self {
            Self::Sum => 0.0,
            Self::Max => f64::NEG_INFINITY,
            Self::Min => f64::INFINITY,
        }
    }
}

/// A reduction over `axes` (sorted) to extent 1: `[2, 3, 4]` over `[1]` gives `[2, 1, 4]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Kind of reduction.
    pub kind: ReduceKind,
    /// Axes reduced to extent 1, ascending.
    pub axes: Vec<usize>,
}

fn kept(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|d| if axes.contains(&d) { 1 } else { shape[d] }).collect()
}

impl OpDef for Reduce {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let t = &x[0];
        if t.dtype != DType::F32 || self.axes.iter().any(|&a| a >= t.shape.len()) {
            return Err(ShapeError::new(self.kind.name(), format!("axes {:?} of {t}", self.axes)));
        }
        if self.kind != ReduceKind::Sum && self.axes.iter().any(|&a| t.shape[a] == 0) {
            return Err(ShapeError::new(
                self.kind.name(),
                format!("of nothing: axes {:?} of {t}", self.axes),
            ));
        }
        Ok(Type::f32(&kept(&t.shape, &self.axes)))
    }
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        let shape = x[0].shape();
        let dx = match self.kind {
            ReduceKind::Sum => dy.broadcast_to(&shape),
            ReduceKind::Max | ReduceKind::Min => {
                let hit = x[0].eq(&y.broadcast_to(&shape)).to_f32();
                let share = dy / &hit.sum_keep(&self.axes);
                hit * &share.broadcast_to(&shape)
            }
        };
        Vjp::Of(vec![Some(dx)])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let mut y = Array::full(&kept(&x[0].shape, &self.axes), self.kind.start());
        let strides = strides_of(&y.shape);
        for (i, &v) in x[0].data.iter().enumerate() {
            let at = coordinates(i, &x[0].shape);
            let o: usize = (0..at.len()).filter(|d| !self.axes.contains(d)).map(|d| at[d] * strides[d]).sum();
            y.data[o] = self.kind.combine(y.data[o], v);
        }
        y
    }
    fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// Position of the first largest element, or of the first NaN, along an axis, reduced to extent 1; i32. No
/// gradient.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArgMax {
    /// The axis searched.
    pub axis: usize,
}

/// True if `v` replaces the largest so far: NaN counts as the largest, the first one stays.
fn beats(v: f64, best: f64) -> bool {
    v > best || v.is_nan() && !best.is_nan()
}

impl OpDef for ArgMax {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let t = &x[0];
        if t.dtype != DType::F32 || self.axis >= t.shape.len() || t.shape[self.axis] == 0 {
            return Err(ShapeError::new("argmax", format!("axis {} of {t}", self.axis)));
        }
        Ok(Type::i32(&kept(&t.shape, &[self.axis])))
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::None("argmax is piecewise constant")
    }
    fn reference(&self, x: &[Array]) -> Array {
        let shape = &x[0].shape;
        let (n, inner) = (shape[self.axis], numel(&shape[self.axis + 1..]));
        Array::from_fn(&kept(shape, &[self.axis]), |o| {
            let at = |j: usize| x[0].data[(o / inner * n + j) * inner + o % inner];
            (1..n).fold(0, |best, j| if beats(at(j), at(best)) { j } else { best }) as f64
        })
    }
    fn name(&self) -> &'static str {
        "argmax"
    }
}
