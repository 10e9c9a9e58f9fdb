//! Matrix multiplication. Transposes are views of the operands, so there is one operation.

use super::{OpDef, Vjp};
use crate::Tensor;
use wgrad_types::{Array, DType, ShapeError, Type, broadcast_shapes, coordinates, numel};

/// `y[.., i, j] = sum_k a[.., i, k] * b[.., k, j]`: `[.., M, K]` x `[.., K, N]` -> `[.., M, N]`, f32 (of f16 operands, too),
/// leading axes broadcast (`torch.matmul` for two operands of rank 2 or more).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatMul;

impl OpDef for MatMul {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        let (a, b) = (&x[0], &x[1]);
        let wrong = || {
            ShapeError::new("matmul", format!("{a} x {b}: inner extents must agree, leading ones broadcast"))
        };
        let (ra, rb) = (a.shape.len(), b.shape.len());
        let real = |t: &Type| matches!(t.dtype, DType::F32 | DType::F16);
        if ra < 2 || rb < 2 || !real(a) || !real(b) || a.shape[ra - 1] != b.shape[rb - 2] {
            return Err(wrong());
        }
        let mut shape = broadcast_shapes(&a.shape[..ra - 2], &b.shape[..rb - 2]).ok_or_else(wrong)?;
        shape.extend([a.shape[ra - 2], b.shape[rb - 1]]);
        Ok(Type::f32(&shape))
    }
    fn vjp(&self, x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vjp {
        let (a, b) = (&x[0], &x[1]);
        let da = dy.matmul(&b.t()).sum_to(&a.shape());
        let db = a.t().matmul(dy).sum_to(&b.shape());
        Vjp::Of(vec![Some(da), Some(db)])
    }
    fn reference(&self, x: &[Array]) -> Array {
        let (a, b) = (&x[0], &x[1]);
        let (ra, rb) = (a.shape.len(), b.shape.len());
        let (m, k, n) = (a.shape[ra - 2], a.shape[ra - 1], b.shape[rb - 1]);
        let batch =
            broadcast_shapes(&a.shape[..ra - 2], &b.shape[..rb - 2]).expect("infer has checked the shapes");
        let mut shape = batch.clone();
        shape.extend([m, n]);
        // A broadcast operand's matrix number: coordinates of the batch, with its own extents of 1 held at 0.
        let matrix = |own: &[usize], batch_index: usize| {
            let at = coordinates(batch_index, &batch);
            let lead = batch.len() - own.len();
            own.iter().enumerate().fold(0, |acc, (d, &e)| acc * e + if e == 1 { 0 } else { at[lead + d] })
        };
        let mut y = Array::zeros(&shape);
        for z in 0..numel(&batch) {
            let (az, bz) = (matrix(&a.shape[..ra - 2], z), matrix(&b.shape[..rb - 2], z));
            for i in 0..m {
                for p in 0..k {
                    let av = a.data[(az * m + i) * k + p];
                    for j in 0..n {
                        y.data[(z * m + i) * n + j] += av * b.data[(bz * k + p) * n + j];
                    }
                }
            }
        }
        y
    }
    fn name(&self) -> &'static str {
        "matmul"
    }
}
