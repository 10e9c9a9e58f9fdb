//! A GPT that writes Shakespeare: trains on the embedded sample, then writes on from a speaker's name.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::atomic::AtomicBool;
use wgrad::prelude::*;
use wgrad::train::{Config, EvalReport, Generator, Observer, Sampling, StepReport, train};

struct Lines;

impl Observer for Lines {
    fn note(&mut self, line: &str) {
        println!("{line}");
    }
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, r: &EvalReport) {
        println!(
            "step {}: validation loss {:.3}, accuracy {:.1} %",
            r.step,
            r.val_loss,
            r.val_accuracy * 100.0
        );
    }
}

fn main() -> wgrad::Result<()> {
    let out = std::env::temp_dir().join(format!("wgrad-shakespeare-{}", std::process::id()));
    let mut config = Config::for_model("gpt");
    if wgrad_examples::quick() {
        config =
            Config { steps: Some(3), layers: Some(1), hidden: Some(32), val_split: Some(0.01), ..config };
    }
    let device = Device::auto()?;
    println!("{}", device.reason());
    train(&config, &out, false, &device, &mut Lines, &AtomicBool::new(false))?;

    let sampling = Sampling { temperature: 0.8, top_k: Some(20), top_p: None, seed: 1 };
    let mut generator = Generator::open(&out, &device)?;
    let mut text = "First Citizen:\n".to_owned();
    generator.prompt(&text)?;
    for _ in 0..if wgrad_examples::quick() { 20 } else { 400 } {
        text += &generator.next(&sampling)?;
    }
    println!("\n{text}{}", generator.finish());
    std::fs::remove_dir_all(&out)?;
    Ok(())
}
