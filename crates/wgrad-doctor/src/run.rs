//! A case's graph on a device, by the kernel variants of one rank.

use crate::machine::Target;
use std::sync::Arc;
use std::time::Instant;
use wgrad_device::{Device, DeviceError};
use wgrad_graph::{Env, Graph};
use wgrad_kernels::FIRST_SCALAR_WORD;
use wgrad_plan::{Plan, PlanOptions, plan, verify};
use wgrad_types::HostTensor;

/// More variants than any step has.
pub const TRIED_VARIANTS: usize = 8;

/// Which of their variants a plan's steps take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selection {
    /// By rank: 0 is the best guess.
    pub(crate) variant: usize,
    /// The one step that takes it, by its number, where it is one; the others take their best guess.
    pub(crate) only: Option<usize>,
}

/// The plan by the variants of a rank, its memory proved sound.
///
/// # Errors
/// Where the graph has no plan for these capabilities.
pub fn planned(graph: &Graph, target: &Target, variant: usize) -> Result<Plan, String> {
    planned_as(graph, target, Selection { variant, only: None })
}

/// As [`planned`], by a pick.
pub(crate) fn planned_as(graph: &Graph, target: &Target, selection: Selection) -> Result<Plan, String> {
    let options = PlanOptions { variant: selection.variant, only: selection.only, ..PlanOptions::default() };
    let plan = plan(graph, &target.caps, &options).map_err(|e| e.to_string())?;
    verify(&plan)?;
    Ok(plan)
}

/// The kernels' texts: plans with the same are the same to a device.
pub(crate) fn texts(plan: &Plan) -> Vec<Arc<str>> {
    plan.kernels.iter().flat_map(|s| s.variant.launches.iter().map(|l| l.source.clone())).collect()
}

/// What running a plan gave.
pub struct Runs {
    /// The plan's outputs, of every run.
    pub results: Vec<Vec<HostTensor>>,
    /// Seconds from the plan to the first run's results.
    pub compiling: f64,
    /// Seconds of the last run, from the inputs to the results.
    pub seconds: f64,
}

/// Runs a plan several times in the same memory: from the second time on it holds what the run before has left.
///
/// # Errors
/// Where a kernel does not compile, memory does not suffice, or the device is lost.
pub fn run(device: &Device, plan: &Arc<Plan>, env: &Env, times: usize) -> Result<Runs, DeviceError> {
    let begun = Instant::now();
    let mut memory = device.memory(&plan.layout)?;
    let mut program = device.program(plan.clone(), &memory)?;
    let inputs: Vec<HostTensor> =
        plan.inputs.iter().map(|i| env.inputs[&i.name].to_host(i.ty.dtype)).collect();
    let words: Vec<&[u32]> = inputs.iter().map(|t| t.words.as_slice()).collect();
    let mut scalars = vec![env.seed, env.step];
    scalars.resize(FIRST_SCALAR_WORD, 0);
    scalars.extend(plan.scalars.iter().map(|s| (env.inputs[s].data[0] as f32).to_bits()));
    let mut runs = Runs { results: Vec::new(), compiling: 0.0, seconds: 0.0 };
    for time in 0..times {
        let start = Instant::now();
        program.step(&mut memory, &words, &scalars)?;
        let words = program.wait()?.unwrap_or_default();
        runs.seconds = start.elapsed().as_secs_f64();
        if time == 0 {
            runs.compiling = begun.elapsed().as_secs_f64();
        }
        let tensor = |(named, words): (&wgrad_plan::Named, _)| HostTensor { ty: named.ty.clone(), words };
        runs.results.push(plan.outputs.iter().zip(words).map(tensor).collect());
    }
    Ok(runs)
}
