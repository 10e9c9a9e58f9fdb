//! `wgrad bench`: measures kernels and whole training steps on a device against its own measured ceilings.

use crate::output::{self, percent};
use crate::profile::rate;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Instant;
use wgrad_bench::{Ceilings, Kernel, SyntheticStep, Unit, all_kernels, kernels};
use wgrad_device::{Device, Request};
use wgrad_session::SessionError;
use wgrad_train::{Assumed, Config, TrainError, Workload, workload};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad bench\n  wgrad bench --device gpu --only matmul --json\n  \
                        wgrad bench --all")]
pub(crate) struct Args {
    /// Device: auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Measure only rows with PART in their name, those of --all included
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Measure every kernel family and every gradient (takes minutes)
    #[arg(long)]
    all: bool,
    /// Measuring time per row, in seconds
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    seconds: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Figures of a row.
struct Measured {
    name: String,
    /// Seconds to the first result: planning, compilation, first run.
    first: f64,
    median: f64,
    best: f64,
    /// Operations, bytes, images or tokens per run.
    amount: f64,
    unit: String,
    /// Ceiling of the rate, if one applies.
    ceiling: Option<f64>,
}

/// A training step to measure.
struct Training {
    name: &'static str,
    batch: usize,
}

const TRAINING: [Training; 4] = [
    Training { name: "lenet", batch: 32 },
    Training { name: "cifar-cnn", batch: 32 },
    Training { name: "cifar-cnn", batch: 128 },
    Training { name: "gpt", batch: 12 },
];

impl Training {
    fn title(&self) -> String {
        format!("train {} b{}", self.name, self.batch)
    }

    /// Settings and graph, on images of 32 x 32 pixels or a text of 65 characters.
    fn workload(&self) -> Result<(Config, Workload), TrainError> {
        let (usual, image_size) = (Config::for_model(self.name), Some(32));
        let config = Config { batch_size: self.batch, image_size, ..Config::default() };
        let config = Config { model: usual.model, data: usual.data, ..config };
        let workload = workload(&config, &Assumed::default())?;
        Ok((config, workload))
    }
}

/// First, median and best time of a step, in seconds.
fn measure(begun: Instant, synthetic: &mut SyntheticStep, seconds: f64) -> Result<[f64; 3], SessionError> {
    synthetic.step()?;
    let first = begun.elapsed().as_secs_f64();
    let times = synthetic.times(seconds)?;
    Ok([first, times[times.len() / 2], times[0]])
}

fn kernel(
    kernel: &Kernel,
    device: &Device,
    ceilings: &Ceilings,
    seconds: f64,
) -> Result<Measured, SessionError> {
    let begun = Instant::now();
    let [first, median, best] = measure(begun, &mut kernel.on(device)?, seconds)?;
    let (unit, ceiling) = match kernel.unit {
        Unit::Flop => ("GFLOP/s", ceilings.flops),
        Unit::Byte => ("GB/s", ceilings.bytes),
    };
    Ok(Measured {
        name: kernel.name.into(),
        first,
        median,
        best,
        amount: kernel.amount,
        unit: unit.into(),
        ceiling: Some(ceiling),
    })
}

fn training(row: &Training, device: &Device, seconds: f64) -> Result<Measured, TrainError> {
    let begun = Instant::now();
    let (config, workload) = row.workload()?;
    let scalars = config.optimizer()?.scalars(1, 1e-3);
    let mut step = SyntheticStep::new(device, &workload.graph, None, &scalars)?;
    let [first, median, best] = measure(begun, &mut step, seconds)?;
    let (amount, unit) = (workload.samples as f64, format!("{}/s", workload.unit));
    Ok(Measured { name: row.title(), first, median, best, amount, unit, ceiling: None })
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if !(args.seconds.is_finite() && args.seconds > 0.0) {
        let why = format!("{} must be a positive number of seconds", args.seconds);
        return Err(TrainError::Config { setting: "seconds".into(), why }.into());
    }
    let wanted = |name: &str| args.only.as_deref().is_none_or(|part| name.contains(part));
    let rows = if args.all || args.only.is_some() { all_kernels() } else { kernels() };
    let kernels: Vec<Kernel> = rows.into_iter().filter(|k| wanted(k.name)).collect();
    let steps: Vec<&Training> = TRAINING.iter().filter(|t| wanted(&t.title())).collect();
    if kernels.is_empty() && steps.is_empty() {
        bail!(
            "no row has {:?} in its name: `wgrad bench --all` lists them all",
            args.only.as_deref().unwrap_or("")
        );
    }
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, selected) = Device::open(&request).map_err(TrainError::from)?;
    let ceilings = Ceilings::of(&device).map_err(TrainError::from)?;
    let mut rows = Vec::new();
    if !args.json {
        let most = format!("{:.1} GFLOP/s, {:.1} GB/s", ceilings.flops / 1e9, ceilings.bytes / 1e9);
        output::line(&format!("{}\nceilings: {most}, measured\n", selected.reason))?;
        output::line(HEADS)?;
    }
    let mut done = |row: Measured| -> Result<()> {
        if !args.json {
            output::line(&line(&row))?;
        }
        rows.push(row);
        Ok(())
    };
    for k in &kernels {
        done(kernel(k, &device, &ceilings, args.seconds).map_err(TrainError::from)?)?;
    }
    for step in steps {
        done(training(step, &device, args.seconds)?)?;
    }
    if args.json {
        output::json(&json!({
            "device": selected.device,
            "ceilings": { "flops_per_s": ceilings.flops, "bytes_per_s": ceilings.bytes },
            "rows": rows.iter().map(as_json).collect::<Value>(),
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

const HEADS: &str =
    "row                             first ms  median ms    best ms       rate            of ceiling";

fn line(row: &Measured) -> String {
    let share = row.ceiling.map_or("-".into(), |c| percent(row.amount / row.median / c));
    let rate = match row.ceiling {
        Some(_) => rate(row.amount, row.median),
        None => format!("{:.1}", row.amount / row.median),
    };
    let ms = |s: f64| format!("{:.3}", s * 1e3);
    let (first, median, best) = (ms(row.first), ms(row.median), ms(row.best));
    format!("{:<30}{first:>10} {median:>10} {best:>10} {rate:>10} {:<8} {share:>10}", row.name, row.unit)
}

fn as_json(row: &Measured) -> Value {
    json!({
        "name": row.name,
        "first_seconds": row.first,
        "median_seconds": row.median,
        "best_seconds": row.best,
        "amount": row.amount,
        "unit": row.unit,
        "of_ceiling": row.ceiling.map(|c| row.amount / row.median / c),
    })
}
