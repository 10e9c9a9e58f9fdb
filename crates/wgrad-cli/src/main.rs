//! The `wgrad` command line: parses a call, hands it to the library crates, prints their results.
//!
//! Contains no logic of its own. Every failure, panics included, reaches the user as one line on standard error, with
//! exit code 2 for a wrong call, 1 for a failure and 130 for an interrupted run.

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
mod settings;
mod shape;
mod spelling;
mod tokenize;
mod train;
mod tune;
mod words;
mod workload;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use wgrad_train::TrainError;

/// Train image classifiers and language models on any GPU, or on the CPU if there is none.
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
    /// List this machine's devices and the one `auto` picks
    Devices(devices::Args),
    /// Check every kernel on a device against an exact reference
    Doctor(doctor::Args),
    #[command(aliases = ["fit", "finetune"])]
    /// Train a model on images or text
    Train(Box<train::Args>),
    #[command(aliases = ["val", "test", "validate", "evaluate"])]
    /// Evaluate a checkpoint: loss, accuracy, confusion matrix or perplexity
    Eval(eval::Args),
    #[command(aliases = ["infer", "classify", "detect", "segment"])]
    /// Classify image files
    Predict(predict::Args),
    #[command(alias = "sample")]
    /// Generate text with a language model
    Generate(generate::Args),
    /// Learn a byte-pair vocabulary from a text, for language models
    Tokenize(tokenize::Args),
    /// Show the kernels, work and memory of a training step without running it
    Plan(plan::Args),
    /// Time a training step kernel by kernel
    Profile(profile::Args),
    /// Measure kernels and training steps against the device's limits
    Bench(bench::Args),
    /// Find the fastest variant of each kernel and keep it for later runs
    Tune(tune::Args),
}

/// Source location of the last panic; the panic itself carries its message.
static PANICKED_AT: Mutex<String> = Mutex::new(String::new());

fn main() -> ExitCode {
    wgrad_device::quiet_drivers();
    // Silent: some panics (of an image decoder) are caught and reported elsewhere.
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
    let parsed = grouped(Cli::command()).try_get_matches().and_then(|found| Cli::from_arg_matches(&found));
    let done = match parsed {
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
                // The reader has closed the pipe: no failure.
                return ExitCode::SUCCESS;
            }
            output::error(&error.to_string());
            let usage = error.downcast_ref::<TrainError>().is_some_and(TrainError::is_usage);
            ExitCode::from(if usage { 2 } else { 1 })
        }
    }
}

/// Reports a call refused by clap in one line, or prints the requested help.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe is no failure.
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
    let help = match command.filter(|word| GROUPS.iter().any(|group| group.1.contains(&word.as_str()))) {
        Some(command) => format!("wgrad {command} --help"),
        None => "wgrad --help".into(),
    };
    output::error(&format!("{} (see `{help}`)", said.strip_prefix("error: ").unwrap_or(&said).trim()));
    ExitCode::from(2)
}

/// Hint for a folder given after --resume, a flag without a value.
fn resumed(word: &str) -> Option<String> {
    let resume = std::env::args_os().any(|argument| argument == "--resume");
    (resume && !word.starts_with('-')).then(|| format!("give the run's folder with --out {word}"))
}

/// Commands in the groups of `wgrad --help`.
const GROUPS: [(&str, &[&str]); 2] = [
    ("Train and use", &["train", "eval", "predict", "generate", "tokenize"]),
    ("Check and measure", &["devices", "doctor", "plan", "profile", "bench", "tune"]),
];

/// Command line with the commands of its help in [`GROUPS`].
fn grouped(command: clap::Command) -> clap::Command {
    let head = *command.get_styles().get_header();
    let line = |name: &&str| {
        let about = command.find_subcommand(name).and_then(clap::Command::get_about);
        format!("  {name:<10}{}\n", about.map(ToString::to_string).unwrap_or_default())
    };
    let group = |(title, names): &(&str, &[&str])| {
        format!("{head}{title}:{head:#}\n{}\n", names.iter().map(line).collect::<String>())
    };
    let groups: String = GROUPS.iter().map(group).collect();
    command.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}{head}Options:{head:#}\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_groups_list_every_command() {
        let mut listed: Vec<&str> = GROUPS.iter().flat_map(|g| g.1).copied().collect();
        let command = Cli::command();
        let mut known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }
}
