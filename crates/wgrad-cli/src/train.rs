//! `wgrad train`: collects settings from defaults, a file and flags, then runs the training.

use crate::output::{self, count, seconds, table};
use crate::progress::Progress;
use crate::settings::Given;
use crate::{report, runs, spelling, words};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wgrad_device::{Device, Request};
use wgrad_train::{Config, Summary, TrainError, settings};

/// Exit code of an interrupted run: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad train\n  \
    wgrad train --data cifar10:./cifar-10-batches-bin --model cifar-cnn --augment flip,crop:4 --epochs 30\n  \
    wgrad train --data folder:./photos --model alexnet --width 0.5 --val-split 0.1 --patience 5\n  \
    wgrad train --model gpt --data text:novel.txt --out runs/novel\n  \
    wgrad train --resume --out runs/lenet-fashion-mini --epochs 30")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Given,
    /// Run folder to write [default: runs/MODEL-SOURCE, with a number if taken]
    #[arg(long, value_name = "DIR", aliases = ["output", "output-dir", "out-dir", "save-dir"])]
    out: Option<PathBuf>,
    /// Resume the run in --out, or the newest in runs/; --epochs or --steps extend a finished run, --data gives the new
    /// location of moved data, --lr changes the learning rate
    #[arg(long)]
    resume: bool,
    /// Settings file in the format of a run's config.toml; flags take precedence
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Print JSON lines: start, evaluations, end
    #[arg(long)]
    json: bool,
}

fn wrong(setting: &str, why: impl Into<String>) -> TrainError {
    TrainError::Config { setting: setting.into(), why: why.into() }
}

impl Args {
    /// Settings and folder of a new run.
    fn fresh(&self) -> Result<(Config, PathBuf), TrainError> {
        let mut config = match &self.config {
            None => match self.settings.text("model") {
                Some(name) => Config::for_model(&spelling::model(name)?),
                None => Config::default(),
            },
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(path)
                    .map_err(|e| wrong("config", format!("cannot read {name}: {e}")))?;
                Config::from_toml(&text, &name)?
            }
        };
        self.settings.apply(&mut config)?;
        config = spelling::settled(config)?;
        config.data = wgrad_train::guess_source(&config.data, &config.model);
        config.check()?;
        let given: Vec<&str> = self.settings.settings().map(|setting| setting.name).collect();
        config.check_given(&given)?;
        let out = self.out.clone().unwrap_or_else(|| runs::fresh(&config.model, &config.data));
        Ok((config, out))
    }

    /// Settings and folder of the run to resume.
    fn resumed(&self) -> Result<(Config, PathBuf), TrainError> {
        let kept = self.settings.settings().filter(|setting| !setting.is_resumable());
        let mut kept: Vec<String> = kept.map(|setting| words::flag(setting.name)).collect();
        kept.extend(self.config.as_ref().map(|_| "--config".to_owned()));
        if !kept.is_empty() {
            let free = settings().iter().filter(|setting| setting.is_resumable());
            let free: Vec<String> = free.map(|setting| words::flag(setting.name)).collect();
            let why = format!(
                "a resumed run keeps its settings; only {} may change: leave out {}",
                free.join(", "),
                kept.join(", ")
            );
            return Err(wrong("resume", why));
        }
        let out = match &self.out {
            Some(out) => out.clone(),
            None => {
                let newest = runs::newest()?;
                output::note(&format!("note: resuming the newest run, {}", newest.display()));
                newest
            }
        };
        let mut config = wgrad_train::load_config(&out)?;
        self.settings.apply(&mut config)?;
        config.data = wgrad_train::guess_source(&config.data, &config.model);
        config.check()?;
        Ok((config, out))
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (config, out) = if args.resume { args.resumed()? } else { args.fresh()? };
    let request: Request = config.device.parse().map_err(TrainError::from)?;
    let (device, selected) = Device::open(&request)?;
    let stop = Arc::new(AtomicBool::new(false));
    let handle = stop.clone();
    ctrlc::set_handler(move || {
        if handle.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        output::note("Stopping after this step; the run will be saved. Ctrl-C again quits now");
    })
    .context("cannot install the Ctrl-C handler")?;
    let mut progress = Progress::new(args.json, config.data.clone(), selected.reason, out.clone());
    let done =
        device.install(|| wgrad_train::train(&config, &out, args.resume, &device, &mut progress, &stop));
    progress.clear();
    let summary = done?;
    if summary.interrupted {
        let out = quoted(&summary.out.display().to_string());
        output::note(&format!(
            "interrupted at step {}: continue with wgrad train --resume --out {out}",
            summary.steps
        ));
    }
    show(&summary, args.json)?;
    Ok(if summary.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// Folder name, quoted for a shell if necessary.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_alphanumeric() || "-_./\\:".contains(c));
    if plain { name.into() } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

/// Prints the run's final figures.
fn show(summary: &Summary, json: bool) -> Result<()> {
    let unit = summary.unit;
    let speed = summary.samples as f64 / summary.train_seconds.max(1e-9);
    for doubt in summary.evaluation.iter().flat_map(report::doubts) {
        output::note(&format!("note: {doubt}"));
    }
    if json {
        return output::json_line(&json!({
            "event": "end",
            "interrupted": summary.interrupted,
            "step": summary.steps,
            "device": summary.device,
            "parameters": summary.parameters,
            "train_seconds": summary.train_seconds,
            (format!("{unit}_per_second")): speed,
            "out": summary.out.display().to_string(),
            "epochs": summary.epochs,
            "best_epoch": summary.best.map(|b| b.0),
            "best_loss": summary.best.map(|b| b.1),
            "evaluation": summary.evaluation.as_ref().map(report::json),
        }));
    }
    let Some(evaluation) = &summary.evaluation else { return Ok(()) };
    let weights = match summary.best {
        Some((epoch, loss)) => {
            let (of, watched) = (summary.epochs, summary.watched);
            let chosen = match watched {
                "test" => "; selected on the test images, --val-split F selects on held-out ones",
                _ => "",
            };
            format!("epoch {epoch} of {of}, the lowest {watched} loss ({loss:.4}){chosen}")
        }
        None => format!("epoch {}, the last", summary.epochs),
    };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let speed = match summary.samples {
        0 => "-".into(),
        _ => format!("{} {unit}/s", count(speed as u64)),
    };
    let rows = [
        row("weights", weights),
        row("training time", seconds(summary.train_seconds)),
        row("speed", speed),
        row("device", summary.device.clone()),
        row("written to", summary.out.display().to_string()),
    ];
    output::line(&format!("\n{}\n\n{}", report::text(evaluation), table(&rows, &[1])))
}
