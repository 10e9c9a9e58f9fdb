//! `wgrad predict`: classifies image files, or writes a segmenter's masks for them.

use crate::checkpoint::Checkpoint;
use crate::inputs::{Input, Inputs};
use crate::output::{self, percent};
use crate::words;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wgrad_device::{Device, Request};
use wgrad_train::{
    Guess, Mask, Output, Predictor, Segmenter, TaskKind, TrainError, kind_of, load_checkpoint_card,
};

/// Batch size for a list of unknown length.
const LISTED: usize = 8;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  wgrad predict --checkpoint runs/lenet-fashion-mini shirt.png boot.jpg --top 3\n  \
                  wgrad predict --checkpoint runs/photos ./holiday --json\n  \
                  find . -name '*.jpg' | wgrad predict --checkpoint runs/photos -\n  \
                  wgrad predict --checkpoint runs/unet-cells cell.png --out masks"
)]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// Image files (JPEG, PNG, GIF, WebP or BMP), folders of images, patterns like 'photos/*.jpg', or - to read paths
    /// from standard input
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Number of most likely classes to print per image [default: 3]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    top: Option<u16>,
    /// Folder for unet's masks: one PNG file per image, labelled like the training masks [default: masks]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Device: auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print one JSON line per image as soon as its result is known
    #[arg(long)]
    json: bool,
}

fn wrong(setting: &str, why: &str) -> TrainError {
    TrainError::Config { setting: setting.into(), why: why.into() }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, selected) = Device::open(&request)?;
    let origin = args.checkpoint.origin()?;
    let inputs = Inputs::new(&args.images)?;
    output::note(&format!("note: device {}; weights: {origin}", selected.reason));
    let card = load_checkpoint_card(&origin.dir)?;
    match kind_of(card.model()).map(TaskKind::output) {
        Some(Output::Masks) => masks(args, inputs, &origin.dir, &device),
        _ => classes(args, inputs, &origin.dir, &device),
    }
}

/// Counts of the results printed so far.
#[derive(Default)]
struct Tally {
    images: usize,
    failed: usize,
    first: Option<String>,
}

impl Tally {
    /// Prints an image's result, or the reason for its failure, at once.
    fn tell(&mut self, json: bool, image: &Input, found: Result<(Value, String), String>) -> Result<()> {
        self.images += 1;
        let name = image.path.display().to_string();
        let mut line = json!({ "image": name });
        match found {
            Ok((fields, text)) => {
                if json {
                    let fields = fields.as_object().cloned().unwrap_or_default();
                    fields.into_iter().for_each(|(key, value)| line[key] = value);
                    return output::json_line(&line);
                }
                output::line(&format!("{name}: {text}"))
            }
            Err(why) => {
                self.failed += 1;
                output::note(&format!("note: left out: {why}"));
                self.first.get_or_insert_with(|| why.clone());
                if json {
                    line["error"] = json!(words::told(&why));
                    return output::json_line(&line);
                }
                Ok(())
            }
        }
    }

    /// Exit code: failure, reported in one line, if any image failed.
    fn end(self) -> ExitCode {
        let Some(first) = self.first else { return ExitCode::SUCCESS };
        let others = if self.failed > 1 { ", the first" } else { "" };
        output::error(&format!("{} of {} images failed{others}: {first}", self.failed, self.images));
        ExitCode::from(1)
    }
}

fn classes(args: &Args, mut inputs: Inputs, dir: &Path, device: &Device) -> Result<ExitCode> {
    if args.out.is_some() {
        return Err(wrong("out", "applies only to unet's masks: leave it out").into());
    }
    let mut predictor = Predictor::open(dir, inputs.count().unwrap_or(LISTED), device)?;
    let top = usize::from(args.top.unwrap_or(3));
    let mut tally = Tally::default();
    loop {
        let images = inputs.next(predictor.batch())?;
        if images.is_empty() {
            return Ok(tally.end());
        }
        let paths: Vec<&Path> = images.iter().map(|image| image.path.as_path()).collect();
        for (image, guesses) in images.iter().zip(predictor.predict(&paths, top)?) {
            let told = |guesses: Vec<Guess>| {
                let guess = |g: &Guess| json!({ "class": g.class, "probability": g.probability });
                let fields = json!({ "guesses": guesses.iter().map(guess).collect::<Vec<_>>() });
                let text = guesses.iter().map(|g| format!("{} {}", g.class, percent(g.probability)));
                (fields, text.collect::<Vec<_>>().join(", "))
            };
            let lost = |guesses: &Vec<Guess>| guesses.iter().any(|g| g.probability.is_nan());
            let found = match guesses {
                Ok(guesses) if lost(&guesses) => Err(format!(
                    "{}: its probabilities are NaN: the weights in {} are unusable; train again with a lower --lr",
                    image.path.display(),
                    dir.display()
                )),
                other => other.map(told).map_err(|e| e.to_string()),
            };
            tally.tell(args.json, image, found)?;
        }
    }
}

/// Paths of masks: the images' names, below the same folders. Existing masks are kept.
struct Places {
    out: PathBuf,
    taken: BTreeMap<PathBuf, PathBuf>,
}

impl Places {
    /// Path of an image's mask. Images with equal names but different formats keep the format in the mask's name.
    fn of(&mut self, image: &Input) -> Result<PathBuf, TrainError> {
        let (plain, whole) = (image.below.with_extension("png"), image.below.with_added_extension("png"));
        let other = if whole == plain.with_extension("png.png") { None } else { Some(whole) };
        let mut free = std::iter::once(plain.clone()).chain(other).map(|name| self.out.join(name));
        let Some(path) = free.find(|path| !self.taken.contains_key(path)) else {
            let mask = self.out.join(plain);
            let (first, mask) = (self.taken[&mask].display(), mask.display());
            let why = format!(
                "two images, {first} and {}, would have the mask {mask}: predict them separately",
                image.path.display()
            );
            return Err(wrong("out", &why));
        };
        self.taken.insert(path.clone(), image.path.clone());
        Ok(path)
    }
}

fn masks(args: &Args, mut inputs: Inputs, dir: &Path, device: &Device) -> Result<ExitCode> {
    if args.top.is_some() {
        return Err(wrong("top", "does not apply to unet: leave it out").into());
    }
    let out = args.out.clone().unwrap_or_else(|| "masks".into());
    let mut places = Places { out, taken: BTreeMap::new() };
    // Conflicts among known paths are refused before any work.
    let known: Vec<PathBuf> = inputs.known().map(|image| places.of(image)).collect::<Result<_, _>>()?;
    let kept = known.iter().filter(|path| path.exists()).count();
    if kept > 0 && kept == known.len() {
        let why = format!("{} exists already: choose another --out", known[0].display());
        return Err(wrong("out", &why).into());
    }
    let mut known = known.into_iter();
    let mut segmenter = Segmenter::open(dir, device)?;
    let mut tally = Tally::default();
    loop {
        let images = inputs.next(segmenter.batch())?;
        if images.is_empty() {
            return Ok(tally.end());
        }
        let paths: Vec<&Path> = images.iter().map(|image| image.path.as_path()).collect();
        for (image, mask) in images.iter().zip(segmenter.masks(&paths)?) {
            let place = known.next().map_or_else(|| places.of(image), Ok);
            let told = match (place, mask) {
                (Ok(path), Ok(_)) if path.exists() => {
                    output::note(&format!("note: {} exists already and was kept", path.display()));
                    Ok((
                        json!({ "mask": path.display().to_string(), "kept": true }),
                        format!("{} (kept)", path.display()),
                    ))
                }
                (Ok(path), Ok(mask)) => {
                    write(&path, &mask)?;
                    Ok(shown(&path, &mask))
                }
                (Err(e), _) => Err(e.to_string()),
                (_, Err(e)) => Err(e.to_string()),
            };
            tally.tell(args.json, image, told)?;
        }
    }
}

fn write(path: &Path, mask: &Mask) -> Result<()> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
        std::fs::write(path, mask.png().map_err(std::io::Error::other)?)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

fn shown(path: &Path, mask: &Mask) -> (Value, String) {
    let shares: serde_json::Map<String, Value> =
        mask.shares.iter().map(|(class, share)| (class.clone(), json!(share))).collect();
    let text = mask.shares.iter().map(|(class, share)| format!("{class} {}", percent(*share)));
    let text = format!("{} ({})", path.display(), text.collect::<Vec<_>>().join(", "));
    (json!({ "mask": path.display().to_string(), "shares": shares }), text)
}
