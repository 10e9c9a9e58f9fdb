//! Kernels: a row's graph on every device, by every launch candidate, against the f64 reference.

use crate::row::{Built, Row, build};
use crate::{cpu, gpu, gpu_baseline};
use std::sync::Arc;
use wgrad_device::Device;
use wgrad_graph::interpret;
use wgrad_kernels::FIRST_SCALAR_WORD;
use wgrad_plan::{PlanOptions, plan, verify};
use wgrad_types::{AdapterClass, Array, HostTensor};

/// More candidates than any step has.
pub const MOST_CANDIDATES: usize = 8;

/// # Panics
/// Where a device's result differs from the reference by more than the row's tolerance.
pub fn check_kernels(row: &Row) {
    let built = build(row);
    let values = interpret(&built.graph, &built.env);
    let want: Vec<&Array> = built
        .graph
        .outputs
        .iter()
        .map(|(_, v)| values[v.index()].as_ref().expect("outputs are evaluated"))
        .collect();
    for (label, device) in [("cpu", cpu()), ("gpu", gpu()), ("webgpu-baseline", gpu_baseline())] {
        let mut seen: Vec<Vec<String>> = Vec::new();
        for candidate in 0..MOST_CANDIDATES {
            let got = run(&built, &device, candidate, &mut seen);
            let Some(got) = got else { continue };
            for (((name, v), want), got) in built.graph.outputs.iter().zip(&want).zip(&got) {
                let exact = built.graph.ty(*v).dtype != wgrad_types::DType::F32;
                compare(row, label, candidate, name, want, got, exact);
            }
            if device.caps().class == AdapterClass::Cpu {
                break;
            }
        }
    }
}

/// The graph's outputs by the candidates of one rank; `None` where the plan is one already seen.
fn run(built: &Built, device: &Device, candidate: usize, seen: &mut Vec<Vec<String>>) -> Option<Vec<Array>> {
    let options = PlanOptions { candidate, ..PlanOptions::default() };
    let plan = plan(&built.graph, device.caps(), &options).expect("rows fit every device");
    verify(&plan).expect("a plan's memory is sound");
    let kernels: Vec<String> =
        plan.steps.iter().flat_map(|s| s.candidate.launches.iter().map(|l| l.source.to_string())).collect();
    if candidate > 0 && seen.contains(&kernels) {
        return None;
    }
    seen.push(kernels);
    let plan = Arc::new(plan);
    let mut memory = device.memory(&plan.layout).expect("memory");
    let mut program = device.program(plan.clone(), &memory).expect("a program");
    let inputs: Vec<HostTensor> =
        plan.inputs.iter().map(|i| built.env.inputs[&i.name].to_host(i.ty.dtype)).collect();
    let words: Vec<&[u32]> = inputs.iter().map(|t| t.words.as_slice()).collect();
    let mut scalars = vec![built.env.seed, built.env.step];
    scalars.resize(FIRST_SCALAR_WORD, 0);
    scalars.extend(plan.scalars.iter().map(|s| (built.env.inputs[s].data[0] as f32).to_bits()));
    // Twice: the second run finds memory the first has used.
    let mut last = Vec::new();
    for _ in 0..2 {
        program.step(&mut memory, &words, &scalars).expect("a step");
        last = program.wait().expect("results").expect("a step is under way");
    }
    let tensor = |(named, words): (&wgrad_plan::Named, Vec<u32>)| {
        HostTensor { ty: named.ty.clone(), words }.to_array()
    };
    Some(plan.outputs.iter().zip(last).map(tensor).collect())
}

fn compare(row: &Row, device: &str, candidate: usize, output: &str, want: &Array, got: &Array, exact: bool) {
    assert_eq!(want.shape, got.shape, "{} on {device}: shape of {output}", row.name);
    let scale = want.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    for (i, (w, g)) in want.data.iter().zip(&got.data).enumerate() {
        let fits = if exact { w == g } else { (w - g).abs() <= row.tolerance * scale };
        assert!(
            fits,
            "{} on {device}, candidate {candidate}: {output}[{i}] is {g}, the reference {w} (largest {scale}, tolerance {})",
            row.name, row.tolerance
        );
    }
}
