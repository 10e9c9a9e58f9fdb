//! Repository chores behind `cargo xtask`: set the machine up, test everything, keep the tree tidy, make
//! golden references, look for mistakes unnoticed by tests.
//!
//! Plain cargo and the standard library do all of it, so a fresh clone needs no other tool. This crate never
//! links wgrad itself: it must build, and report problems, while the rest of the tree is broken.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to its terminal")]

mod audit;
mod golden;
mod mutants;
mod portability;
mod process;
mod setup;
mod test;
mod tidy;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--skip-setup] [-- ARGS]  everything CI runs; ARGS go to `cargo test`
  setup [--backports]            install a software Vulkan adapter if there is none, spirv-val and Tint
                                 (--backports: Mesa from bookworm-backports, in any case)
  features                       each feature of the library builds alone, and without any neither wgpu nor image is there
  portability                    every kernel through spirv-val and Tint
  dawn [NAME]                    cases on Dawn, the WebGPU of Chromium, against their references (Mesa 25, SwiftShader, GPUs)
  audit [--update]               hot kernels through the compilers of AMD GPUs: no spills, nothing worse than
                                 docs/audit.tsv (--update: write that table)
  mutants [--changed REV] [--part NAME] [--minutes N]
                                 small mistakes in the source unnoticed by tests: a random sample, or in the differences
                                 from REV (18 minutes by default)
  tidy                           sizes, headers, leftovers, crate edges, required files, paths named in documents
  words                          relative-clause words per 1,000 words of comments, per crate
  golden DIR                     write the PyTorch references into DIR (python3 and pip needed)
";

/// Parsed command line.
#[derive(Debug, PartialEq)]
enum Command {
    Test { skip_setup: bool, cargo_args: Vec<String> },
    Setup { backports: bool },
    Features,
    Portability,
    Dawn { name: String },
    Audit { update: bool },
    Mutants(mutants::Options),
    Tidy,
    Words,
    Golden { dir: PathBuf },
    Help,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(command) = parse(&args) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let done = match command {
        Command::Test { skip_setup, cargo_args } => test::run(root(), skip_setup, &cargo_args),
        Command::Setup { backports } => {
            setup::run(backports).and_then(|()| portability::install(&test::target(root())))
        }
        Command::Features => test::features(root()),
        Command::Portability => test::portability(root()),
        Command::Dawn { name } => portability::dawn(root(), &test::target(root()), &name),
        Command::Audit { update } => audit::run(root(), &test::target(root()), update),
        Command::Mutants(options) => mutants::run(root(), &test::target(root()), &options),
        Command::Tidy => tidy::run(root()),
        Command::Words => words::run(root()),
        Command::Golden { dir } => golden::run(root(), &dir),
        Command::Help => {
            print!("{USAGE}");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command, or `None` for a wrong call.
fn parse(args: &[String]) -> Option<Command> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test", rest @ ..] => {
            let (skip_setup, rest) = match rest {
                ["--skip-setup", rest @ ..] => (true, rest),
                rest => (false, rest),
            };
            let cargo_args = match rest {
                [] => Vec::new(),
                ["--", extra @ ..] => extra.iter().map(|&arg| arg.to_owned()).collect(),
                _ => return None,
            };
            Some(Command::Test { skip_setup, cargo_args })
        }
        ["setup"] => Some(Command::Setup { backports: false }),
        ["setup", "--backports"] => Some(Command::Setup { backports: true }),
        ["features"] => Some(Command::Features),
        ["portability"] => Some(Command::Portability),
        ["dawn"] => Some(Command::Dawn { name: String::new() }),
        ["dawn", name] => Some(Command::Dawn { name: (*name).to_owned() }),
        ["tidy"] => Some(Command::Tidy),
        ["words"] => Some(Command::Words),
        ["audit"] => Some(Command::Audit { update: false }),
        ["audit", "--update"] => Some(Command::Audit { update: true }),
        ["mutants", rest @ ..] => mutants_options(rest).map(Command::Mutants),
        ["golden", dir] if !dir.starts_with('-') => Some(Command::Golden { dir: PathBuf::from(dir) }),
        ["help" | "--help" | "-h"] => Some(Command::Help),
        _ => None,
    }
}

/// Flags of `mutants`, each with its value.
fn mutants_options(args: &[&str]) -> Option<mutants::Options> {
    let mut options = mutants::Options { part: None, since: None, minutes: mutants::MINUTES };
    let (pairs, odd) = args.as_chunks::<2>();
    for [flag, value] in pairs {
        match *flag {
            "--part" => options.part = Some((*value).to_owned()),
            "--changed" => options.since = Some((*value).to_owned()),
            "--minutes" => options.minutes = value.parse().ok()?,
            _ => return None,
        }
    }
    odd.is_empty().then_some(options)
}

/// The repository root: the folder above this crate.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<Command> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn cli_test_passes_arguments_to_cargo() {
        assert_eq!(parsed("test"), Some(Command::Test { skip_setup: false, cargo_args: vec![] }));
        assert_eq!(
            parsed("test --skip-setup -- conv --nocapture"),
            Some(Command::Test { skip_setup: true, cargo_args: vec!["conv".into(), "--nocapture".into()] })
        );
    }

    #[test]
    fn cli_mutants_parses_part_revision_and_limit() {
        let options = |part: Option<&str>, since: Option<&str>, minutes| {
            let (part, since) = (part.map(str::to_owned), since.map(str::to_owned));
            Some(Command::Mutants(mutants::Options { part, since, minutes }))
        };
        assert_eq!(parsed("mutants"), options(None, None, mutants::MINUTES));
        assert_eq!(parsed("mutants --changed HEAD~1 --minutes 5"), options(None, Some("HEAD~1"), 5));
        assert_eq!(parsed("mutants --part ops"), options(Some("ops"), None, mutants::MINUTES));
    }

    #[test]
    fn cli_wrong_calls_are_refused() {
        for line in [
            "",
            "tset",
            "test conv",
            "setup --backport",
            "tidy now",
            "golden",
            "golden --out",
            "mutants --part",
        ] {
            assert_eq!(parsed(line), None, "{line}");
        }
    }

    #[test]
    fn root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file());
    }
}
