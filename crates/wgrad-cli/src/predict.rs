//! `wgrad predict`: the classes of image files, or the masks of a segmenter.

use crate::checkpoint::Checkpoint;
use crate::output::{self, percent};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad_device::{Choice, Device, Request};
use wgrad_train::{Card, Guess, Predictor, SEGMENTER, Segmenter, TrainError, load_checkpoint_card};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  wgrad predict --checkpoint runs/lenet-fashion-mini shirt.png boot.jpg --top 3\n  \
                  wgrad predict --checkpoint runs/unet-cells cell.png --out masks"
)]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// Image files: JPEG, PNG, GIF, WebP or BMP
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Classes to show for each image [default: 3]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,
    /// Folder for unet's masks, a PNG file an image, grey levels as in the masks trained on [default: masks]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn wrong(option: &str, why: &str) -> TrainError {
    TrainError::Config { option: option.into(), why: why.into() }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, choice) = Device::open(&request)?;
    let origin = args.checkpoint.origin()?;
    match load_checkpoint_card(&origin.dir)? {
        Card::Image(card) if card.model == SEGMENTER => masks(args, &origin.dir, &device, &choice),
        _ => classes(args, &origin.dir, &device, &choice),
    }
}

fn classes(args: &Args, dir: &Path, device: &Device, choice: &Choice) -> Result<ExitCode> {
    if args.out.is_some() {
        return Err(wrong("--out", "is for the masks of unet: leave it out").into());
    }
    let mut predictor = Predictor::open(dir, args.images.len(), device)?;
    let guesses = predictor.predict(&args.images, usize::from(args.top.unwrap_or(3)))?;
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

/// Where the masks go: files of the images' names, none of which is there yet.
fn places(args: &Args) -> Result<Vec<PathBuf>, TrainError> {
    let out = args.out.as_deref().unwrap_or(Path::new("masks"));
    let mut places: Vec<PathBuf> = Vec::new();
    for image in &args.images {
        let path = out.join(image.file_stem().unwrap_or_default()).with_added_extension("png");
        if places.contains(&path) {
            let why = format!("two images would have the mask {}: predict them apart", path.display());
            return Err(wrong("--out", &why));
        }
        if path.exists() {
            return Err(wrong("--out", &format!("{} is there already: choose another", path.display())));
        }
        places.push(path);
    }
    Ok(places)
}

fn masks(args: &Args, dir: &Path, device: &Device, choice: &Choice) -> Result<ExitCode> {
    if args.top.is_some() {
        return Err(wrong("--top", "means nothing to unet: leave it out").into());
    }
    let places = places(args)?;
    let masks = Segmenter::open(dir, device)?.masks(&args.images)?;
    for (path, mask) in places.iter().zip(&masks) {
        let write = || {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
            std::fs::write(path, mask.png().map_err(std::io::Error::other)?)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let found = || args.images.iter().zip(&places).zip(&masks);
    if args.json {
        let image = |((image, path), mask): ((&PathBuf, &PathBuf), &wgrad_train::Mask)| {
            let shares: serde_json::Map<String, Value> =
                mask.shares.iter().map(|(class, share)| (class.clone(), json!(share))).collect();
            json!({ "image": image.display().to_string(), "mask": path.display().to_string(), "shares": shares })
        };
        let predictions: Vec<Value> = found().map(image).collect();
        output::json(&json!({ "device": choice.device, "predictions": predictions }))?;
        return Ok(ExitCode::SUCCESS);
    }
    output::note(&format!("device {}", choice.reason));
    for ((image, path), mask) in found() {
        let shares = mask.shares.iter().map(|(class, share)| format!("{class} {}", percent(*share)));
        let shares = shares.collect::<Vec<_>>().join(", ");
        output::line(&format!("{}: {} ({shares})", image.display(), path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
