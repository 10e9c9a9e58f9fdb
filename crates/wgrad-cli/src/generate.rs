//! `wgrad generate`: streams text from a language model.

use crate::checkpoint::Checkpoint;
use crate::output;
use anyhow::Result;
use serde_json::json;
use std::process::ExitCode;
use wgrad_device::Request;
use wgrad_train::{Generator, Sampling, TrainError};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  wgrad train --model gpt --out runs/gpt\n  \
                        wgrad generate --checkpoint runs/gpt --prompt 'First Citizen:' --temperature 0.8")]
pub(crate) struct Args {
    #[command(flatten)]
    checkpoint: Checkpoint,
    /// Text to continue
    #[arg(long, value_name = "TEXT", default_value = "")]
    prompt: String,
    /// Number of tokens to generate
    #[arg(long, value_name = "N", default_value_t = 500)]
    tokens: u32,
    /// Below 1 safer, above 1 more varied, 0 always the most likely token
    #[arg(long, value_name = "F", default_value_t = 1.0, allow_negative_numbers = true)]
    temperature: f64,
    /// Sample from the K most likely tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Sample from the likeliest tokens whose probabilities add up to F
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Random seed of the sampling
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Device: auto, gpu, gpu:N, software or cpu
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print JSON at the end
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let sampling =
        Sampling { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p, seed: args.seed };
    sampling.check()?;
    let request: Request = args.device.parse().map_err(TrainError::from)?;
    let (device, selected) = wgrad_device::Device::open(&request)?;
    let origin = args.checkpoint.origin()?;
    let mut generator = Generator::open(&origin.dir, &device)?;
    output::note(&format!("note: weights: {origin}"));
    generator.prompt(&args.prompt)?;
    let mut written = String::new();
    if !args.json {
        output::piece(&args.prompt)?;
    }
    device.install(|| {
        for _ in 0..args.tokens {
            let text = generator.next(&sampling)?;
            if args.json {
                written.push_str(&text);
            } else {
                output::piece(&text)?;
            }
        }
        anyhow::Ok(())
    })?;
    let rest = generator.finish();
    if args.json {
        written.push_str(&rest);
        let mut value = json!({ "device": selected.device, "prompt": args.prompt, "text": written });
        args.checkpoint.tell(&origin, &mut value);
        output::json(&value)?;
    } else {
        output::line(&rest)?;
    }
    Ok(ExitCode::SUCCESS)
}
