//! `wgrad tune`: times every variant of a training step's kernels on a device and keeps the fastest for later runs.

use crate::output::{self, table};
use crate::workload::WorkloadArgs;
use anyhow::Result;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Instant;
use wgrad_bench::SyntheticStep;
use wgrad_device::{Clock, Device, Request};
use wgrad_session::{SessionError, Trial, Tuned};
use wgrad_train::{TrainError, check_precision};

#[derive(clap::Args)]
#[command(mut_arg("model", |model| model.required(false).default_value("lenet")))]
#[command(after_help = "Example:\n  wgrad tune --model cifar-cnn --batch-size 128\n  \
                        wgrad tune --model gpt --device gpu:1")]
pub(crate) struct Args {
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Device: auto, gpu, gpu:N or software
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Minimum number of alternating steps, and seconds, timed before and after tuning.
const STEPS: usize = 5;
const SECONDS: f64 = 3.0;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (config, workload) = args.workload.build(Some(&args.device))?;
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (mut device, selected) = Device::open(&request).map_err(TrainError::from)?;
    if device.adapter().is_none() {
        let why = format!(
            "{} has one variant of every kernel: nothing to tune; choose an adapter",
            selected.device
        );
        return Err(TrainError::Config { setting: "device".into(), why }.into());
    }
    let failed = |e: SessionError| TrainError::from(e);
    check_precision(&args.workload.precision, device.caps(), &selected.device)?;
    let scalars = config.optimizer()?.scalars(1, 1e-3);
    let fresh = |device: &Device| SyntheticStep::new(device, &workload.graph, None, &scalars).map_err(failed);
    let mut before = fresh(&device)?;
    let found = wgrad_session::tune(&mut device, &[&workload.graph], true, &mut |t| {
        if !args.json {
            output::note(&format!("timed {}", t.what));
        }
    })
    .map_err(failed)?;
    let mut after = fresh(&device)?;
    let (old, new) = both(&mut before, &mut after).map_err(failed)?;
    let (kept, found) = (found.kept.map(|path| path.display().to_string()), found.kernels);
    let title = format!("{} {}, batch {}", args.workload.model, workload.caption, args.workload.batch_size);
    if args.json {
        output::json(&as_json(&title, &selected.device, &found, (old, new), kept))?;
    } else {
        output::line(&as_text(&title, &selected.device, &found, (old, new), kept))?;
    }
    let none = found.iter().filter(|t| t.winner.is_none()).count();
    if none > 0 {
        output::error(&format!("{none} kernels have no correct variant on this device: see `wgrad doctor`"));
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// Shortest step time, in seconds, before and after tuning; the former is infinite if the device was lost meanwhile.
fn both(before: &mut SyntheticStep, after: &mut SyntheticStep) -> Result<(f64, f64), SessionError> {
    let (begun, mut steps) = (Instant::now(), 0);
    let (mut old, mut new) = (f64::INFINITY, f64::INFINITY);
    while steps < STEPS || begun.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        if before.step().is_ok() && steps > 0 {
            old = old.min(start.elapsed().as_secs_f64());
        }
        let start = Instant::now();
        after.step()?;
        new = new.min(start.elapsed().as_secs_f64());
        steps += 1;
    }
    Ok((old, new))
}

fn clock(found: &[Tuned]) -> &'static str {
    match found.first().map(|t| t.clock) {
        Some(Clock::Adapter) => "the adapter's timestamps",
        Some(Clock::Host) => "this machine's clock around each kernel",
        None => "none needed",
    }
}

fn trial(trial: &Trial) -> String {
    match &trial.seconds {
        Ok(seconds) => format!("{} {:.3}", trial.variant, seconds * 1e3),
        Err(_) => format!("{} -", trial.variant),
    }
}

fn as_text(
    title: &str,
    device: &str,
    found: &[Tuned],
    (old, new): (f64, f64),
    kept: Option<String>,
) -> String {
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let head = [
        line("model", title.to_owned()),
        line("device", device.to_owned()),
        line("clock", clock(found).to_owned()),
    ];
    let mut rows = vec![
        ["kernel", "count", "gain", "chosen variant", "variants and their ms"].map(str::to_owned).to_vec(),
    ];
    rows.extend(found.iter().map(|t| {
        let gain = t.seconds().map_or("-".into(), |(first, best)| format!("{:.2}x", first / best));
        let variant = t.winner.map_or("none", |w| &t.trials[w].variant);
        let trials: Vec<String> = t.trials.iter().map(trial).collect();
        vec![t.what.clone(), t.count.to_string(), gain, variant.to_owned(), trials.join(", ")]
    }));
    let refused: String = found
        .iter()
        .flat_map(|t| t.trials.iter().map(move |trial| (t, trial)))
        .filter_map(|(t, trial)| Some((t, &trial.variant, trial.seconds.as_ref().err()?)))
        .map(|(t, variant, why)| format!("left out: {variant} of {}: {why}\n", t.what))
        .collect();
    let kept =
        kept.map_or("kept for this call only: there is no cache folder".into(), |p| format!("kept in {p}"));
    let gain = match old.is_finite() {
        true => format!("step time: {:.3} ms before, {:.3} ms now: {:.2}x", old * 1e3, new * 1e3, old / new),
        false => format!("step time: {:.3} ms now", new * 1e3),
    };
    format!("{}\n\n{}\n\n{refused}{gain}\n{kept}", table(&head, &[1]), table(&rows, &[3, 4]))
}

fn as_json(
    title: &str,
    device: &str,
    found: &[Tuned],
    (old, new): (f64, f64),
    kept: Option<String>,
) -> Value {
    let trial = |t: &Trial| json!({ "variant": t.variant, "seconds": t.seconds.as_ref().ok(), "why": t.seconds.as_ref().err() });
    let kernel = |t: &Tuned| {
        json!({
            "kernel": t.what,
            "steps": t.count,
            "variants": t.trials.iter().map(trial).collect::<Value>(),
            "taken": t.winner.map(|w| t.trials[w].variant.clone()),
        })
    };
    json!({
        "model": title,
        "device": device,
        "clock": clock(found),
        "kernels": found.iter().map(kernel).collect::<Value>(),
        "step_seconds_before": old.is_finite().then_some(old),
        "step_seconds_after": new,
        "kept_in": kept,
    })
}
