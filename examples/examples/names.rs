//! An LSTM that writes names: trained on a list of them, letter by letter, then asked for new ones.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::collections::BTreeSet;
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
        println!("step {:>4}: training loss {:.3}, validation loss {:.3}", r.step, r.train_loss, r.val_loss);
    }
}

fn main() -> wgrad::Result<()> {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/data/names.txt");
    let known: BTreeSet<String> = std::fs::read_to_string(list)?.lines().map(str::to_owned).collect();
    let mut config = Config {
        data: format!("text:{list}"),
        layers: Some(1),
        hidden: Some(128),
        context: Some(24),
        batch_size: 32,
        lr: 5e-3,
        steps: Some(300),
        ..Config::for_model("char-lstm")
    };
    let mut wanted = 20;
    if wgrad_examples::quick() {
        (config.steps, config.hidden, wanted) = (Some(3), Some(16), 2);
    }
    let out = std::env::temp_dir().join(format!("wgrad-names-{}", std::process::id()));
    let device = Device::auto()?;
    println!("{}", device.reason());
    train(&config, &out, false, &device, &mut Lines, &AtomicBool::new(false))?;

    let sampling = Sampling { temperature: 0.8, top_k: None, top_p: None, seed: 1 };
    let mut generator = Generator::open(&out, &device)?;
    // A line's end is a token like any other: after one, a name begins.
    generator.prompt("\n")?;
    let (mut name, mut names) = (String::new(), Vec::new());
    while names.len() < wanted {
        match generator.next(&sampling)?.as_str() {
            "\n" => names.push(std::mem::take(&mut name)),
            letter => name += letter,
        }
        if name.len() > 30 {
            names.push(std::mem::take(&mut name));
        }
    }
    println!();
    for name in &names {
        println!("{name:<20} {}", if known.contains(name) { "is on the list" } else { "new" });
    }
    std::fs::remove_dir_all(&out)?;
    Ok(())
}
