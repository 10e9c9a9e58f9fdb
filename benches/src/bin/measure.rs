//! One workload's figures as tab-separated lines, as the programs in `peers/` print them:
//! `peer workload device metric value`.
//!
//! `measure cifar_cnn_b32`, `measure alexnet_b16`, `measure gpt_c64`, `measure kernels`, `measure all_kernels`, `measure
//! matmul_512`, `measure ceilings`, `measure ratios`, `measure infer_resnet18_b1`; `RAYON_NUM_THREADS` sets the threads, `WGRAD_BENCH_DEVICE` another device than `cpu`.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

use std::error::Error;
use std::time::Instant;
use wgrad::models::ModelKind;
use wgrad::prelude::*;
use wgrad_bench::{Ceilings, Kernel, SyntheticStep, Unit, all_kernels, kernels};
use wgrad_benches::{inference, ratios, training};

type Done = Result<(), Box<dyn Error>>;

/// Seconds a row is measured for.
const SECONDS: f64 = 2.0;

struct Report {
    device: String,
}

impl Report {
    fn row(&self, workload: &str, metric: &str, value: f64) {
        println!("wgrad\t{workload}\t{}\t{metric}\t{value:.5}", self.device);
    }

    /// Dispatches if the device has them, and bytes if every operand is touched once; first, median and best
    /// of timed runs, with `items` per run.
    fn times(&self, workload: &str, metric: &str, items: f64, synthetic: &mut SyntheticStep) -> Done {
        let plan = synthetic.runner().plan();
        let dispatches: usize = plan.kernels.iter().map(|s| s.variant.launches.len()).sum();
        if dispatches > 0 {
            self.row(workload, "dispatches", dispatches as f64);
        }
        self.row(workload, "bytes_moved", plan.kernels.iter().map(|s| s.cost.bytes).sum::<u64>() as f64);
        let first = Instant::now();
        synthetic.step()?;
        self.row(workload, "first_step_ms", first.elapsed().as_secs_f64() * 1e3);
        synthetic.step()?;
        let times = synthetic.times(SECONDS)?;
        self.row(workload, metric, items / times[times.len() / 2]);
        self.row(workload, &format!("{metric}_best"), items / times[0]);
        self.row(workload, "ms", times[times.len() / 2] * 1e3);
        Ok(())
    }
}

/// Peak memory of this process, in MiB; 0 if the system does not tell.
fn peak_rss() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0)
}

/// Medians of the three modes of [`inference`], timed in turns, with the memory of each.
fn infer(report: &Report, device: &str, workload: &str) -> Done {
    let (model, batch) = workload["infer_".len()..].rsplit_once("_b").ok_or("no such workload")?;
    let batch: usize = batch.parse()?;
    let mut ways = inference(device, model, batch)?;
    let mut times = [(); 3].map(|()| Vec::new());
    for round in 0..6 {
        for ((_, way), times) in ways.iter_mut().zip(&mut times) {
            let found = way.times(SECONDS / 6.0)?;
            // The first round warms up.
            times.extend(found.into_iter().filter(|_| round > 0));
        }
    }
    for ((name, way), times) in ways.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        report.row(workload, &format!("examples_per_s_{name}"), batch as f64 / times[times.len() / 2]);
        report.row(workload, &format!("steps_{name}"), way.runner().plan().kernels.len() as f64);
        report.row(workload, &format!("mb_{name}"), way.runner().counters().bytes as f64 / 1e6);
    }
    Ok(())
}

fn main() -> Done {
    let begun = Instant::now();
    let workload = std::env::args().nth(1).ok_or(
        "usage: measure cifar_cnn_bN | alexnet_bN | gpt_cN | infer_MODEL_bN | kernels | ceilings | ratios",
    )?;
    let device = wgrad_benches::device_name();
    let threads = rayon::current_num_threads();
    let label = if device == "cpu" { format!("cpu{threads}t") } else { device.clone() };
    let report = Report { device: label };
    if workload.starts_with("infer_") {
        return infer(&report, &device, &workload);
    }
    if workload == "ceilings" {
        let most = Ceilings::of(&Device::open(&device.parse()?)?.0)?;
        report.row(&workload, "GFLOP_per_s", most.flops / 1e9);
        report.row(&workload, "GB_per_s", most.bytes / 1e9);
        return Ok(());
    }
    if workload == "ratios" {
        let found = ratios(&Device::open(&device.parse()?)?.0)?;
        found.iter().for_each(|ratio| println!("{ratio}"));
        return Ok(());
    }
    let chosen: Vec<Kernel> = match &workload[..] {
        "kernels" => kernels(),
        "all_kernels" => all_kernels(),
        name => all_kernels().into_iter().filter(|k| k.name == name).collect(),
    };
    if !chosen.is_empty() {
        let (device, _) = Device::open(&device.parse()?)?;
        for kernel in chosen {
            let metric = if kernel.unit == Unit::Flop { "GFLOP_per_s" } else { "GB_per_s" };
            let mut ready = kernel.on(&device)?;
            report.times(kernel.name, metric, kernel.amount / 1e9, &mut ready)?;
        }
        return Ok(());
    }
    if let Some(context) = workload.strip_prefix("gpt_c") {
        let context: usize = context.parse()?;
        let mut model = wgrad_benches::gpt(&device, context)?;
        model.step()?;
        report.row(&workload, "start_to_first_step_s", begun.elapsed().as_secs_f64());
        report.times(&workload, "tokens_per_s", 12.0 * context as f64, &mut model)?;
        report.row(&workload, "peak_rss_mb", peak_rss());
        return Ok(());
    }
    let (model, batch) = workload.rsplit_once("_b").ok_or("no such workload")?;
    let batch: usize = batch.parse()?;
    let (kind, side) = match model {
        "cifar_cnn" => (ModelKind::CifarCnn, 32),
        "alexnet" => (ModelKind::AlexNet, 224),
        "lenet" => (ModelKind::LeNet, 32),
        _ => return Err("no such workload".into()),
    };
    let mut model = training(&device, kind, side, batch)?;
    model.step()?;
    report.row(&workload, "start_to_first_step_s", begun.elapsed().as_secs_f64());
    report.times(&workload, "examples_per_s", batch as f64, &mut model)?;
    report.row(&workload, "peak_rss_mb", peak_rss());
    Ok(())
}
