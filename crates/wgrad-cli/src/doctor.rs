//! `wgrad doctor`: checks every kernel on this machine's own adapter and prints a report to attach to a bug report.

use crate::output::{self, bytes, seconds, table};
use anyhow::{Context, Result, bail};
use std::process::ExitCode;
use wgrad_device::Request;
use wgrad_doctor::breaks::{self, Break};
use wgrad_doctor::{CaseReport, Machine, Options, Report, examine_all, targets};
use wgrad_train::TrainError;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad doctor\n  wgrad doctor --device gpu:0 --full --json > report.json")]
pub(crate) struct Args {
    /// Device: auto, gpu, gpu:N, software or cpu [default: auto]
    #[arg(long)]
    device: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Thorough check: every kernel size, more arguments and repeats, other workgroup orders, WebGPU's default limits,
    /// kernels of other adapter classes
    #[arg(long)]
    full: bool,
    /// Check only operations with PART in their name or family
    #[arg(long, value_name = "PART")]
    only: Option<String>,
    /// Break a kernel on purpose to show that the check notices; `list` names the mistakes
    #[arg(long = "break", value_name = "NAME")]
    broken: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.broken.as_deref() == Some("list") {
        output::line(&table(&mistakes(), &[1, 2]))?;
        return Ok(ExitCode::SUCCESS);
    }
    let broken = args.broken.as_deref().map(mistake).transpose()?;
    let mut request: Request = args.device.as_deref().unwrap_or("auto").parse().map_err(TrainError::from)?;
    // A damaged kernel may index out of bounds.
    request.shader_checks = broken.is_some();
    let (targets, selected) = targets(&request, args.full)?;
    let options = match (args.full, &broken) {
        (true, _) => Options::full(),
        (false, Some(_)) => Options::each(),
        (false, None) => Options::quick(),
    };
    let options = Options { only: args.only.clone(), broken, ..options };
    if !args.json {
        output::line(&format!(
            "{}\n\n{}",
            heading(&selected.reason, &Machine::of(&targets[0].device)),
            HEADS
        ))?;
    }
    let mut said = Ok(());
    let report = examine_all(&targets, &options, &mut |case| {
        if !args.json && said.is_ok() && !(case.variants.is_empty() && case.is_sound()) {
            said = output::line(&line(case));
        }
    });
    said?;
    if report.cases.is_empty() {
        bail!(
            "no operation has {:?} in its name: `wgrad doctor` lists them all",
            args.only.as_deref().unwrap_or("")
        );
    }
    if broken.is_some() && report.cases.iter().all(|r| r.damaged == 0) {
        bail!("the mistake affects no kernel of this check: try --full, or another device");
    }
    if args.json {
        output::json(&serde_json::to_value(&report).context("the report cannot be written as JSON")?)?;
    } else {
        output::line(&format!("\n{}", verdict(&report)))?;
    }
    Ok(if report.sound { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Table of all mistakes, grouped by kind.
fn mistakes() -> Vec<Vec<String>> {
    let mut all: Vec<&Break> = breaks::all().collect();
    all.sort_by_key(|b| b.kind);
    let kind = |i: usize| if i > 0 && all[i - 1].kind == all[i].kind { "" } else { all[i].kind };
    all.iter().enumerate().map(|(i, b)| vec![kind(i).into(), b.name.into(), b.what.into()]).collect()
}

fn mistake(name: &str) -> Result<&'static Break> {
    let unknown = || TrainError::Config {
        setting: "break".into(),
        why: format!("unknown {name:?}: `wgrad doctor --break list` names the mistakes"),
    };
    Ok(breaks::named(name).ok_or_else(unknown)?)
}

/// Header with device, driver and limits in force.
fn heading(reason: &str, machine: &Machine) -> String {
    let mut rows = vec![["device", reason].map(str::to_owned).to_vec()];
    if let Some(limits) = &machine.limits {
        let subgroup =
            limits.subgroup.map_or("no fixed subgroup size".to_owned(), |n| format!("subgroups of {n}"));
        let in_force = format!(
            "{} per binding, {} per buffer, {} buffers per kernel, {} of workgroup memory, {} invocations, {subgroup}",
            bytes(limits.binding_bytes),
            bytes(limits.buffer_bytes),
            limits.storage_buffers,
            bytes(limits.workgroup_bytes),
            limits.workgroup_size,
        );
        rows.push(vec![
            "adapter".into(),
            format!("{} ({:04x}:{:04x})", machine.name, machine.vendor, machine.device),
        ]);
        rows.push(vec!["driver".into(), machine.driver.clone()]);
        rows.push(vec!["limits".into(), in_force]);
    }
    table(&rows, &[1])
}

const HEADS: &str =
    "operation                     variants        ulps  relative   allowed      time  verdict";

/// Figures of a case, with its complaints below.
fn line(case: &CaseReport) -> String {
    let verdict = if case.is_sound() { "ok" } else { "WRONG" };
    let figures = format!(
        "{:<32} {:>5} {:>11.1} {:>9.1e} {:>9.0e} {:>7.2} s  {verdict}",
        case.name,
        case.variants.len(),
        case.ulps,
        case.relative,
        case.tolerance,
        case.seconds
    );
    let complaints = case.complaints();
    complaints.iter().fold(figures, |text, complaint| format!("{text}\n    {complaint}"))
}

fn verdict(report: &Report) -> String {
    let variants: usize = report.cases.iter().map(|r| r.variants.len()).sum();
    let wrong = report.cases.iter().filter(|r| !r.is_sound()).count();
    let found = match wrong {
        0 => "all correct".to_owned(),
        n => format!("{n} WRONG; please report it with the output of --json"),
    };
    format!(
        "{} operations, {variants} kernel variants, {}: {found}",
        report.cases.len(),
        seconds(report.seconds)
    )
}
