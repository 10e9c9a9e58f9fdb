//! Two-dimensional pooling over NCHW images: maximum and average, overlapping and padded, and their gradients.

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type};

/// A pooling window: extent, stride and padding for height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Extent.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Padding on both sides (at most half the kernel): never wins a maximum, counts as zeros in an average.
    pub padding: [usize; 2],
}

impl Window {
    /// A square window with its stride and padding.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2] }
    }

    fn check(&self, op: &'static str, x: &Type) -> Result<[usize; 4], ShapeError> {
        let [kh, kw] = self.kernel;
        let s = &x.shape;
        if s.len() != 4 || x.dtype != DType::F32 {
            return Err(ShapeError::new(op, format!("needs f32[N, C, H, W], got {x}")));
        }
        if kh == 0 || kw == 0 || self.stride.contains(&0) {
            return Err(ShapeError::new(
                op,
                format!("window {kh}x{kw} and stride {:?} must be positive", self.stride),
            ));
        }
        if self.padding[0] * 2 > kh || self.padding[1] * 2 > kw {
            return Err(ShapeError::new(
                op,
                format!("padding {:?} exceeds half the window {kh}x{kw}", self.padding),
            ));
        }
        let out = |d: usize| {
            let room = (s[2 + d] + 2 * self.padding[d]).checked_sub(self.kernel[d])?;
            Some(room / self.stride[d] + 1)
        };
        match (out(0), out(1)) {
            (Some(h), Some(w)) => Ok([s[0], s[1], h, w]),
            _ => Err(ShapeError::new(op, format!("window {kh}x{kw} exceeds input {s:?}"))),
        }
    }

    /// Calls `f(y, inside)` for every window with the linear indices of its elements in row-major order.
    fn windows(&self, x: &[usize], y: &[usize], mut f: impl FnMut(usize, &[usize])) {
        let mut inside = Vec::new();
        for p in 0..y[0] * y[1] {
            for i in 0..y[2] {
                for j in 0..y[3] {
                    inside.clear();
                    for r in 0..self.kernel[0] {
                        for s in 0..self.kernel[1] {
                            let (h, w) = (i * self.stride[0] + r, j * self.stride[1] + s);
                            let (ph, pw) = (self.padding[0], self.padding[1]);
                            if h >= ph && w >= pw && h - ph < x[2] && w - pw < x[3] {
                                inside.push((p * x[2] + h - ph) * x[3] + w - pw);
                            }
                        }
                    }
                    f((p * y[2] + i) * y[3] + j, &inside);
                }
            }
        }
    }

    fn area(&self) -> f64 {
        (self.kernel[0] * self.kernel[1]) as f64
    }
}

/// The first largest of some elements, in their order; the last NaN if there is one, as PyTorch has it.
fn first_max(x: &[f64], inside: &[usize]) -> usize {
    inside.iter().skip(1).fold(inside[0], |best, &i| if x[i] > x[best] || x[i].is_nan() { i } else { best })
}

/// The largest element of each window, NaN if any is (`torch.nn.functional.max_pool2d`). The gradient goes to the window's
/// first maximum in row-major order, or to its last NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaxPool2d(pub Window);

impl OpDef for MaxPool2d {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        Ok(Type::f32(&self.0.check("max_pool2d", &x[0])?))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(x[0].max_pool2d_grad(dy, self.0))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let ty = Type::f32(&x[0].shape);
        let mut y = Array::zeros(&self.0.check("max_pool2d", &ty).expect("infer has checked the shape"));
        let shape = y.shape.clone();
        self.0.windows(&x[0].shape, &shape, |o, inside| y.data[o] = x[0].data[first_max(&x[0].data, inside)]);
        y
    }
    fn name(&self) -> &'static str {
        "max_pool2d"
    }
}

/// Gradient of [`MaxPool2d`]: operands `x`, `dy`; each `dy` is added at its window's first maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MaxPool2dGrad(pub Window);

impl OpDef for MaxPool2dGrad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        pooled("max_pool2d_grad", self.0, &x[0], &x[1])?;
        Ok(x[0].clone())
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, g: &Tensor) -> Vjp {
        // The position of the maxima is piecewise constant.
        Vjp::Of(vec![None, Some(x[0].max_pool2d_of(g, self.0))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let mut dx = Array::zeros(&x[0].shape);
        self.0.windows(&x[0].shape, &x[1].shape, |o, inside| {
            dx.data[first_max(&x[0].data, inside)] += x[1].data[o];
        });
        dx
    }
    fn name(&self) -> &'static str {
        "max_pool2d_grad"
    }
}

fn pooled(op: &'static str, window: Window, x: &Type, dy: &Type) -> Result<(), ShapeError> {
    let forward = window.check(op, x)?;
    if dy.shape != forward || dy.dtype != DType::F32 {
        return Err(ShapeError::new(op, format!("dy is {dy}, the forward result {forward:?}")));
    }
    Ok(())
}

/// The mean of each window, padding counted as zeros (`avg_pool2d` with `count_include_pad=True`, PyTorch's default).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AvgPool2d(pub Window);

impl OpDef for AvgPool2d {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        Ok(Type::f32(&self.0.check("avg_pool2d", &x[0])?))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let s = x[0].shape();
        Vjp::Of(vec![Some(dy.avg_pool2d_grad(self.0, [s[2], s[3]]))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let ty = Type::f32(&x[0].shape);
        let mut y = Array::zeros(&self.0.check("avg_pool2d", &ty).expect("infer has checked the shape"));
        let shape = y.shape.clone();
        self.0.windows(&x[0].shape, &shape, |o, inside| {
            y.data[o] = inside.iter().map(|&i| x[0].data[i]).sum::<f64>() / self.0.area();
        });
        y
    }
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }
}

/// Gradient of [`AvgPool2d`]: operand `dy`; result `[N, C, H, W]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AvgPool2dGrad {
    /// The forward window.
    pub window: Window,
    /// Height and width of the forward input.
    pub size: [usize; 2],
}

impl OpDef for AvgPool2dGrad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        if x[0].shape.len() != 4 {
            return Err(ShapeError::new("avg_pool2d_grad", format!("needs f32[N, C, H, W], got {}", x[0])));
        }
        let ty = Type::f32(&[x[0].shape[0], x[0].shape[1], self.size[0], self.size[1]]);
        pooled("avg_pool2d_grad", self.window, &ty, &x[0])?;
        Ok(ty)
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, g: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(g.avg_pool2d(self.window))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let mut dx = Array::zeros(&[x[0].shape[0], x[0].shape[1], self.size[0], self.size[1]]);
        let shape = dx.shape.clone();
        self.window.windows(&shape, &x[0].shape, |o, inside| {
            for &i in inside {
                dx.data[i] += x[0].data[o] / self.window.area();
            }
        });
        dx
    }
    fn name(&self) -> &'static str {
        "avg_pool2d_grad"
    }
}
