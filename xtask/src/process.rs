//! Runs child processes: prints their command lines, names them in errors, and counts tests.
//!
//! Never captures output meant for people: it goes to the terminal as it comes.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

/// Number of tests run, summed over libtest's summary lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl Counts {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`; `None` for any other line.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (_, summary) = line.split_once("test result: ")?;
        let (_, numbers) = summary.split_once(". ")?;
        let mut counts = Self::default();
        for part in numbers.split("; ") {
            let (n, what) = part.trim().split_once(' ')?;
            match what {
                "passed" => counts.passed = n.parse().ok()?,
                "failed" => counts.failed = n.parse().ok()?,
                "ignored" => counts.ignored = n.parse().ok()?,
                _ => {}
            }
        }
        Some(counts)
    }
}

/// The cargo that started this process, to keep a toolchain override in force.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// The command as a person would type it, without paths to programs.
pub(crate) fn spelled(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    command.get_args().fold(name, |line, arg| line + " " + &arg.to_string_lossy())
}

/// Runs to the end; a failure is an error naming the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = spelled(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` could not be started"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// Like [`run`], counting the tests libtest reports on standard output while passing every line on.
pub(crate) fn run_tests(command: &mut Command) -> Result<Counts> {
    let line = spelled(command);
    println!("$ {line}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{line}` could not be started"))?;
    let output = child.stdout.take().expect("standard output is piped");
    let counts = pass_on(BufReader::new(output), &mut std::io::stdout())?;
    let status = child.wait()?;
    if !status.success() {
        bail!("`{line}` failed ({status}; {} tests failed)", counts.failed);
    }
    Ok(counts)
}

/// Copies every line and sums the summaries among them. Bytes, since a test may print invalid UTF-8.
fn pass_on(mut from: impl BufRead, to: &mut dyn Write) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes)? > 0 {
        to.write_all(&bytes)?;
        if let Some(more) = Counts::from_line(String::from_utf8_lossy(&bytes).trim_end()) {
            counts += more;
        }
        bytes.clear();
    }
    to.flush()?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_counts_summary_lines_only() {
        let line = "test result: FAILED. 17 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        assert_eq!(Counts::from_line(line), Some(Counts { passed: 17, failed: 2, ignored: 1 }));
        assert_eq!(Counts::from_line("running 17 tests"), None);
        assert_eq!(Counts::from_line("test result: pending"), None);
    }

    #[test]
    fn process_passes_output_on_and_sums() {
        let text = b"running 2 tests\n\xff\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\
            test result: ok. 1 passed; 0 failed; 4 ignored";
        let mut copy = Vec::new();
        let counts = pass_on(&text[..], &mut copy).unwrap();
        assert_eq!(counts, Counts { passed: 3, failed: 0, ignored: 4 });
        assert_eq!(copy, text);
    }

    #[test]
    fn process_failure_names_the_command() {
        let error = run(cargo().arg("no-such-subcommand").stderr(Stdio::null())).unwrap_err().to_string();
        assert!(error.contains("no-such-subcommand` failed"), "{error}");
        let error = run(&mut Command::new("/no/such/program")).unwrap_err().to_string();
        assert!(error.contains("could not be started"), "{error}");
    }
}
