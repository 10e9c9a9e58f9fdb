//! `wgrad eval`: a checkpoint on a split of a source.

use crate::checkpoint::Checkpoint;
use crate::progress::Notes;
use crate::{output, report};
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;
use wgrad_device::Request;
use wgrad_train::{TrainError, evaluate_checkpoint};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad eval --checkpoint runs/lenet-fashion-mini\n  \
                        wgrad eval --checkpoint runs/lenet-fashion-mini --split validation --json")]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// Data source [default: the one trained on]
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// Images, or text, to evaluate on; a text has no test split and its validation split stands in
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Split {
    Train,
    Validation,
    Test,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, choice) = wgrad_device::Device::open(&request)?;
    let split = match args.split {
        Split::Train => wgrad_data::Split::Train,
        Split::Validation => wgrad_data::Split::Validation,
        Split::Test => wgrad_data::Split::Test,
    };
    let origin = args.checkpoint.origin()?;
    let found = evaluate_checkpoint(&origin.dir, args.data.as_deref(), split, &device, &mut Notes)?;
    if args.json {
        let mut value = report::json(&found);
        args.checkpoint.tell(&origin, &mut value);
        value["device"] = json!(choice.device);
        output::json(&value)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&format!("device   {}\nweights  {origin}\n", choice.reason))?;
    output::line(&report::text(&found))?;
    if let Some(matrix) = report::matrix(&found) {
        output::line(&format!("\n{matrix}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
