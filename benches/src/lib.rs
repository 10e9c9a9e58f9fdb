//! What benchmarks share: a training session on made-up images and one step of it, single kernels, and what this
//! machine's processor can do at most.

mod ceilings;
mod kernels;

pub use ceilings::{bandwidth, multiply_adds};
pub use kernels::{Kernel, Ready, Unit, kernels};

use wgrad::models::{ImageModel, ModelKind};
use wgrad::prelude::*;
use wgrad::train::train_graph;

/// A model in training on one batch that stays the same.
pub struct Training {
    session: Session,
    runner: Runner,
    optimizer: Optimizer,
    x: HostTensor,
    y: HostTensor,
    step: u64,
}

impl Training {
    /// Begins on a device by its name.
    ///
    /// # Errors
    /// Where the device or the model fails.
    pub fn new(
        device: &str,
        kind: ModelKind,
        side: usize,
        batch: usize,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let (device, _) = Device::open(&device.parse()?)?;
        let model = ImageModel { kind, channels: 3, size: (side, side), classes: 10, width: 1.0 };
        // As the same models are trained in `peers/`.
        let optimizer = match kind {
            ModelKind::AlexNet => Optimizer::new(OptimizerKind::Sgd { momentum: 0.9, nesterov: false }),
            _ => Optimizer::adam(),
        };
        let (graph, initial) = train_graph(&model, batch, &optimizer, 0.0, 0)?;
        let (session, runner) = Session::new(&device, &graph, &initial, 0)?;
        let pixels: Vec<f32> = (0..batch * 3 * side * side).map(|i| (i % 251) as f32 / 125.0 - 1.0).collect();
        let labels: Vec<i32> = (0..batch).map(|i| (i % 10) as i32).collect();
        let x = HostTensor::f32(&[batch, 3, side, side], &pixels);
        let y = HostTensor::i32(&[batch], &labels);
        Ok(Self { session, runner, optimizer, x, y, step: 0 })
    }

    /// One whole step, results included.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn step(&mut self) -> Result<f32, Box<dyn std::error::Error>> {
        let scalars = self.optimizer.scalars(self.step + 1, 1e-3);
        self.runner.step(&mut self.session, self.step, &[("x", &self.x), ("y", &self.y)], &scalars)?;
        self.step += 1;
        Ok(self.runner.wait()?.map_or(f32::NAN, |o| o.scalar("loss")))
    }
}
