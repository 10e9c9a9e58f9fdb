//! Reverse-mode differentiation, from graph to graph: the gradient is more nodes of the same graph.
//!
//! Every operation states its own vector-Jacobian product (`OpDef::vjp`); this file only walks the graph backwards
//! and adds up. A missing gradient on the way from loss to parameter is an error with its reason, never a silent zero.

use crate::ops::{OpDef, Vjp};
use crate::tensor::Tensor;
use wgrad_types::{DType, ShapeError};

/// The gradient of `loss` (a scalar) with respect to each of `wrt`, in order; zeros for tensors not in the
/// loss.
///
/// # Errors
/// If `loss` is no f32 scalar, or an operation on the way has no gradient.
///
/// # Panics
/// If a tensor belongs to another graph than the loss.
#[track_caller]
pub fn differentiate(loss: &Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>, ShapeError> {
    loss.builder().owns("differentiate", wrt);
    if loss.dtype() != DType::F32 || loss.numel() != 1 {
        return Err(ShapeError::new("differentiate", format!("the loss must be one f32, got {}", loss.ty())));
    }
    differentiate_from(loss, &loss.full_like(1.0), wrt)
}

/// True if `y` is computed of any of these tensors.
pub fn depends(y: &Tensor, of: &[Tensor]) -> bool {
    dependent(y, of)[y.value().index()]
}

/// Per node up to `y`: true if it is one of these tensors or computed of one.
fn dependent(y: &Tensor, of: &[Tensor]) -> Vec<bool> {
    let count = y.value().index() + 1;
    let mut dependent = vec![false; count];
    for t in of.iter().filter(|t| t.value().index() < count) {
        dependent[t.value().index()] = true;
    }
    let graph = y.graph().borrow();
    for i in 0..count {
        dependent[i] = dependent[i] || graph.nodes[i].inputs.iter().any(|v| dependent[v.index()]);
    }
    dependent
}

fn differentiate_from(y: &Tensor, dy: &Tensor, wrt: &[Tensor]) -> Result<Vec<Tensor>, ShapeError> {
    let count = y.value().index() + 1;
    // Only nodes between a wanted tensor and the loss carry cotangents.
    let wanted = dependent(y, wrt);
    let mut cotangents: Vec<Option<Tensor>> = vec![None; count];
    cotangents[y.value().index()] = Some(dy.clone());
    let outer = y.graph().borrow().scope();
    for i in (0..count).rev() {
        let Some(dy) = cotangents[i].clone().filter(|_| wanted[i]) else { continue };
        let node = y.graph().borrow().nodes[i].clone();
        if node.inputs.is_empty() {
            continue;
        }
        y.graph().borrow_mut().set_scope(&node.scope);
        let operands: Vec<Tensor> = node.inputs.iter().map(|&v| y.at(v)).collect();
        let here = y.at(crate::Value(i as u32));
        let gradients = match node.op.vjp(&operands, &here, &dy) {
            Vjp::Of(gradients) => gradients,
            Vjp::None(why) => {
                y.graph().borrow_mut().set_scope(&outer);
                return Err(ShapeError::new(node.op.name(), format!("no gradient: {why}")));
            }
        };
        for (v, gradient) in node.inputs.iter().zip(gradients) {
            let Some(gradient) = gradient.filter(|_| wanted[v.index()]) else { continue };
            assert_eq!(
                gradient.ty(),
                operands_type(y, *v),
                "{}: a gradient's type differs from its operand's",
                node.op.name()
            );
            let slot = &mut cotangents[v.index()];
            *slot = Some(slot.take().map_or(gradient.clone(), |sum| sum + gradient));
        }
    }
    y.graph().borrow_mut().set_scope(&outer);
    let gradient =
        |t: &Tensor| cotangents.get(t.value().index()).cloned().flatten().unwrap_or_else(|| t.zeros_like());
    Ok(wrt.iter().map(gradient).collect())
}

fn operands_type(y: &Tensor, v: crate::Value) -> wgrad_types::Type {
    y.at(v).ty()
}
