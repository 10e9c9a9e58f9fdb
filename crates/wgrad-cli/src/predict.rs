//! `wgrad predict`: the classes of image files.

use crate::output::{self, percent};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad_device::Request;
use wgrad_train::{Guess, Predictor, TrainError};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  wgrad predict --checkpoint runs/lenet-fashion-mini shirt.png boot.jpg --top 3"
)]
pub(crate) struct Args {
    /// Folder that `wgrad train --out` wrote
    #[arg(long, value_name = "DIR")]
    checkpoint: PathBuf,
    /// Image files: JPEG, PNG, GIF, WebP or BMP
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Classes to show for each image
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, choice) = wgrad_device::Device::open(&request)?;
    let mut predictor = Predictor::open(&args.checkpoint, &device)?;
    let guesses = predictor.predict(&args.images, usize::from(args.top))?;
    let found = || args.images.iter().map(|path| path.display().to_string()).zip(&guesses);
    if args.json {
        let guess = |g: &Guess| json!({ "class": g.class, "probability": g.probability });
        let image = |(path, guesses): (String, &Vec<Guess>)| json!({ "image": path, "guesses": guesses.iter().map(guess).collect::<Vec<_>>() });
        let predictions: Vec<Value> = found().map(image).collect();
        output::json(&json!({ "device": choice.device, "predictions": predictions }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&format!("device {}", choice.reason));
    for (path, guesses) in found() {
        let guesses = guesses.iter().map(|g| format!("{} {}", g.class, percent(g.probability)));
        output::line(&format!("{path}: {}", guesses.collect::<Vec<_>>().join(", ")))?;
    }
    Ok(ExitCode::SUCCESS)
}
