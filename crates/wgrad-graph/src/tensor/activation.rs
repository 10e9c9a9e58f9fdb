//! Activations composed of the element-wise table, numerically stable at both ends. They fuse into one kernel.

use super::Tensor;
use crate::ops::{Binary, BinaryKind};
use std::f64::consts::{PI, SQRT_2};

impl Tensor {
    /// `torch.nn.functional.leaky_relu`: `x` if positive, else `slope * x`. Any shape, f32.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[2], vec![-2.0, 3.0]));
    /// assert_eq!(x.leaky_relu(0.5).to_array().data, [-1.0, 3.0]);
    /// ```
    #[must_use]
    pub fn leaky_relu(&self, slope: f64) -> Self {
        self.gt(&self.zeros_like()).select(self, &(self * slope))
    }

    /// `torch.nn.functional.elu`: `x` if positive, else `alpha * (e^x - 1)`; gradient `alpha` at 0. Any shape, f32.
    #[must_use]
    pub fn elu(&self, alpha: f64) -> Self {
        let zero = self.zeros_like();
        // For positive x this is a constant 0: an overflow of e^x would make the gradient NaN there. At 0 it
        // is x.
        let below = self.le(&zero).select(self, &self.minimum(&zero).detach());
        self.gt(&zero).select(self, &(below.expm1() * alpha))
    }

    /// `torch.nn.functional.gelu`: `x * Phi(x)` by the error function. Any shape, f32.
    #[must_use]
    pub fn gelu(&self) -> Self {
        self * &((self * (1.0 / SQRT_2)).erf() + 1.0) * 0.5
    }

    /// `torch.nn.functional.gelu(approximate="tanh")`. Any shape, f32.
    #[must_use]
    pub fn gelu_tanh(&self) -> Self {
        let inner = (self + &(self * &self.square() * 0.044_715)) * (2.0 / PI).sqrt();
        self * &(inner.tanh() + 1.0) * 0.5
    }

    /// `torch.nn.functional.silu`: `x * sigmoid(x)`, also called swish. Any shape, f32.
    #[must_use]
    pub fn silu(&self) -> Self {
        self * &self.sigmoid()
    }

    /// `torch.nn.functional.mish`: `x * tanh(softplus(x))`. Any shape, f32.
    #[must_use]
    pub fn mish(&self) -> Self {
        self * &self.softplus().tanh()
    }

    /// `torch.nn.functional.hardswish`: `x * clamp(x + 3, 0, 6) / 6`. Any shape, f32.
    #[must_use]
    pub fn hardswish(&self) -> Self {
        self * &((self + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0))
    }

    /// `torch.nn.functional.relu6`: `min(max(x, 0), 6)`; gradient 0 at 0 and at 6. Any shape, f32.
    #[must_use]
    pub fn relu6(&self) -> Self {
        self.clamp(0.0, 6.0)
    }

    /// `torch.clamp` with numbers: elements limited to `[low, high]`, NaN of NaN, gradient 0 outside and at the
    /// bounds. Any shape, f32. With tensors as bounds, and half the gradient on ties, see [`Tensor::maximum`] and
    /// [`Tensor::minimum`].
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[3], vec![-2.0, 0.5, 9.0]));
    /// assert_eq!(x.clamp(-1.0, 1.0).to_array().data, [-1.0, 0.5, 1.0]);
    /// ```
    #[must_use]
    pub fn clamp(&self, low: f64, high: f64) -> Self {
        let from_below = self.apply(Binary(BinaryKind::ClampMin), &[&self.full_like(low)]);
        from_below.apply(Binary(BinaryKind::ClampMax), &[&self.full_like(high)])
    }
}
