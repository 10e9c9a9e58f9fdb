//! `wgrad eval`: evaluates a checkpoint on a split of a data source.

use crate::checkpoint::Checkpoint;
use crate::progress::Notes;
use crate::{output, report};
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;
use wgrad_device::Request;
use wgrad_train::{Part, TrainError, evaluate_checkpoint};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad eval --checkpoint runs/lenet-fashion-mini\n  \
                        wgrad eval --checkpoint runs/lenet-fashion-mini --split validation --json\n  \
                        wgrad eval --checkpoint runs/photos --data folder:./new-photos")]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// Data source [default: the training run's]
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// Split to evaluate [default: test; if there is none, the run's validation data, or all of a source given by --data]
    #[arg(long, value_enum)]
    split: Option<Split>,
    /// Device: auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Split {
    Train,
    #[value(alias = "val", alias = "valid")]
    Validation,
    Test,
    All,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, selected) = wgrad_device::Device::open(&request)?;
    let part = match args.split {
        None => Part::Usual,
        Some(Split::Train) => Part::Split(wgrad_data::Split::Train),
        Some(Split::Validation) => Part::Split(wgrad_data::Split::Validation),
        Some(Split::Test) => Part::Split(wgrad_data::Split::Test),
        Some(Split::All) => Part::All,
    };
    let origin = args.checkpoint.origin()?;
    let found = evaluate_checkpoint(&origin.dir, args.data.as_deref(), part, &device, &mut Notes)?;
    if args.json {
        let mut value = report::json(&found);
        args.checkpoint.tell(&origin, &mut value);
        value["device"] = json!(selected.device);
        output::json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("device   {}\nweights  {origin}\n", selected.reason))?;
    output::line(&report::text(&found))?;
    if let Some(matrix) = report::matrix(&found) {
        output::line(&format!("\n{matrix}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
