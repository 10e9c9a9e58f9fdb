//! Cost of a training step before anything runs: kernels, work and memory of AlexNet.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::models::{ImageModel, ModelKind};
use wgrad::plan::{PlanOptions, Summary, plan, verify};
use wgrad::prelude::*;
use wgrad::train::train_graph;
use wgrad::types::Caps;

fn main() -> wgrad::Result<()> {
    let model =
        ImageModel { kind: ModelKind::AlexNet, channels: 3, size: (224, 224), classes: 10, width: 1.0 };
    let (graph, _) = train_graph(&model, 64, &Optimizer::adam(), 0.0, 0)?;
    let plan = plan(&graph, &Caps::cpu(), &PlanOptions::default())?;
    verify(&plan).expect("a sound plan");
    let s = Summary::of(&plan);
    println!(
        "{} kernels, {:.1} GFLOP, peak {:.0} MiB per step",
        s.dispatches,
        s.flops as f64 / 1e9,
        s.peak_bytes as f64 / 1_048_576.0
    );
    Ok(())
}
