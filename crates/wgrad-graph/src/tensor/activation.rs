//! Activations composed of the element-wise table, numerically stable at both ends. They fuse into one kernel.

use super::Tensor;
use crate::ops::{Binary, BinaryKind};
use std::f64::consts::{PI, SQRT_2};

impl Tensor {
    /// `x` if positive, `slope * x` otherwise (`torch.nn.functional.leaky_relu`).
    #[must_use]
    pub fn leaky_relu(&self, slope: f64) -> Self {
        self.gt(&self.zeros_like()).select(self, &(self * slope))
    }

    /// `x` if positive, `alpha * (e^x - 1)` otherwise (`torch.nn.functional.elu`); gradient `alpha` at 0.
    #[must_use]
    pub fn elu(&self, alpha: f64) -> Self {
        let zero = self.zeros_like();
        // For positive x this is a constant 0: an overflow of e^x would make the gradient NaN there. At 0 it
        // is x.
        let below = self.le(&zero).select(self, &self.minimum(&zero).detach());
        self.gt(&zero).select(self, &(below.expm1() * alpha))
    }

    /// `x * Phi(x)`, the erf form (`torch.nn.functional.gelu`).
    #[must_use]
    pub fn gelu(&self) -> Self {
        self * &((self * (1.0 / SQRT_2)).erf() + 1.0) * 0.5
    }

    /// The tanh form of GELU (`approximate="tanh"`).
    #[must_use]
    pub fn gelu_tanh(&self) -> Self {
        let inner = (self + &(self * &self.square() * 0.044_715)) * (2.0 / PI).sqrt();
        self * &(inner.tanh() + 1.0) * 0.5
    }

    /// `x * sigmoid(x)`, also called swish.
    #[must_use]
    pub fn silu(&self) -> Self {
        self * &self.sigmoid()
    }

    /// `x * tanh(softplus(x))`.
    #[must_use]
    pub fn mish(&self) -> Self {
        self * &self.softplus().tanh()
    }

    /// `x * clamp(x + 3, 0, 6) / 6`.
    #[must_use]
    pub fn hardswish(&self) -> Self {
        self * &((self + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0))
    }

    /// `min(max(x, 0), 6)` (`torch.nn.functional.relu6`); gradient 0 at 0 and at 6.
    #[must_use]
    pub fn relu6(&self) -> Self {
        self.clamp(0.0, 6.0)
    }

    /// Limits elements to `[low, high]` (`torch.clamp` with numbers): NaN stays NaN, gradient 0 outside and
    /// at the bounds. For tensors as bounds, with half the gradient at ties, use [`Tensor::maximum`] and
    /// [`Tensor::minimum`].
    #[must_use]
    pub fn clamp(&self, low: f64, high: f64) -> Self {
        let from_below = self.apply(Binary(BinaryKind::ClampMin), &[&self.full_like(low)]);
        from_below.apply(Binary(BinaryKind::ClampMax), &[&self.full_like(high)])
    }
}
