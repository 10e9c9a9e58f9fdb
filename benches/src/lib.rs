//! What benchmarks share: models in training as `peers/` trains them. Kernels and ceilings are those of `wgrad bench`.

mod ratios;

pub use ratios::{Ratio, ratios};

use wgrad::graph::{fold, hoist};
use wgrad::models::{ImageModel, ModelKind, TextKind, TextModel};
use wgrad::prelude::*;
use wgrad::train::{eval_graph, text_graph, train_graph};
use wgrad_bench::SyntheticStep;

/// A model ready for training steps.
///
/// # Errors
/// Where the device or the model fails.
pub fn training(
    device: &str,
    kind: ModelKind,
    side: usize,
    batch: usize,
) -> Result<SyntheticStep, Box<dyn std::error::Error>> {
    let (device, _) = Device::open(&device.parse()?)?;
    let model = ImageModel { kind, channels: 3, size: (side, side), classes: 10, width: 1.0 };
    let optimizer = match kind {
        ModelKind::AlexNet => Optimizer::new(OptimizerKind::Sgd { momentum: 0.9, nesterov: false }),
        _ => Optimizer::adam(),
    };
    let (graph, initial) = train_graph(&model, batch, &optimizer, 0.0, 0)?;
    Ok(SyntheticStep::new(&device, &graph, Some(&initial), &optimizer.scalars(1, 1e-3))?)
}

/// The evaluation of a batch three ways: its graph as it is, with batch norm in the weights and what depends on weights
/// alone computed before, and as [`Session::inference`] runs it, with weights kept packed. `gpt` is one token of the writing
/// of a GPT of six layers, 384 wide.
///
/// # Errors
/// Where the device or the model fails.
pub fn inference(
    device: &str,
    model: &str,
    batch: usize,
) -> Result<[(&'static str, SyntheticStep); 3], Box<dyn std::error::Error>> {
    let (device, _) = Device::open(&device.parse()?)?;
    let graph = match model {
        "gpt" => {
            let gpt = TextModel {
                layers: 6,
                hidden: 384,
                heads: 6,
                key_heads: 6,
                ..TextModel::new(TextKind::Gpt, 65)
            };
            let net = Net::new(Mode::Eval);
            let one = |name| net.input(name, Type::i32(&[1]));
            net.builder().output("logits", &gpt.step(&net, &one("token"), &one("position"))?);
            net.builder().graph()
        }
        _ => {
            let kind: ModelKind = model.parse()?;
            let side = kind.image_size().unwrap_or(32);
            let model = ImageModel { kind, channels: 3, size: (side, side), classes: 10, width: 1.0 };
            eval_graph(&model, batch)?
        }
    };
    let folded = hoist(&fold(&graph)).each;
    Ok([
        ("plain", SyntheticStep::new(&device, &graph, None, &[])?),
        ("folded", SyntheticStep::new(&device, &folded, None, &[])?),
        ("packed", SyntheticStep::inference(&device, &graph)?),
    ])
}

/// A GPT of four layers, 128 wide, ready for training steps on twelve rows.
///
/// # Errors
/// Where the device or the model fails.
pub fn gpt(device: &str, context: usize) -> Result<SyntheticStep, Box<dyn std::error::Error>> {
    let (device, _) = Device::open(&device.parse()?)?;
    let model = TextModel { context, ..TextModel::new(TextKind::Gpt, 65) };
    let rule = OptimizerKind::AdamW { betas: (0.9, 0.999), eps: 1e-8 };
    let optimizer = Optimizer { weight_decay: 0.0, ..Optimizer::new(rule) };
    let graph = text_graph(&model, 12, Some(&optimizer))?;
    Ok(SyntheticStep::new(&device, &graph, None, &optimizer.scalars(1, 1e-3))?)
}
