//! A classifier of pictures on a device, as several examples train one: `training_loop.rs` shows what this hides.

use crate::{Images, Random};
use anyhow::{Context as _, Result};
use wgrad::graph::CrossEntropy;
use wgrad::prelude::*;
use wgrad::session::Tensors;

/// Pictures of a step, in training and in evaluation.
pub const BATCH: usize = 50;

/// Plans for training and for evaluation over one set of weights.
pub struct Classifier {
    session: Session,
    training: Runner,
    evaluation: Runner,
    optimizer: Optimizer,
    steps: u64,
}

impl Classifier {
    /// A network of `build` (pictures `[N, 1, side, side]` to logits), drawn from `seed`; Adam moves the weights whose
    /// name `moves` lets through.
    ///
    /// # Errors
    /// Where the device cannot hold it.
    pub fn new(
        device: &Device,
        side: usize,
        build: impl Fn(&Net, &Tensor) -> Tensor,
        moves: impl Fn(&str) -> bool,
        seed: u64,
    ) -> Result<Self> {
        let inputs = |net: &Net| {
            let x = net.input("x", Type::f32(&[BATCH, 1, side, side]));
            (build(net, &x), net.input("y", Type::i32(&[BATCH])))
        };
        let net = Net::new(Mode::Train);
        let (logits, y) = inputs(&net);
        let loss = logits.cross_entropy(&y, CrossEntropy::default());
        net.builder().output("loss", &loss);
        let optimizer = Optimizer::adam();
        let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
        let moving: Vec<_> = weights.into_iter().filter(|w| moves(&w.0)).collect();
        optimizer.minimise(&loss, &moving)?;
        let (session, training) =
            Session::new(device, &net.builder().graph(), &net.initial(seed), seed as u32)?;

        let net = Net::new(Mode::Eval);
        let (logits, y) = inputs(&net);
        net.builder().output("correct", &logits.correct(&y));
        let evaluation = session.runner(&net.builder().graph())?;
        Ok(Self { session, training, evaluation, optimizer, steps: 0 })
    }

    /// One pass over the pictures in a random order; the mean loss. The last batch is filled up from the first.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn epoch(&mut self, images: &Images, random: &mut Random, lr: f64) -> Result<f64> {
        let order = random.order(images.len());
        let batches = images.len().div_ceil(BATCH);
        let mut sum = 0.0;
        for i in 0..batches {
            let at = |k: usize| order[(i * BATCH + k) % order.len()];
            let (x, y) = images.pick(&(0..BATCH).map(at).collect::<Vec<_>>()).tensors();
            let scalars = self.optimizer.scalars(self.steps + 1, lr);
            self.training.step(&mut self.session, self.steps, &[("x", &x), ("y", &y)], &scalars)?;
            self.steps += 1;
            sum += f64::from(self.training.wait()?.context("a step was submitted")?.scalar("loss"));
        }
        Ok(sum / batches as f64)
    }

    /// The share of pictures told right, of as many whole batches as there are.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn accuracy(&mut self, images: &Images) -> Result<f64> {
        let batches = images.len() / BATCH;
        let mut correct = 0.0;
        for i in 0..batches {
            let (x, y) = images.pick(&(i * BATCH..(i + 1) * BATCH).collect::<Vec<_>>()).tensors();
            self.evaluation.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
            correct += f64::from(self.evaluation.wait()?.context("a step was submitted")?.scalar("correct"));
        }
        Ok(correct / (batches * BATCH).max(1) as f64)
    }

    /// The weights' values.
    ///
    /// # Errors
    /// Where the device fails.
    pub fn weights(&self) -> Result<Tensors> {
        let mut tensors = self.session.snapshot()?;
        tensors.retain(|t| t.0 == Role::Weight);
        Ok(tensors)
    }

    /// Overwrites the weights named.
    ///
    /// # Errors
    /// Where a name or shape is not this network's.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<()> {
        Ok(self.session.restore(weights)?)
    }
}
