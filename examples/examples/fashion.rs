//! LeNet on the embedded Fashion-MNIST sample through the training library, as `wgrad train` runs it.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::atomic::AtomicBool;
use wgrad::prelude::*;
use wgrad::train::{Config, EvalReport, Observer, StepReport, train};

struct Lines;

impl Observer for Lines {
    fn note(&mut self, line: &str) {
        println!("{line}");
    }
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, r: &EvalReport) {
        println!("epoch {}: loss {:.3}, accuracy {:.1} %", r.epoch.0, r.val_loss, r.val_accuracy * 100.0);
    }
}

fn main() -> wgrad::Result<()> {
    let out = std::env::temp_dir().join(format!("wgrad-example-{}", std::process::id()));
    let config = Config { steps: wgrad_examples::quick().then_some(20), ..Config::default() };
    let device = Device::auto()?;
    println!("{}", device.reason());
    let summary = train(&config, &out, false, &device, &mut Lines, &AtomicBool::new(false))?;
    if let Some(e) = summary.evaluation {
        println!("{} accuracy {:.1} %", e.split, e.accuracy() * 100.0);
    }
    std::fs::remove_dir_all(&out)?;
    Ok(())
}
