//! A case's graph on a device, with a given variant of its kernels.

use crate::machine::Target;
use std::sync::Arc;
use std::time::Instant;
use wgrad_device::{Device, DeviceError};
use wgrad_graph::{Env, Graph};
use wgrad_kernels::FIRST_SCALAR_WORD;
use wgrad_plan::{Plan, PlanOptions, plan, verify};
use wgrad_types::HostTensor;

/// Number of variants to try: more than any kernel has.
pub const TRIED_VARIANTS: usize = 8;

/// Selection of variants for a plan's kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selection {
    /// Index of the variant: 0 is the default.
    pub(crate) variant: usize,
    /// Index of the one kernel to take it, if not all; the others take their default.
    pub(crate) only: Option<usize>,
}

/// The plan with this variant of all kernels, its memory proved sound.
///
/// # Errors
/// If the graph has no plan for these capabilities.
pub fn planned(graph: &Graph, target: &Target, variant: usize) -> Result<Plan, String> {
    planned_as(graph, target, Selection { variant, only: None })
}

/// [`planned`] for a selection of variants.
pub(crate) fn planned_as(graph: &Graph, target: &Target, selection: Selection) -> Result<Plan, String> {
    let options = PlanOptions::default().variant(selection.variant).only(selection.only);
    let plan = plan(graph, &target.caps, &options).map_err(|e| e.to_string())?;
    verify(&plan)?;
    Ok(plan)
}

/// The kernels' texts: plans with the same are the same to a device.
pub(crate) fn texts(plan: &Plan) -> Vec<Arc<str>> {
    plan.kernels.iter().flat_map(|s| s.variant.launches.iter().map(|l| l.source.clone())).collect()
}

/// Results of running a plan.
pub struct Runs {
    /// The plan's outputs, of every run.
    pub results: Vec<Vec<HostTensor>>,
    /// Seconds from the plan to the first run's results.
    pub compiling: f64,
    /// Seconds of the last run, from the inputs to the results.
    pub seconds: f64,
}

/// Runs a plan several times in the same memory: from the second time on it holds leftovers of the run
/// before.
///
/// # Errors
/// If a kernel does not compile, memory is exhausted, or the device is lost.
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
