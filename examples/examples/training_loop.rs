//! A training loop by hand: source, loader, graph, plans, schedule, evaluation, and nothing of `wgrad::train`.
//!
//! What each line is for stands beside it. Results are collected as they come, so that preparing the next batch and
//! computing this one overlap.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use anyhow::Context as _;
use std::sync::Arc;
use wgrad::data::{Batch, Loader, LoaderOptions, Pipeline, SourceOptions, Subset, open, parse_augment};
use wgrad::graph::CrossEntropy;
use wgrad::models::LeNet;
use wgrad::prelude::*;

const BATCH: usize = 50;
const SIDE: usize = 32;

/// The model, its loss and its hits, over a batch of inputs `x` and `y`.
fn classifier(net: &Net) -> Tensor {
    let x = net.input("x", Type::f32(&[BATCH, 1, SIDE, SIDE]));
    let y = net.input("y", Type::i32(&[BATCH]));
    let logits = LeNet { classes: 10, width: 1.0 }.build(net, &x);
    let loss = logits.cross_entropy(&y, CrossEntropy::default());
    net.builder().output("loss", &loss);
    net.builder().output("correct", &logits.correct(&y));
    loss
}

fn tensors(batch: &Batch) -> (HostTensor, HostTensor) {
    let shape = [BATCH, 1, SIDE, SIDE];
    (HostTensor::f32(&shape, &batch.images), HostTensor::i32(&[BATCH], &batch.labels))
}

fn main() -> anyhow::Result<()> {
    // Data: the embedded sample, framed to 32x32, mirrored at random in training.
    let dataset = open("fashion-mini", &SourceOptions::default())?;
    let augment = parse_augment("flip")?;
    let (mean, std) = wgrad::data::estimate_normalisation(&dataset.train)?;
    let pipeline = Pipeline { size: (SIDE, SIDE), channels: 1, augment, mean, std };
    let loader = |subset: &Subset, training: bool| {
        // A plan has fixed shapes, so batches that are not full are left out.
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

    // Graph: the loss, then its gradients and AdamW's updates become part of it.
    let net = Net::new(Mode::Train);
    let loss = classifier(&net);
    let adamw = OptimizerKind::named("adamw").context("an optimizer")?;
    let optimizer = Optimizer { weight_decay: 0.01, clip: Clip::Norm(1.0), ..Optimizer::new(adamw) };
    let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
    optimizer.minimise(&loss, &weights)?;

    // Plans: one trains, one evaluates, over the same weights on the device.
    let (device, choice) = Device::open(&"auto".parse()?)?;
    println!("{}", choice.reason);
    let (mut session, mut training) = Session::new(&device, &net.builder().graph(), &net.initial(0), 0)?;
    let eval = Net::new(Mode::Eval);
    classifier(&eval);
    let mut evaluation = session.runner(&eval.builder().graph())?;
    println!("{} kernels a step\n\nepoch  training loss  test accuracy", training.plan().dispatches());

    let epochs = if wgrad_examples::quick() { 1 } else { 8 };
    let total = epochs * train.batches_per_epoch() as u64;
    let (mut step, mut accuracy) = (0, 0.0);
    for epoch in 0..epochs {
        let (mut sum, mut count) = (0.0, 0);
        let mut add = |results: Outputs| {
            sum += f64::from(results.scalar("loss"));
            count += 1;
        };
        for batch in train.epoch(epoch, 0) {
            let (x, y) = tensors(&batch?);
            let lr = Schedule::OneCycle.rate(3e-3, step, total);
            step += 1;
            // Submits the step and goes on; scalars are the learning rate and Adam's bias corrections.
            training.step(&mut session, step, &[("x", &x), ("y", &y)], &optimizer.scalars(step, lr))?;
            while let Some(results) = training.ready()? {
                add(results);
            }
        }
        while let Some(results) = training.wait()? {
            add(results);
        }

        let mut correct = 0.0;
        for batch in test.epoch(0, 0) {
            let (x, y) = tensors(&batch?);
            evaluation.step(&mut session, 0, &[("x", &x), ("y", &y)], &[])?;
            correct += evaluation.wait()?.context("a step was submitted")?.scalar("correct");
        }
        accuracy = correct / (test.batches_per_epoch() * BATCH) as f32;
        println!("{:>5}  {:>13.4}  {:>11.1} %", epoch + 1, sum / f64::from(count), accuracy * 100.0);
    }
    anyhow::ensure!(accuracy > 0.5, "it does not learn: accuracy {accuracy}");
    Ok(())
}
