//! The `wgrad` command line: parses a call, hands it to the library crates, prints what they find.
//!
//! No logic of its own. Whatever goes wrong reaches the user as one line on standard error, with exit code 2 for a
//! wrong call, 1 for a failure and 130 for an interrupted run; a panic becomes such a line, too.

mod bench;
mod checkpoint;
mod devices;
mod doctor;
mod eval;
mod events;
mod generate;
mod inputs;
mod output;
mod peers;
mod plan;
mod predict;
mod profile;
mod progress;
mod report;
mod runs;
mod shape;
mod spelling;
mod tokenize;
mod train;
mod tune;
mod workload;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use wgrad_train::TrainError;

/// Train image classifiers and language models on any GPU, or on the CPU where there is none.
#[derive(Parser)]
#[command(
    name = "wgrad",
    version,
    after_help = "Example:\n  wgrad train\n  wgrad train --data folder:./photos --model alexnet --image-size 224 --augment flip\n  wgrad train --model gpt"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the devices of this machine and which `auto` takes
    Devices(devices::Args),
    /// Prove every kernel on a device against an exact reference
    Doctor(doctor::Args),
    #[command(aliases = ["fit", "finetune"])]
    /// Train a model on images or text
    Train(Box<train::Args>),
    #[command(aliases = ["val", "test", "validate", "evaluate"])]
    /// Evaluate a checkpoint: loss, accuracy, confusion matrix or perplexity
    Eval(eval::Args),
    #[command(aliases = ["infer", "classify", "detect", "segment"])]
    /// Tell the classes of image files
    Predict(predict::Args),
    #[command(alias = "sample")]
    /// Write text with a language model
    Generate(generate::Args),
    /// Learn tokens from a text, for language models
    Tokenize(tokenize::Args),
    /// Show what a training step will do and need, before anything runs
    Plan(plan::Args),
    /// Time a training step kernel by kernel
    Profile(profile::Args),
    /// Measure kernels and training steps against what the device could do
    Bench(bench::Args),
    /// Time every form of a training step's kernels and keep the fastest for later runs
    Tune(tune::Args),
}

/// Where the last panic was; its message travels with the panic itself.
static PANICKED_AT: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    wgrad_device::quiet_drivers();
    // Says nothing: some panics (of an image decoder) are caught and told elsewhere.
    std::panic::set_hook(Box::new(|info| {
        if let Some(at) = info.location() {
            *PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner) = at.to_string();
        }
    }));
    events::init();
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let at = PANICKED_AT.lock().unwrap_or_else(PoisonError::into_inner);
        output::error(&format!("internal error: {text} (at {at}); this is a bug in wgrad, please report it"));
        ExitCode::from(1)
    })
}

fn call() -> ExitCode {
    let done = match Cli::try_parse() {
        Err(error) => return refuse(&error),
        Ok(cli) => match cli.command {
            Command::Devices(args) => devices::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Train(args) => train::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Generate(args) => generate::run(&args),
            Command::Tokenize(args) => tokenize::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Profile(args) => profile::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Tune(args) => tune::run(&args),
        },
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            if error.downcast_ref::<std::io::Error>().is_some_and(output::is_closed) {
                // Whoever read the output has seen enough.
                return ExitCode::SUCCESS;
            }
            output::error(&error.to_string());
            let usage = error.downcast_ref::<TrainError>().is_some_and(TrainError::is_usage);
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// A call that clap refuses, as one line; or the help asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Closed output is no failure of the help.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<&str> = lines.filter(|line| !line.starts_with("For more information")).collect();
    let said = said.join(" ");
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == ErrorKind::UnknownArgument => Some(word),
        _ => None,
    };
    let near = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(format!("did you mean '{flag}'?")),
        _ => None,
    };
    let hint = unknown.and_then(|word| spelling::elsewhere(word).or_else(|| resumed(word)).or(near));
    let said = match hint {
        Some(hint) => format!("{}: {hint}", said.split(" found").next().unwrap_or(&said)),
        None => said,
    };
    let command = std::env::args_os().nth(1).map(|word| word.to_string_lossy().into_owned());
    let command = command.filter(|word| !word.starts_with('-'));
    let help = match command.filter(|word| COMMANDS.contains(&word.as_str())) {
        Some(command) => format!("wgrad {command} --help"),
        None => "wgrad --help".into(),
    };
    output::error(&format!("{} (see `{help}`)", said.strip_prefix("error: ").unwrap_or(&said).trim()));
    ExitCode::from(2)
}

/// A folder after --resume, which takes none.
fn resumed(word: &str) -> Option<String> {
    let resume = std::env::args_os().any(|argument| argument == "--resume");
    (resume && !word.starts_with('-')).then(|| format!("give the run's folder with --out {word}"))
}

const COMMANDS: [&str; 11] = [
    "devices", "doctor", "train", "eval", "predict", "generate", "tokenize", "plan", "profile", "bench",
    "tune",
];
