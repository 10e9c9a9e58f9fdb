//! Gather along an axis and its deterministic gradient. Embedding is a gather with its index broadcast along
//! rows.

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type, coordinates, strides_of};

/// `y[.., j, ..] = x[.., index[.., j, ..], ..]` along `axis` (`torch.gather`): operands `x` f32, `index` i32. All other
/// extents agree. An index outside `[0, extent)` reads 0 and receives no gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// The axis indexed.
    pub axis: usize,
}

fn check(op: &'static str, x: &[usize], index: &Type, axis: usize) -> Result<(), ShapeError> {
    let rank = x.len();
    let agree = axis < rank
        && index.shape.len() == rank
        && (0..rank).all(|d| d == axis || x[d] == index.shape[d])
        && index.dtype == DType::I32;
    match agree {
        true => Ok(()),
        false => Err(ShapeError::new(op, format!("index {index} along axis {axis} of {x:?}"))),
    }
}

/// Linear index into `x` of every element of `index`; `None` if out of range.
fn sources(x: &[usize], index: &Array, axis: usize) -> Vec<Option<usize>> {
    let strides = strides_of(x);
    let source = |(i, &v): (usize, &f64)| {
        let mut at = coordinates(i, &index.shape);
        (v >= 0.0 && (v as usize) < x[axis]).then(|| {
            at[axis] = v as usize;
            at.iter().zip(&strides).map(|(a, s)| a * s).sum()
        })
    };
    index.data.iter().enumerate().map(source).collect()
}

impl OpDef for Gather {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        check("gather", &x[0].shape, &x[1], self.axis)?;
        if x[0].dtype != DType::F32 {
            return Err(ShapeError::new("gather", format!("needs f32, got {}", x[0])));
        }
        Ok(Type::f32(&x[1].shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let size = x[0].shape()[self.axis];
        Vjp::Of(vec![Some(dy.gather_grad(&x[1], self.axis, size)), None])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let from = sources(&x[0].shape, &x[1], self.axis);
        Array::from_fn(&x[1].shape, |i| from[i].map_or(0.0, |s| x[0].data[s]))
    }
    fn name(&self) -> &'static str {
        "gather"
    }
}

/// Gradient of [`Gather`]: operands `dy`, `index`; each `dy` is added at its index, in ascending order of position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatherGrad {
    /// The axis indexed.
    pub axis: usize,
    /// The gathered operand's extent along it.
    pub size: usize,
}

impl OpDef for GatherGrad {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let mut shape = x[0].shape.clone();
        if x[0].shape != x[1].shape || x[0].dtype != DType::F32 || self.axis >= shape.len() {
            return Err(ShapeError::new("gather_grad", format!("dy {} for index {}", x[0], x[1])));
        }
        shape[self.axis] = self.size;
        check("gather_grad", &shape, &x[1], self.axis)?;
        Ok(Type::f32(&shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, g: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(g.gather(self.axis, &x[1])), None])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let mut shape = x[0].shape.clone();
        shape[self.axis] = self.size;
        let mut dx = Array::zeros(&shape);
        for (i, to) in sources(&shape, &x[1], self.axis).into_iter().enumerate() {
            if let Some(s) = to {
                dx.data[s] += x[0].data[i];
            }
        }
        dx
    }
    fn name(&self) -> &'static str {
        "gather_grad"
    }
}
