//! Training as `wgrad train` does it, on the adapter and on the CPU: the first losses are the same.

use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_device::Device;
use wgrad_tests::{cpu, gpu};
use wgrad_train::{Config, EvalReport, Observer, StepReport, train};

const STEPS: u64 = 3;

/// Keeps the mean loss so far after each step, and stops the run.
struct Losses<'a> {
    stop: &'a AtomicBool,
    means: Vec<f64>,
}

impl Observer for Losses<'_> {
    fn note(&mut self, _: &str) {}
    fn step(&mut self, report: &StepReport) {
        self.means.push(report.loss);
        self.stop.store(report.step.0 == STEPS, Ordering::Relaxed);
    }
    fn evaluated(&mut self, _: &EvalReport) {}
}

/// The losses of a model's first steps with its usual settings and the embedded data.
fn losses(model: &str, device: &Device) -> Vec<f64> {
    let folder = tempfile::tempdir().expect("a folder");
    // With anomaly detection, so that each report holds its own step.
    let config = Config { detect_anomaly: true, ..Config::for_model(model) };
    let stop = AtomicBool::new(false);
    let mut seen = Losses { stop: &stop, means: Vec::new() };
    let summary = train(&config, &folder.path().join("run"), false, device, &mut seen, &stop).expect("a run");
    assert!(summary.interrupted && summary.steps == STEPS);
    let sum = |n: usize| seen.means[..n].last().map_or(0.0, |mean| mean * n as f64);
    (0..STEPS as usize).map(|i| sum(i + 1) - sum(i)).collect()
}

fn same_losses(model: &str) {
    let (on_cpu, on_gpu) = (losses(model, &cpu()), losses(model, &gpu()));
    assert!(on_cpu.iter().all(|l| *l > 1.0), "{model} begins knowing nothing: {on_cpu:?}");
    for (step, (a, b)) in on_cpu.iter().zip(&on_gpu).enumerate() {
        assert!((a - b).abs() <= 1e-4, "{model}, step {}: {a} on the CPU, {b} on the adapter", step + 1);
    }
}

#[test]
fn gpt_begins_alike_on_both_devices() {
    same_losses("gpt");
}

#[test]
fn lenet_begins_alike_on_both_devices() {
    same_losses("lenet");
}

#[test]
fn char_lstm_begins_alike_on_both_devices() {
    same_losses("char-lstm");
}
