//! `--precision`: whether a training step reads and stores f16 around its products.

use crate::TrainError;
use wgrad_graph::{Graph, autocast};
use wgrad_nn::{Net, Optimizer};
use wgrad_types::{AdapterClass, Caps};

/// The names.
pub(crate) const PRECISIONS: [&str; 2] = ["f32", "f16"];

/// A training step's graph as it is run: in f16 where its optimizer scales the loss for that.
pub(crate) fn recorded(net: &Net, optimizer: &Optimizer) -> Graph {
    let graph = net.builder().graph();
    if optimizer.loss_scaling { autocast(&graph) } else { graph }
}

/// Whether a device can train in a precision. The CPU rounds as f16 would, in f32.
///
/// # Errors
/// Where an adapter has no f16.
pub fn check_precision(precision: &str, caps: &Caps, device: &str) -> Result<(), TrainError> {
    if precision != "f16" || caps.f16 || caps.class == AdapterClass::Cpu {
        return Ok(());
    }
    let why = format!("f16: {device} has none in its shaders; use f32 or another --device");
    Err(TrainError::config("--precision", why))
}
