//! Classification of a folder of images by two networks: TensorFlow's for CIFAR (convolutions 32, 64, 64) and AlexNet,
//! with random resized crops and flips.
//!
//! The first argument is the folder, with one folder per class (`DIR/train/CLASS/*.jpg` and `DIR/test/CLASS/*.jpg`, or
//! `DIR/CLASS/*.jpg`); without one, the example draws shapes.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use wgrad::prelude::*;
use wgrad::train::{Config, EvalReport, Observer, StartReport, StepReport, train};
use wgrad_examples::{quick, write_shapes};

struct Lines;

impl Observer for Lines {
    fn note(&mut self, line: &str) {
        println!("{line}");
    }
    fn started(&mut self, r: &StartReport) {
        println!("{} training images, {} parameters", r.sizes.train, r.parameters);
    }
    fn step(&mut self, _: &StepReport) {}
    fn evaluated(&mut self, r: &EvalReport) {
        let (seen, held) = (r.train_accuracy * 100.0, r.val_accuracy * 100.0);
        println!(
            "epoch {:>2}: loss {:.3}, accuracy {seen:.1} % in training, {held:.1} %",
            r.epoch.0, r.train_loss
        );
    }
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}", device.reason());
    let scratch = std::env::temp_dir().join(format!("wgrad-photos-{}", std::process::id()));
    let given = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = given.clone().unwrap_or_else(|| scratch.join("shapes"));
    if given.is_none() {
        write_shapes(&folder, 48, if quick() { 8 } else { 150 })?;
    }
    let usual = Config {
        data: format!("folder:{}", folder.display()),
        augment: "resized-crop:0.7,flip".into(),
        batch_size: 16,
        lr: 1e-3,
        epochs: 12,
        steps: quick().then_some(2),
        ..Config::default()
    };
    let small = Config { model: "cifar-cnn".into(), ..usual.clone() };
    // A quarter of AlexNet's widths and of its picture's area are plenty for a small folder.
    let alexnet = Config { model: "alexnet".into(), width: 0.25, image_size: Some(96), ..usual };
    for config in [small, alexnet] {
        println!("\n{}, {}", config.model, config.augment);
        let out = scratch.join(&config.model);
        let summary = train(&config, &out, false, &device, &mut Lines, &AtomicBool::new(false))?;
        if let Some(e) = summary.evaluation {
            println!("{} accuracy {:.1} %", e.split, e.accuracy() * 100.0);
            assert!(
                quick() || given.is_some() || e.accuracy() > 0.6,
                "{}: the shapes are not told apart",
                config.model
            );
        }
    }
    std::fs::remove_dir_all(&scratch)?;
    Ok(())
}
