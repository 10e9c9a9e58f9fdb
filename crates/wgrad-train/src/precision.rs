//! `precision`: f16 storage of operands in a training step.

use crate::TrainError;
use wgrad_graph::{Graph, autocast};
use wgrad_nn::{Net, Optimizer};
use wgrad_types::{AdapterClass, Caps};

/// Names of all precisions.
pub(crate) const PRECISIONS: [&str; 2] = ["f32", "f16"];

/// Graph of a training step as run: autocast to f16 if its optimizer scales the loss.
pub(crate) fn recorded(net: &Net, optimizer: &Optimizer) -> Graph {
    let graph = net.builder().graph();
    if optimizer.loss_scaling { autocast(&graph) } else { graph }
}

/// Error if a device does not support a precision. The CPU imitates f16's rounding in f32.
///
/// # Errors
/// If an adapter has no f16.
pub fn check_precision(precision: &str, caps: &Caps, device: &str) -> Result<(), TrainError> {
    if precision != "f16" || caps.f16 || caps.class == AdapterClass::Cpu {
        return Ok(());
    }
    let why = format!("f16: {device} does not support it in shaders; use f32 or another `device`");
    Err(TrainError::config("precision", why))
}
