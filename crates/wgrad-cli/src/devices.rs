//! `wgrad devices`: lists the available devices and the one picked by `auto`.

use crate::output::{self, bytes, table};
use crate::words;
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;
use wgrad_device::{AdapterReport, Device, DeviceError, Request, Selected, adapters};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad devices\n  wgrad devices --json")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn open(name: &str) -> Result<Selected, DeviceError> {
    Ok(Device::open(&name.parse::<Request>()?)?.1)
}

fn subgroup(a: &AdapterReport) -> String {
    match (a.subgroup_min, a.subgroup_max) {
        (0, 0) => "none".into(),
        (min, max) if min == max => min.to_string(),
        (min, max) => format!("{min} to {max}"),
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let found = adapters();
    let cpu = open("cpu")?;
    let auto = open("auto");
    if args.json {
        let adapter = |(n, a): (usize, &AdapterReport)| {
            json!({
                "device": format!("gpu:{n}"),
                "name": a.name,
                "class": a.class.to_string(),
                "backend": a.backend,
                "driver": a.driver,
                "vendor": a.vendor,
                "device_id": a.device,
                "bus": a.bus,
                "binding_bytes": a.limits.binding_bytes,
                "buffer_bytes": a.limits.buffer_bytes,
                "storage_buffers": a.limits.storage_buffers,
                "workgroup_bytes": a.limits.workgroup_bytes,
                "workgroup_size": a.limits.workgroup_size,
                "subgroup_min": a.subgroup_min,
                "subgroup_max": a.subgroup_max,
                "features": a.features,
            })
        };
        let auto = match auto {
            Ok(selected) => json!({ "device": selected.device, "reason": selected.reason }),
            Err(error) => json!({ "error": words::told(&error.to_string()) }),
        };
        output::json(&json!({
            "adapters": found.iter().enumerate().map(adapter).collect::<Vec<_>>(),
            "cpu": { "device": "cpu", "name": cpu.device },
            "auto": auto,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let heads =
        ["device", "name", "class", "backend", "driver", "largest binding", "largest buffer", "subgroup"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (n, a) in found.iter().enumerate() {
        rows.push(vec![
            format!("gpu:{n}"),
            a.short_name().to_owned(),
            a.class.to_string(),
            a.backend.clone(),
            a.driver.clone(),
            bytes(a.limits.binding_bytes),
            bytes(a.limits.buffer_bytes),
            subgroup(a),
        ]);
    }
    let unlimited = || "unlimited".to_owned();
    let native = ["cpu", &cpu.device, "CPU", "native", "-"].map(str::to_owned);
    rows.push(native.into_iter().chain([unlimited(), unlimited(), "-".into()]).collect());
    output::line(&table(&rows, &[1, 2, 3, 4]))?;
    let taken = match auto {
        Ok(selected) => selected.reason,
        Err(error) => format!("auto: {}", words::told(&error.to_string())),
    };
    output::line(&format!("\n{taken}"))?;
    Ok(ExitCode::SUCCESS)
}
