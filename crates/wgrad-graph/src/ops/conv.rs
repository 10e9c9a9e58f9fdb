//! Two-dimensional convolution and its two gradients, closed under differentiation.
//!
//! Images are NCHW, weights `[Cout, Cin / groups, KH, KW]`, as in PyTorch (`torch.nn.functional.conv2d`).

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type};

/// Stride, zero padding, dilation (each for height and width) and groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvSpec {
    /// Stride of the windows, rows and columns.
    pub stride: [usize; 2],
    /// Zeros on both sides.
    pub padding: [usize; 2],
    /// Step between a window's taps.
    pub dilation: [usize; 2],
    /// Number of independent channel groups.
    pub groups: usize,
}

impl Default for ConvSpec {
    fn default() -> Self {
        Self { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }
}

impl ConvSpec {
    /// A square stride and padding.
    pub fn new(stride: usize, padding: usize) -> Self {
        Self { stride: [stride; 2], padding: [padding; 2], ..Self::default() }
    }

    /// Output extent along axis `d` (0 height, 1 width) for an input extent and a kernel extent.
    pub fn out(&self, d: usize, n: usize, k: usize) -> Option<usize> {
        let span = self.dilation[d] * (k.checked_sub(1)?) + 1;
        Some((n + 2 * self.padding[d]).checked_sub(span)? / self.stride[d] + 1)
    }

    fn check(&self, op: &'static str, x: &[usize], w: &[usize]) -> Result<[usize; 4], ShapeError> {
        let why = |what: &str| ShapeError::new(op, format!("{what}: input {x:?}, weight {w:?}, {self:?}"));
        if x.len() != 4 || w.len() != 4 {
            return Err(why("needs [N, C, H, W] and [Cout, Cin / groups, KH, KW]"));
        }
        if self.groups == 0 || self.stride.contains(&0) || self.dilation.contains(&0) {
            return Err(why("groups, stride and dilation must be positive"));
        }
        if x[1] != w[1] * self.groups || !w[0].is_multiple_of(self.groups) {
            return Err(why("channels do not fit the groups"));
        }
        let (Some(oh), Some(ow)) = (self.out(0, x[2], w[2]), self.out(1, x[3], w[3])) else {
            return Err(why("window exceeds the padded input"));
        };
        Ok([x[0], w[0], oh, ow])
    }

    /// Calls `f(x, w, y)` with the linear indices of every product in the convolution of `x` by `w` into `y`.
    fn products(&self, x: &[usize], w: &[usize], y: &[usize], mut f: impl FnMut(usize, usize, usize)) {
        let (out_per_group, in_per_group) = (w[0] / self.groups, w[1]);
        for n in 0..y[0] {
            for co in 0..y[1] {
                for oh in 0..y[2] {
                    for ow in 0..y[3] {
                        let yi = ((n * y[1] + co) * y[2] + oh) * y[3] + ow;
                        for c in 0..in_per_group {
                            let ci = co / out_per_group * in_per_group + c;
                            for r in 0..w[2] {
                                for s in 0..w[3] {
                                    let h = oh * self.stride[0] + r * self.dilation[0];
                                    let v = ow * self.stride[1] + s * self.dilation[1];
                                    let (ph, pw) = (self.padding[0], self.padding[1]);
                                    if h < ph || v < pw || h - ph >= x[2] || v - pw >= x[3] {
                                        continue;
                                    }
                                    let xi = ((n * x[1] + ci) * x[2] + h - ph) * x[3] + v - pw;
                                    let wi = ((co * w[1] + c) * w[2] + r) * w[3] + s;
                                    f(xi, wi, yi);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn all_real(op: &'static str, x: &[Type]) -> Result<(), ShapeError> {
    match x.iter().find(|t| !matches!(t.dtype, DType::F32 | DType::F16)) {
        Some(t) => Err(ShapeError::new(op, format!("needs f32 or f16, got {t}"))),
        None => Ok(()),
    }
}

/// `y[n,o,i,j] = sum_{c,r,s} x[n, c, i*stride + r*dilation - padding, ..] * w[o,c,r,s]`: operands `x`, `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2d(pub ConvSpec);

impl OpDef for Conv2d {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        all_real("conv2d", x)?;
        Ok(Type::f32(&self.0.check("conv2d", &x[0].shape, &x[1].shape)?))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let (xs, ws) = (x[0].shape(), x[1].shape());
        let dx = dy.conv2d_input_grad(&x[1], self.0, [xs[2], xs[3]]);
        let dw = x[0].conv2d_weight_grad(dy, self.0, [ws[2], ws[3]]);
        Vjp::Of(vec![Some(dx), Some(dw)])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let shape = self.0.check("conv2d", &x[0].shape, &x[1].shape).expect("infer has checked the shapes");
        let mut y = Array::zeros(&shape);
        self.0.products(&x[0].shape, &x[1].shape, &shape, |xi, wi, yi| {
            y.data[yi] += x[0].data[xi] * x[1].data[wi];
        });
        y
    }
    fn name(&self) -> &'static str {
        "conv2d"
    }
}

/// Gradient of [`Conv2d`] with respect to its input: operands `dy`, `w`; result `[N, Cin, H, W]`. It is also the
/// transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dInputGrad {
    /// The forward convolution.
    pub spec: ConvSpec,
    /// Height and width of the forward input.
    pub size: [usize; 2],
}

impl OpDef for Conv2dInputGrad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        all_real("conv2d_input_grad", x)?;
        let (dy, w) = (&x[0].shape, &x[1].shape);
        if dy.len() != 4 || w.len() != 4 {
            return Err(ShapeError::new("conv2d_input_grad", format!("needs rank 4: {dy:?}, {w:?}")));
        }
        let shape = [dy[0], w[1] * self.spec.groups, self.size[0], self.size[1]];
        let forward = self.spec.check("conv2d_input_grad", &shape, w)?;
        if forward != dy[..] {
            let why = format!("dy is {dy:?}, the forward result {forward:?}");
            return Err(ShapeError::new("conv2d_input_grad", why));
        }
        Ok(Type::f32(&shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, g: &Tensor) -> Vjp {
        let ws = x[1].shape();
        let dw = g.conv2d_weight_grad(&x[0], self.spec, [ws[2], ws[3]]);
        Vjp::Of(vec![Some(g.conv2d(&x[1], None, self.spec)), Some(dw)])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let w = &x[1].shape;
        let mut dx = Array::zeros(&[x[0].shape[0], w[1] * self.spec.groups, self.size[0], self.size[1]]);
        let shape = dx.shape.clone();
        self.spec.products(&shape, w, &x[0].shape, |xi, wi, yi| dx.data[xi] += x[0].data[yi] * x[1].data[wi]);
        dx
    }
    fn name(&self) -> &'static str {
        "conv2d_input_grad"
    }
}

/// Gradient of [`Conv2d`] with respect to its weight: operands `x`, `dy`; result `[Cout, Cin / groups, KH, KW]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dWeightGrad {
    /// The forward convolution.
    pub spec: ConvSpec,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
}

impl OpDef for Conv2dWeightGrad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        all_real("conv2d_weight_grad", x)?;
        let (xs, dy) = (&x[0].shape, &x[1].shape);
        if xs.len() != 4 || dy.len() != 4 || self.spec.groups == 0 || xs[1] % self.spec.groups != 0 {
            return Err(ShapeError::new("conv2d_weight_grad", format!("{xs:?}, {dy:?}, {:?}", self.spec)));
        }
        let shape = [dy[1], xs[1] / self.spec.groups, self.kernel[0], self.kernel[1]];
        let forward = self.spec.check("conv2d_weight_grad", xs, &shape)?;
        if forward != dy[..] {
            let why = format!("dy is {dy:?}, the forward result {forward:?}");
            return Err(ShapeError::new("conv2d_weight_grad", why));
        }
        Ok(Type::f32(&shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, g: &Tensor) -> Vjp {
        let xs = x[0].shape();
        let dx = x[1].conv2d_input_grad(g, self.spec, [xs[2], xs[3]]);
        Vjp::Of(vec![Some(dx), Some(x[0].conv2d(g, None, self.spec))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let per_group = x[0].shape[1] / self.spec.groups;
        let mut dw = Array::zeros(&[x[1].shape[1], per_group, self.kernel[0], self.kernel[1]]);
        let shape = dw.shape.clone();
        self.spec.products(&x[0].shape, &shape, &x[1].shape, |xi, wi, yi| {
            dw.data[wi] += x[0].data[xi] * x[1].data[yi];
        });
        dw
    }
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }
}
