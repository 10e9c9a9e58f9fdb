//! What benchmarks share: models in training as `peers/` trains them. Kernels and ceilings are those of `wgrad bench`.

use wgrad::models::{ImageModel, ModelKind};
use wgrad::prelude::*;
use wgrad::train::train_graph;
use wgrad_bench::MadeUp;

/// A model ready for training steps.
///
/// # Errors
/// Where the device or the model fails.
pub fn training(
    device: &str,
    kind: ModelKind,
    side: usize,
    batch: usize,
) -> Result<MadeUp, Box<dyn std::error::Error>> {
    let (device, _) = Device::open(&device.parse()?)?;
    let model = ImageModel { kind, channels: 3, size: (side, side), classes: 10, width: 1.0 };
    let optimizer = match kind {
        ModelKind::AlexNet => Optimizer::new(OptimizerKind::Sgd { momentum: 0.9, nesterov: false }),
        _ => Optimizer::adam(),
    };
    let (graph, initial) = train_graph(&model, batch, &optimizer, 0.0, 0)?;
    Ok(MadeUp::new(&device, &graph, Some(&initial), &optimizer.scalars(1, 1e-3))?)
}
