//! The tuner: times every variant of a graph's kernels on an adapter and keeps the fastest correct ones.
//!
//! Each kernel runs alone on synthetic values ([`trial`]). A variant's result must match the CPU's before its time counts; a
//! variant with an error, a lost device or a wrong result is named and left out.

mod trial;

use crate::SessionError;
use std::path::PathBuf;
use trial::Bench;
use wgrad_device::{Clock, Device};
use wgrad_graph::Graph;
use wgrad_kernels::{Variant, variants};
use wgrad_plan::{Choices, MOST_VARIANTS, Plan, PlanOptions, PlannedKernel, key, plan};
use wgrad_types::AdapterClass;

/// A variant replaces the default below this share of its time; smaller gains are clock noise.
const CLEARLY_FASTER: f64 = 0.97;

/// A variant and its time in seconds, or the reason for none.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Name of the variant.
    pub variant: String,
    /// Shortest of its times, or its fault.
    pub seconds: Result<f64, String>,
}

/// Trials of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// Family and shapes.
    pub what: String,
    /// Number of kernels of the graphs equal to this one.
    pub count: usize,
    /// Its variants, the default first.
    pub trials: Vec<Trial>,
    /// Index of the variant to take; `None` if none is correct.
    pub winner: Option<usize>,
    /// The clock.
    pub clock: Clock,
    key: u64,
}

impl Tuned {
    /// Seconds per run of the default and of the winner; `None` if either has no time.
    pub fn seconds(&self) -> Option<(f64, f64)> {
        let of = |at: usize| self.trials.get(at)?.seconds.clone().ok();
        Some((of(0)?, of(self.winner?)?))
    }
}

/// Results of tuning graphs.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The kernels timed.
    pub kernels: Vec<Tuned>,
    /// File of the choices; `None` if nothing is kept between runs.
    pub kept: Option<PathBuf>,
}

/// Tunes every kernel with several variants, and keeps the choices on the device and in its file. Without `again`, kernels
/// tuned earlier are left alone. `seen` gets each as it is done. A device lost on the way is reopened in its place.
///
/// # Errors
/// If a graph has no plan, the device cannot be opened again, or the file cannot be written.
pub fn tune(
    device: &mut Device,
    graphs: &[&Graph],
    again: bool,
    seen: &mut dyn FnMut(&Tuned),
) -> Result<Tuning, SessionError> {
    let mut all: Vec<Tuned> = Vec::new();
    if device.caps().class == AdapterClass::Cpu {
        return Ok(Tuning { kernels: all, kept: None });
    }
    let known = device.choices();
    let mut plans = Vec::new();
    for graph in graphs {
        plans.push(plan(graph, device.caps(), &PlanOptions::default())?);
    }
    // Every kernel once, with the number of its steps.
    let mut kernels: Vec<(u64, Vec<Variant>, &Plan, &PlannedKernel, usize)> = Vec::new();
    for (plan, kernel) in plans.iter().flat_map(|p| p.kernels.iter().map(move |s| (p, s))) {
        let variants = compared(kernel, device);
        let key = key(&variants);
        match kernels.iter_mut().find(|k| k.0 == key) {
            Some(kernel) => kernel.4 += 1,
            None => kernels.push((key, variants, plan, kernel, 1)),
        }
    }
    kernels.retain(|(key, variants, ..)| variants.len() > 1 && (again || !known.0.contains_key(key)));
    for (_, variants, plan, kernel, count) in kernels {
        let tuned = Tuned { count, ..tune_kernel(device, plan, kernel, &variants)? };
        seen(&tuned);
        all.push(tuned);
    }
    let variant = |t: &Tuned| Some((t.key, t.trials[t.winner?].variant.clone()));
    let kept = device
        .keep(&Choices(all.iter().filter_map(variant).collect()))
        .map_err(|source| SessionError::Io { path: "the cache folder".into(), source })?;
    Ok(Tuning { kernels: all, kept })
}

/// A step's forms; it has a plan, so it has some.
fn compared(kernel: &PlannedKernel, device: &Device) -> Vec<Variant> {
    let mut variants = variants(&kernel.kernel, device.caps()).unwrap_or_default();
    variants.truncate(MOST_VARIANTS);
    variants
}

/// Times one kernel of a plan by each of these variants, and names the fastest correct one.
///
/// # Errors
/// If the device was lost and cannot be opened again.
pub fn tune_kernel(
    device: &mut Device,
    plan: &Plan,
    kernel: &PlannedKernel,
    variants: &[Variant],
) -> Result<Tuned, SessionError> {
    let mut bench = Bench::new(device, plan, kernel)?;
    for variant in variants {
        bench.admit(variant)?;
    }
    let (times, clock) = bench.times()?;
    let trial = |(variant, seconds): (&Variant, _)| Trial { variant: variant.name.clone(), seconds };
    let trials: Vec<Trial> = variants.iter().zip(times).map(trial).collect();
    let winner = winner(&trials);
    Ok(Tuned { what: what(kernel), count: 1, trials, winner, clock, key: key(variants) })
}

/// The first guess, unless another is clearly faster or it has no time.
fn winner(trials: &[Trial]) -> Option<usize> {
    let timed = trials.iter().enumerate().filter_map(|(i, t)| Some((i, *t.seconds.as_ref().ok()?)));
    let (best, seconds) = timed.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let first = trials[0].seconds.as_ref().ok();
    Some(if first.is_some_and(|first| seconds > first * CLEARLY_FASTER) { 0 } else { best })
}

/// Family, operands and result: "conv2d [8, 64, 56, 56] [64, 64, 3, 3] -> [8, 64, 56, 56]".
fn what(kernel: &PlannedKernel) -> String {
    let shapes: Vec<String> =
        kernel.kernel.operands.iter().take(2).map(|t| format!("{:?}", t.shape)).collect();
    format!("{} {} -> {:?}", kernel.kernel.name(), shapes.join(" "), kernel.kernel.output_shape(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_guess_stays_unless_another_is_clearly_faster() {
        let trials = |times: &[Option<f64>]| -> Vec<Trial> {
            let trial = |t: &Option<f64>| Trial { variant: String::new(), seconds: t.ok_or("wrong".into()) };
            times.iter().map(trial).collect()
        };
        assert_eq!(winner(&trials(&[Some(1.0), Some(0.98)])), Some(0));
        assert_eq!(winner(&trials(&[Some(1.0), Some(0.9), Some(0.8)])), Some(2));
        assert_eq!(winner(&trials(&[None, Some(5.0), Some(6.0)])), Some(1));
        assert_eq!(winner(&trials(&[None, None])), None);
    }
}
