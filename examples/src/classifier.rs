//! A classifier of pictures on a device, shared by several examples: a trainer and an evaluator over one set of weights.

use crate::{Images, Random};
use wgrad::Result;
use wgrad::graph::CrossEntropy;
use wgrad::prelude::*;
use wgrad::session::Tensors;

/// Pictures per step, in training and in evaluation.
pub const BATCH: usize = 50;

/// A network in training, and its accuracy on demand.
pub struct Classifier {
    trainer: Trainer,
    evaluator: Evaluator,
}

impl Classifier {
    /// A network of `build` (pictures `[N, 1, side, side]` to logits), drawn from `seed`; Adam trains the weights that
    /// `trainable` accepts by name.
    ///
    /// # Errors
    /// If the device cannot hold it.
    pub fn new(
        device: &Device,
        side: usize,
        build: impl Fn(&Net, &Tensor) -> Tensor,
        trainable: impl Fn(&str) -> bool,
        seed: u64,
    ) -> Result<Self> {
        let inputs = |net: &Net| {
            let x = net.input("x", Type::f32(&[BATCH, 1, side, side]));
            (build(net, &x), net.input("y", Type::i32(&[BATCH])))
        };
        let net = Net::new(Mode::Train);
        let (logits, y) = inputs(&net);
        let loss = logits.cross_entropy(&y, CrossEntropy::default());
        let options = TrainerOptions::default().seed(seed).trainable(trainable);
        let trainer = net.trainer_with(&loss, Optimizer::adam(), device, options)?;

        let net = Net::new(Mode::Eval);
        let (logits, y) = inputs(&net);
        net.output("correct", &logits.correct(&y));
        let evaluator = trainer.evaluator(&net.graph())?;
        Ok(Self { trainer, evaluator })
    }

    /// One pass over the pictures in a random order; the mean loss. The last batch is filled up from the first.
    ///
    /// # Errors
    /// If the device fails.
    pub fn epoch(&mut self, images: &Images, random: &mut Random, lr: f64) -> Result<f64> {
        let order = random.order(images.len());
        let batches = images.len().div_ceil(BATCH);
        let mut sum = 0.0;
        for i in 0..batches {
            let at = |k: usize| order[(i * BATCH + k) % order.len()];
            let (x, y) = images.pick(&(0..BATCH).map(at).collect::<Vec<_>>()).tensors();
            sum += f64::from(self.trainer.step([("x", &x), ("y", &y)], lr)?.scalar("loss"));
        }
        Ok(sum / batches as f64)
    }

    /// Share of pictures classified correctly, over as many whole batches as there are.
    ///
    /// # Errors
    /// If the device fails.
    pub fn accuracy(&mut self, images: &Images) -> Result<f64> {
        let batches = images.len() / BATCH;
        let mut correct = 0.0;
        for i in 0..batches {
            let (x, y) = images.pick(&(i * BATCH..(i + 1) * BATCH).collect::<Vec<_>>()).tensors();
            correct += f64::from(self.evaluator.run([("x", &x), ("y", &y)])?.scalar("correct"));
        }
        Ok(correct / (batches * BATCH).max(1) as f64)
    }

    /// Another graph over the same weights.
    ///
    /// # Errors
    /// If the graph has no plan on the device, or reads a tensor the network lacks.
    pub fn evaluator(&self, graph: &Graph) -> Result<Evaluator> {
        Ok(self.trainer.evaluator(graph)?)
    }

    /// Values of the weights.
    ///
    /// # Errors
    /// If the device fails.
    pub fn weights(&self) -> Result<Tensors> {
        Ok(self.trainer.weights()?)
    }

    /// Overwrites these weights.
    ///
    /// # Errors
    /// If a name or shape is not this network's.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<()> {
        Ok(self.trainer.set_tensors(weights)?)
    }
}
