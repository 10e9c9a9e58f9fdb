//! Movement: the same elements under another shape. Plans read these as strided views and rarely run them.

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, ShapeError, Type, View, coordinates, numel};

/// Reads an array through a view; padding is 0.
fn through(view: &View, x: &Array) -> Array {
    Array::from_fn(&view.shape, |i| view.index(&coordinates(i, &view.shape)).map_or(0.0, |e| x.data[e]))
}

/// The same elements in row-major order under a shape of equal size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reshape(pub Vec<usize>);

impl OpDef for Reshape {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        if numel(&self.0) != x[0].numel() {
            return Err(ShapeError::new("reshape", format!("{} does not fit shape {:?}", x[0], self.0)));
        }
        Ok(Type::new(x[0].dtype, &self.0))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(dy.reshape(&x[0].shape()))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        Array::new(&self.0, x[0].data.clone())
    }
    fn name(&self) -> &'static str {
        "reshape"
    }
}

/// Axes in another order: axis `d` of the result is axis `self.0[d]` of the operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permute(pub Vec<usize>);

impl OpDef for Permute {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let mut seen = self.0.clone();
        seen.sort_unstable();
        if seen != (0..x[0].shape.len()).collect::<Vec<_>>() {
            return Err(ShapeError::new("permute", format!("axes {:?} of {}", self.0, x[0])));
        }
        let shape: Vec<usize> = self.0.iter().map(|&a| x[0].shape[a]).collect();
        Ok(Type::new(x[0].dtype, &shape))
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let mut back = vec![0; self.0.len()];
        for (d, &a) in self.0.iter().enumerate() {
            back[a] = d;
        }
        Vjp::Of(vec![Some(dy.permute(&back))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        through(&View::contiguous(&x[0].shape).permute(&self.0), &x[0])
    }
    fn name(&self) -> &'static str {
        "permute"
    }
}

/// Axes of extent 1 (and missing leading axes) stretched to a shape, PyTorch's `expand`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broadcast(pub Vec<usize>);

impl OpDef for Broadcast {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        if wgrad_types::broadcast_shapes(&x[0].shape, &self.0).as_ref() != Some(&self.0) {
            return Err(ShapeError::new("expand", format!("{} does not stretch to {:?}", x[0], self.0)));
        }
        Ok(Type::new(x[0].dtype, &self.0))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(dy.sum_to(&x[0].shape()))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        through(&View::contiguous(&x[0].shape).broadcast(&self.0), &x[0])
    }
    fn name(&self) -> &'static str {
        "expand"
    }
}

/// A box of the operand: `(start, len)` along every axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice(pub Vec<(usize, usize)>);

impl OpDef for Slice {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let inside =
            self.0.len() == x[0].shape.len() && self.0.iter().zip(&x[0].shape).all(|(r, &n)| r.0 + r.1 <= n);
        if !inside {
            return Err(ShapeError::new("slice", format!("(start, len) {:?} of {}", self.0, x[0])));
        }
        let shape: Vec<usize> = self.0.iter().map(|r| r.1).collect();
        Ok(Type::new(x[0].dtype, &shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let pads: Vec<_> = self.0.iter().zip(x[0].shape()).map(|(r, n)| (r.0, n - r.0 - r.1)).collect();
        Vjp::Of(vec![Some(dy.pad(&pads))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let ranges: Vec<_> = self.0.iter().map(|r| (r.0, 1, r.1)).collect();
        through(&View::contiguous(&x[0].shape).slice(&ranges), &x[0])
    }
    fn name(&self) -> &'static str {
        "slice"
    }
}

/// Zeros around the operand: `(before, after)` along every axis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pad(pub Vec<(usize, usize)>);

impl OpDef for Pad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        if self.0.len() != x[0].shape.len() {
            return Err(ShapeError::new("pad", format!("{} pairs for {}", self.0.len(), x[0])));
        }
        let shape: Vec<usize> = self.0.iter().zip(&x[0].shape).map(|(p, n)| p.0 + n + p.1).collect();
        Ok(Type::new(x[0].dtype, &shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let ranges: Vec<_> = self.0.iter().zip(x[0].shape()).map(|(p, n)| (p.0, n)).collect();
        Vjp::Of(vec![Some(dy.slice(&ranges))])
    }
    fn reference(&self, x: &[Array]) -> Array {
        through(&View::contiguous(&x[0].shape).pad(&self.0), &x[0])
    }
    fn name(&self) -> &'static str {
        "pad"
    }
}

/// The operand itself, as a constant to differentiation (`torch.Tensor.detach`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Detach;

impl OpDef for Detach {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        Ok(x[0].clone())
    }
    fn vjp(&self, _: &[Tensor], _: &Tensor, _: &Tensor) -> Vjp {
        Vjp::Of(vec![None])
    }
    fn reference(&self, x: &[Array]) -> Array {
        x[0].clone()
    }
    fn name(&self) -> &'static str {
        "detach"
    }
}
