//! A training loop by hand: source, loader, network, schedule, evaluation, and nothing of `wgrad::train`.
//!
//! Steps are submitted, and their results collected as they come: preparing the next batch overlaps with computing this
//! one.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;
use wgrad::data::{Batch, Loader, LoaderOptions, Pipeline, SourceOptions, Subset, open, parse_augment};
use wgrad::graph::CrossEntropy;
use wgrad::models::LeNet;
use wgrad::prelude::*;

const BATCH: usize = 50;
const SIDE: usize = 32;

/// Loss of the model on a batch of inputs `x` and `y`, and the output `correct`.
fn classifier(net: &Net) -> Tensor {
    let x = net.input("x", Type::f32(&[BATCH, 1, SIDE, SIDE]));
    let y = net.input("y", Type::i32(&[BATCH]));
    let logits = LeNet { classes: 10, width: 1.0 }.build(net, &x);
    let loss = logits.cross_entropy(&y, CrossEntropy::default());
    net.output("correct", &logits.correct(&y));
    loss
}

fn tensors(batch: &Batch) -> (HostTensor, HostTensor) {
    let shape = [BATCH, 1, SIDE, SIDE];
    (HostTensor::f32(&shape, &batch.images), HostTensor::i32(&[BATCH], &batch.labels))
}

fn main() -> wgrad::Result<()> {
    // Data: the embedded sample, framed to 32x32, mirrored at random in training.
    let dataset = open("fashion-mini", &SourceOptions::default())?;
    let augment = parse_augment("flip")?;
    let (mean, std) = wgrad::data::estimate_normalisation(&dataset.train)?;
    let pipeline = Pipeline { size: (SIDE, SIDE), channels: 1, augment, mean, std };
    let loader = |subset: &Subset, training: bool| {
        // A plan has fixed shapes: incomplete batches are dropped.
        let options = LoaderOptions {
            batch_size: BATCH,
            shuffle: training,
            augment: training,
            drop_last: true,
            ..LoaderOptions::default()
        };
        Loader::new(Arc::new(subset.clone()), pipeline.clone(), options)
    };
    let (train, test) = (loader(&dataset.train, true)?, loader(&dataset.test, false)?);

    // Trainer: gradients and AdamW's updates become part of the graph, which is planned for the device.
    let net = Net::new(Mode::Train);
    let loss = classifier(&net);
    let device = Device::auto()?;
    println!("{}", device.reason());
    let mut trainer = net.trainer(&loss, Optimizer::adamw().clip(Clip::Norm(1.0)), &device)?;

    // Evaluator: another graph over the same weights.
    let eval = Net::new(Mode::Eval);
    classifier(&eval);
    let mut evaluator = trainer.evaluator(&eval.graph())?;
    println!("{} kernels per step\n\nepoch  training loss  test accuracy", trainer.plan().dispatches());

    let epochs = if wgrad_examples::quick() { 1 } else { 8 };
    let total = epochs * train.batches_per_epoch() as u64;
    let mut accuracy = 0.0;
    for epoch in 0..epochs {
        let (mut sum, mut count) = (0.0, 0);
        let mut add = |results: Outputs| {
            sum += f64::from(results.scalar("loss"));
            count += 1;
        };
        for batch in train.epoch(epoch, 0) {
            let (x, y) = tensors(&batch?);
            let lr = Schedule::OneCycle.rate(3e-3, trainer.steps(), total);
            trainer.submit([("x", &x), ("y", &y)], lr)?;
            while let Some(results) = trainer.ready()? {
                add(results);
            }
        }
        while let Some(results) = trainer.collect()? {
            add(results);
        }

        let mut correct = 0.0;
        for batch in test.epoch(0, 0) {
            let (x, y) = tensors(&batch?);
            correct += evaluator.run([("x", &x), ("y", &y)])?.scalar("correct");
        }
        accuracy = correct / (test.batches_per_epoch() * BATCH) as f32;
        println!("{:>5}  {:>13.4}  {:>11.1} %", epoch + 1, sum / f64::from(count), accuracy * 100.0);
    }
    assert!(accuracy > 0.5, "it does not learn: accuracy {accuracy}");
    Ok(())
}
