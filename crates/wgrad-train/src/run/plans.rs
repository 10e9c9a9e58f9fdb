//! Plans of a training step: one for the whole batch, or gradient accumulation: micro-batches in sequence with an update at
//! the end, for batches larger than memory allows.
//!
//! A micro-batch adds its gradients, weighted by its fraction of the batch's samples, to sums kept between plans; the
//! update plan applies them to the weights. Except for batch statistics, computed per micro-batch, the result equals the
//! step of the whole batch. A GAN's generator step takes the place of the update plan.

use super::anomaly::Watch;
use crate::TrainError;
use crate::precision::recorded;
use crate::tasks::freeze::{head, trainable};
use crate::tasks::gradients::Gradients;
use crate::tasks::labelled::PADDING;
use crate::tasks::task::{Feed, Task};
use std::collections::VecDeque;
use wgrad_device::Device;
use wgrad_nn::{Init, Mode, Net, Optimizer, SHARE};
use wgrad_plan::Summary;
use wgrad_session::{Outputs, Runner, Session};
use wgrad_types::HostTensor;

/// Plans of a training step, and their work in flight.
pub(crate) struct Plans {
    part: Runner,
    rows: usize,
    /// Runner for the remaining rows of a batch.
    rest: Option<Runner>,
    /// Last runner of a step: the update after accumulation, or a GAN's generator step.
    end: Option<Runner>,
    /// True if micro-batches accumulate gradients.
    sums: bool,
    /// Micro-batches per full batch.
    parts: u64,
    /// Sample counts and step numbers of the micro-batches in flight.
    pending: VecDeque<(usize, u64)>,
}

/// Results of one micro-batch.
pub(crate) struct Found {
    pub outputs: Outputs,
    /// Number of samples averaged by its loss.
    pub samples: usize,
    /// Step number, from 1.
    pub step: u64,
}

/// Step number and optimizer scalars.
pub(crate) struct Now<'a> {
    pub step: u64,
    pub scalars: &'a [(&'a str, f32)],
    pub watch: Option<&'a mut Watch>,
}

/// Micro-batch.
struct Part {
    x: HostTensor,
    y: HostTensor,
    rows: usize,
    samples: usize,
}

/// Rows `from..to` of a tensor.
fn rows(tensor: &HostTensor, from: usize, to: usize) -> HostTensor {
    let mut ty = tensor.ty.clone();
    let size = ty.numel() / ty.shape[0].max(1);
    ty.shape[0] = to - from;
    HostTensor { ty, words: tensor.words[from * size..to * size].to_vec() }
}

/// Number of labels other than padding.
fn counted(y: &HostTensor) -> usize {
    y.as_i32().iter().filter(|&&label| label != PADDING).count()
}

/// Splits a batch into micro-batches of `rows` rows and a remainder.
fn cut(feed: Feed, size: usize) -> Vec<Part> {
    let Feed { x, y, rows: all } = feed;
    if all <= size {
        let samples = counted(&y);
        return vec![Part { x, y, rows: all, samples }];
    }
    let part = |from: usize| {
        let to = (from + size).min(all);
        let (x, y) = (rows(&x, from, to), rows(&y, from, to));
        let samples = counted(&y);
        Part { x, y, rows: to - from, samples }
    };
    (0..all).step_by(size).map(part).collect()
}

/// Anomaly with the step's number in place of the micro-batch's.
fn in_step(error: TrainError, step: u64) -> TrainError {
    match error {
        TrainError::Anomaly { what, .. } => TrainError::Anomaly { step: step + 1, what },
        other => other,
    }
}

/// Update of all trainable weights from their gradient sums.
fn update(part: &Net, optimizer: &Optimizer, freeze: Option<&str>) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let moving = trainable(part, freeze)?.into_iter();
    // The micro-batch's network initialises the sums.
    let own: Vec<_> =
        moving.map(|(name, t)| (name.clone(), net.weight(&name, &t.shape(), Init::Zeros))).collect();
    optimizer.apply(net.builder(), &own);
    Ok(net)
}

/// Gradient handling of a step of `parts` micro-batches.
fn gradients(optimizer: &Optimizer, parts: usize) -> Gradients<'_> {
    match parts {
        1 => Gradients::Update(optimizer),
        _ => Gradients::Sum { loss_scaling: optimizer.loss_scaling },
    }
}

/// Network of a full micro-batch and, with accumulation, that of the update.
pub(crate) fn nets(
    task: &dyn Task,
    optimizer: &Optimizer,
    (parts, freeze): (usize, Option<&str>),
) -> Result<(Net, Option<Net>), TrainError> {
    let part = task.training(task.batch_sizes().0.div_ceil(parts), gradients(optimizer, parts))?;
    let update = if parts == 1 { None } else { Some(update(&part, optimizer, freeze)?) };
    Ok((part, update))
}

impl Plans {
    /// Plans of a task's step in `parts` micro-batches, with their shared session and the name of the last layer.
    pub(crate) fn new(
        task: &dyn Task,
        optimizer: &Optimizer,
        (parts, freeze): (usize, Option<&str>),
        device: &Device,
        seed: u64,
    ) -> Result<(Self, Session, String), TrainError> {
        let (full, short) = task.batch_sizes();
        let size = full.div_ceil(parts);
        let (net, update) = nets(task, optimizer, (parts, freeze))?;
        let (graph, initial) = (recorded(&net, optimizer), net.initial(seed));
        let end = match update {
            Some(update) => Some(update.builder().graph()),
            None => task.answer(size, optimizer)?,
        };
        let (session, part, end) = match end {
            None => {
                let (session, part) = Session::new(device, &graph, &initial, seed as u32)?;
                (session, part, None)
            }
            Some(end) => {
                let (session, mut both) = Session::over(device, &[&end, &graph], &initial, seed as u32)?;
                let part = both.pop().expect("one plan per graph");
                (session, part, both.pop())
            }
        };
        // A full batch of a small data set may leave a remainder, too; then there is no shorter batch.
        let left = short.unwrap_or(full) % size;
        let rest = match left {
            0 => None,
            _ => Some(
                session.runner(&recorded(&task.training(left, gradients(optimizer, parts))?, optimizer))?,
            ),
        };
        let (parts, sums) = (parts as u64, parts > 1);
        let plans = Self { part, rows: size, rest, end, sums, parts, pending: VecDeque::new() };
        Ok((plans, session, head(&net)))
    }

    /// Plan totals of a full batch's step.
    pub(crate) fn summary(&self) -> Summary {
        let mut all = Summary::on(self.part.plan(), wgrad_device::cpu_threads());
        if let Some(end) = &self.end {
            let end = Summary::of(end.plan());
            all.dispatches = all.dispatches * self.parts as usize + end.dispatches;
            all.flops = all.flops * self.parts + end.flops;
            all.bytes = all.bytes * self.parts + end.bytes;
        }
        all
    }

    /// Submits a step on a batch. Returns the finished results of this and earlier steps, in order.
    pub(crate) fn step(
        &mut self,
        session: &mut Session,
        feed: Feed,
        mut now: Now<'_>,
    ) -> Result<Vec<Found>, TrainError> {
        let mut found = Vec::new();
        let parts = cut(feed, self.rows);
        let samples: usize = parts.iter().map(|p| p.samples).sum();
        for (i, part) in parts.into_iter().enumerate() {
            let share = [(SHARE, part.samples as f32 / samples.max(1) as f32)];
            let scalars = if self.sums { &share } else { now.scalars };
            // Every micro-batch has its own random draws.
            let step = now.step * self.parts + i as u64;
            let inputs = [("x", &part.x), ("y", &part.y)];
            let short = part.rows < self.rows;
            if short {
                found.extend(self.collect(true)?);
            }
            let runner = if short { self.rest.as_mut().unwrap_or(&mut self.part) } else { &mut self.part };
            if let Some(watch) = &mut now.watch {
                let outputs = watch.step(session, runner, step, &inputs, scalars);
                let outputs = outputs.map_err(|e| in_step(e, now.step))?;
                found.push(Found { outputs, samples: part.samples, step: now.step + 1 });
                continue;
            }
            runner.step(session, step, &inputs, scalars)?;
            if short {
                let outputs = runner.wait()?.expect("a step is under way");
                found.push(Found { outputs, samples: part.samples, step: now.step + 1 });
            } else {
                self.pending.push_back((part.samples, now.step + 1));
            }
        }
        if let Some(end) = &mut self.end {
            match now.watch {
                Some(watch) => {
                    let done = watch.step(session, end, now.step, &[], now.scalars);
                    done.map_err(|e| in_step(e, now.step))?;
                }
                None => end.step(session, now.step, &[], now.scalars)?,
            }
            // The update has no results; its empty entry is removed from the queue.
            while end.ready()?.is_some() {}
        }
        found.extend(self.collect(false)?);
        Ok(found)
    }

    /// Results of the micro-batches in flight: the finished ones, or all.
    pub(crate) fn collect(&mut self, all: bool) -> Result<Vec<Found>, TrainError> {
        let mut found = Vec::new();
        while let Some(outputs) = if all { self.part.wait()? } else { self.part.ready()? } {
            let (samples, step) = self.pending.pop_front().expect("a result belongs to a part");
            found.push(Found { outputs, samples, step });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_splits_into_micro_batches_and_a_remainder() {
        let (x, y) =
            (HostTensor::f32(&[5, 2], &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9.]), [3, PADDING, 1, 0, 2]);
        let parts = cut(Feed { x, y: HostTensor::i32(&[5], &y), rows: 5 }, 2);
        let of = |f: fn(&Part) -> usize| parts.iter().map(f).collect::<Vec<_>>();
        assert_eq!((of(|p| p.rows), of(|p| p.samples)), (vec![2, 2, 1], vec![1, 2, 1]));
        assert_eq!(parts[1].x.as_f32(), [4., 5., 6., 7.]);
        assert_eq!((parts[2].x.as_f32(), parts[2].y.as_i32()), (&[8., 9.][..], &[2][..]));
    }
}
