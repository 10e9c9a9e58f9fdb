//! The plans that make a training step: of a whole batch, or of parts of it one after another with an update at the end,
//! so that a batch may be larger than memory holds at once.
//!
//! A part adds its gradients, times its share of the batch's samples, to sums kept between plans; the update's plan moves
//! the weights by them. But for batch statistics, which are each part's own, it is the step of the whole batch. A second
//! player's step ends a step in the same place.

use crate::TrainError;
use crate::anomaly::Watch;
use crate::graphs::PADDING;
use crate::precision::recorded;
use crate::task::{Feed, Gradients, Task};
use crate::transfer;
use std::collections::VecDeque;
use wgrad_device::Device;
use wgrad_nn::{Init, Mode, Net, Optimizer, SHARE};
use wgrad_plan::Summary;
use wgrad_session::{Outputs, Runner, Session};
use wgrad_types::HostTensor;

/// A training step's plans, and what of them is under way.
pub(crate) struct Plans {
    part: Runner,
    rows: usize,
    /// For the rows that are left at the end of a batch.
    rest: Option<Runner>,
    /// What ends a step: the update where parts only sum their gradients, or a second player's step.
    end: Option<Runner>,
    /// Whether parts sum.
    sums: bool,
    /// Parts of a full batch.
    parts: u64,
    /// Samples of the parts under way, and their steps' numbers.
    pending: VecDeque<(usize, u64)>,
}

/// Results of a part of a step.
pub(crate) struct Found {
    pub outputs: Outputs,
    /// How many samples its loss is a mean over.
    pub samples: usize,
    /// The step's number, from 1.
    pub step: u64,
}

/// A step's number and the optimizer's scalars.
pub(crate) struct Now<'a> {
    pub step: u64,
    pub scalars: &'a [(&'a str, f32)],
    pub watch: Option<&'a mut Watch>,
}

/// A part of a batch.
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

/// Labels that count.
fn counted(y: &HostTensor) -> usize {
    y.as_i32().iter().filter(|&&label| label != PADDING).count()
}

/// A batch in parts of so many rows and one of those left.
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

/// An anomaly told with the number of the step rather than its part's.
fn in_step(error: TrainError, step: u64) -> TrainError {
    match error {
        TrainError::Anomaly { what, .. } => TrainError::Anomaly { step: step + 1, what },
        other => other,
    }
}

/// The update of all weights that training moves, from their sums.
fn update(part: &Net, optimizer: &Optimizer, freeze: Option<&str>) -> Result<Net, TrainError> {
    let net = Net::new(Mode::Train);
    let moving = transfer::trainable(part, freeze)?.into_iter();
    // How they start is the part's matter.
    let own: Vec<_> =
        moving.map(|(name, t)| (name.clone(), net.weight(&name, &t.shape(), Init::Zeros))).collect();
    optimizer.apply(net.builder(), &own);
    Ok(net)
}

/// What a step in so many parts does with its gradients.
fn gradients(optimizer: &Optimizer, parts: usize) -> Gradients<'_> {
    match parts {
        1 => Gradients::Update(optimizer),
        _ => Gradients::Sum { loss_scaling: optimizer.loss_scaling },
    }
}

/// The network of a full part of a step and, where parts only sum their gradients, that of the update.
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
    /// The plans of a task's step in so many parts, with the session they share and the name of the last layer.
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
                let part = both.pop().expect("a plan a graph");
                (session, part, both.pop())
            }
        };
        // A full batch of a small data set may leave a rest, too; then there is no shorter batch.
        let left = short.unwrap_or(full) % size;
        let rest = match left {
            0 => None,
            _ => Some(
                session.runner(&recorded(&task.training(left, gradients(optimizer, parts))?, optimizer))?,
            ),
        };
        let (parts, sums) = (parts as u64, parts > 1);
        let plans = Self { part, rows: size, rest, end, sums, parts, pending: VecDeque::new() };
        Ok((plans, session, transfer::head(&net)))
    }

    /// Totals of a full batch's step.
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

    /// Submits a step on a batch. Gives what is finished of it and of those before, in order.
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
            // Every part has random draws of its own.
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
            // It has no results; what says so is taken off the queue.
            while end.ready()?.is_some() {}
        }
        found.extend(self.collect(false)?);
        Ok(found)
    }

    /// Results of the parts under way: those ready, or all.
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
    fn a_batch_is_cut_into_parts_and_a_rest() {
        let (x, y) =
            (HostTensor::f32(&[5, 2], &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9.]), [3, PADDING, 1, 0, 2]);
        let parts = cut(Feed { x, y: HostTensor::i32(&[5], &y), rows: 5 }, 2);
        let of = |f: fn(&Part) -> usize| parts.iter().map(f).collect::<Vec<_>>();
        assert_eq!((of(|p| p.rows), of(|p| p.samples)), (vec![2, 2, 1], vec![1, 2, 1]));
        assert_eq!(parts[1].x.as_f32(), [4., 5., 6., 7.]);
        assert_eq!((parts[2].x.as_f32(), parts[2].y.as_i32()), (&[8., 9.][..], &[2][..]));
    }
}
