//! `wgrad profile`: time of a training step by kernel and by layer, against the device's limits.

use crate::output::{self, percent, table};
use crate::workload::WorkloadArgs;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad_bench::{Ceilings, Row, StepProfile, SyntheticStep, profile};
use wgrad_device::{Clock, Device, Request};
use wgrad_session::SessionError;
use wgrad_train::{TrainError, check_precision};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad profile --model cifar-cnn --batch-size 128\n  \
                        wgrad profile --model gpt --device gpu --trace step.json   # open step.json in ui.perfetto.dev")]
pub(crate) struct Args {
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Device: auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Number of training steps to time; each kernel's shortest time counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    steps: u32,
    /// Write the step as a trace file for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (config, workload) = args.workload.build(Some(&args.device))?;
    // Opened before any work, so an unwritable path loses none.
    let trace = args.trace.as_ref().map(|path| {
        let why = |e| anyhow::anyhow!("cannot write {}: {e}", path.display());
        std::fs::File::create(path).map_err(why)
    });
    let trace = trace.transpose()?;
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, selected) = Device::open(&request).map_err(TrainError::from)?;
    check_precision(&args.workload.precision, device.caps(), &selected.device)?;
    let scalars = config.optimizer()?.scalars(1, 1e-3);
    let failed = |e: SessionError| TrainError::from(e);
    let synthetic = match args.workload.eval {
        true => SyntheticStep::inference(&device, &workload.graph),
        false => SyntheticStep::new(&device, &workload.graph, None, &scalars),
    };
    let mut synthetic = synthetic.map_err(failed)?;
    let profile = profile(&mut synthetic, args.steps as usize).map_err(failed)?;
    let ceilings = Ceilings::of(&device).map_err(failed)?;
    let title = format!("{} {}, batch {}", args.workload.model, workload.caption, args.workload.batch_size);
    if let Some(path) = &args.trace {
        let trace = profile.trace(&format!("{title} on {}", selected.device));
        std::fs::write(path, trace.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        output::json(&as_json(&title, &selected.device, &profile, &ceilings))?;
    } else {
        output::line(&as_text(&title, &selected.device, &profile, &ceilings))?;
    }
    if let Some(mut file) = trace {
        let trace = profile.trace(&format!("{title} on {}", selected.device));
        file.write_all(trace.to_string().as_bytes()).context("the trace file is incomplete")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn clock(profile: &StepProfile) -> &'static str {
    match profile.clock {
        Clock::Adapter => "the adapter's timestamps",
        Clock::Host => "this machine's clock around each kernel",
    }
}

/// Rate in units of 10^9 per second, as in `wgrad bench`: 12.3.
pub(crate) fn rate(amount: f64, seconds: f64) -> String {
    if amount > 0.0 && seconds > 0.0 { format!("{:.1}", amount / seconds / 1e9) } else { "-".into() }
}

fn rows(rows: &[Row], total: f64, head: &str, ceilings: &Ceilings) -> String {
    let title = |text: &str| text.to_owned();
    let mut cells = vec![vec![
        title(head),
        title("count"),
        title("ms"),
        title("share"),
        title("GFLOP/s"),
        title("GB/s"),
        title("of roofline"),
    ]];
    cells.extend(rows.iter().map(|r| {
        vec![
            r.name.clone(),
            r.count.to_string(),
            format!("{:.3}", r.seconds * 1e3),
            percent(r.seconds / total.max(f64::MIN_POSITIVE)),
            rate(r.flops, r.seconds),
            rate(r.bytes, r.seconds),
            percent(r.roofline(ceilings)),
        ]
    }));
    table(&cells, &[])
}

fn as_text(title: &str, device: &str, profile: &StepProfile, ceilings: &Ceilings) -> String {
    let total = profile.kernel_seconds();
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let head = [
        line("model", title.to_owned()),
        line("device", device.to_owned()),
        line("step", format!("{:.3} ms; its kernels {:.3} ms", profile.step_seconds * 1e3, total * 1e3)),
        line("clock", clock(profile).to_owned()),
        line(
            "ceilings",
            format!("{:.1} GFLOP/s, {:.1} GB/s, measured", ceilings.flops / 1e9, ceilings.bytes / 1e9),
        ),
    ];
    format!(
        "{}\n\n{}\n\n{}",
        table(&head, &[1]),
        rows(&profile.by_kernel(), total, "kernel", ceilings),
        rows(&profile.by_layer(), total, "layer", ceilings)
    )
}

fn as_json(title: &str, device: &str, profile: &StepProfile, ceilings: &Ceilings) -> Value {
    let row = |r: &Row| {
        json!({
            "name": r.name, "layer": r.layer, "steps": r.count, "seconds": r.seconds,
            "flops": r.flops, "bytes": r.bytes, "of_roofline": r.roofline(ceilings),
        })
    };
    let all = |rows: &[Row]| rows.iter().map(row).collect::<Value>();
    json!({
        "model": title,
        "device": device,
        "clock": clock(profile),
        "step_seconds": profile.step_seconds,
        "kernel_seconds": profile.kernel_seconds(),
        "ceilings": { "flops_per_s": ceilings.flops, "bytes_per_s": ceilings.bytes },
        "kernels": all(&profile.by_kernel()),
        "layers": all(&profile.by_layer()),
        "steps": all(&profile.rows),
    })
}
