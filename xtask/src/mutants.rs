//! `cargo xtask mutants`: small changes to the source, one at a time; some test must notice each.
//!
//! `cargo mutants` makes them in a copy of the tree; this file chooses code, tests and the time limit. A mutant costs a
//! build, so a call has a limit of time: mutants come in random order, and those not reached are counted.

use crate::process::{cargo, spelled};
use crate::setup;
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Code mutated together, with its tests.
struct Part {
    name: &'static str,
    files: &'static [&'static str],
    packages: &'static str,
    /// Filters of test names; all tests if empty.
    tests: &'static [&'static str],
}

/// Values from outside for all mathematics; the cases of `wgrad-doctor` would take longer and add second derivatives.
const MATHEMATICS: &[&str] =
    &["compositions", "golden::ops", "golden::special", "golden::edges", "turned", "ops::", "tensor::"];

const PARTS: [Part; 8] = [
    Part {
        name: "ops",
        files: &["crates/wgrad-graph/src/ops/*.rs"],
        packages: "wgrad-graph,wgrad-tests",
        tests: MATHEMATICS,
    },
    Part {
        name: "tensor",
        files: &["crates/wgrad-graph/src/tensor/*.rs"],
        packages: "wgrad-graph,wgrad-tests",
        tests: MATHEMATICS,
    },
    Part {
        name: "nn",
        files: &["crates/wgrad-nn/src/*.rs"],
        packages: "wgrad-nn,wgrad-tests",
        tests: &["compositions", "settings", "tests::"],
    },
    Part {
        name: "optimizer",
        files: &["crates/wgrad-nn/src/optimizer/*.rs"],
        packages: "wgrad-nn,wgrad-tests",
        tests: &["settings", "optimizers", "precision", "tests::"],
    },
    Part {
        name: "plan",
        files: &["crates/wgrad-plan/src/*.rs"],
        packages: "wgrad-plan,wgrad-tests",
        tests: &["plan", "memory", "inference", "several", "properties", "compositions::fused", "tests::"],
    },
    Part {
        name: "session",
        files: &["crates/wgrad-session/src/*.rs", "crates/wgrad-session/src/tune/*.rs"],
        packages: "wgrad-session,wgrad-tests,wgrad-cli",
        tests: &["steps", "several", "inference", "loops", "tuning", "resuming", "keeping", "tests::"],
    },
    Part {
        name: "train",
        files: &[
            "crates/wgrad-train/src/*.rs",
            "crates/wgrad-train/src/run/*.rs",
            "crates/wgrad-train/src/saved/*.rs",
            "crates/wgrad-train/src/tasks/*.rs",
            "crates/wgrad-train/src/tasks/language/*.rs",
            "crates/wgrad-train/src/tasks/segment/*.rs",
        ],
        packages: "wgrad-train,wgrad-tests,wgrad-cli",
        tests: &["loops", "stopping", "tests", "training", "resuming", "keeping", "judging"],
    },
    Part {
        name: "data",
        files: &["crates/wgrad-data/src/*.rs"],
        packages: "wgrad-data,wgrad-train,wgrad-tests",
        tests: &["loops", "tests::", "failures", "folders", "idx_and_cifar", "loading", "pipeline", "texts"],
    },
];

/// Scope and time limit.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// Name of a part; all in turn if `None`.
    pub(crate) part: Option<String>,
    /// Revision to compare with: only changed lines are mutated.
    pub(crate) since: Option<String>,
    /// Limit for the whole call.
    pub(crate) minutes: u64,
}

/// Default limit, in minutes.
pub(crate) const MINUTES: u64 = 18;

/// Mutates and prints the survivors.
pub(crate) fn run(root: &Path, target: &Path, options: &Options) -> Result<()> {
    setup::cargo_program("cargo-mutants", "27.1.0")?;
    let folder = target.join("mutants");
    std::fs::create_dir_all(&folder)?;
    let diff = options.since.as_ref().map(|since| changed(root, &folder, since)).transpose()?;
    let parts: Vec<&Part> =
        PARTS.iter().filter(|p| options.part.as_ref().is_none_or(|name| name == p.name)).collect();
    if parts.is_empty() {
        let names: Vec<&str> = PARTS.iter().map(|p| p.name).collect();
        bail!(
            "no part is called {}; they are {}",
            options.part.as_deref().unwrap_or_default(),
            names.join(", ")
        );
    }
    let mut wanted = Vec::new();
    for part in parts {
        let count = listed(root, part, diff.as_deref())?;
        if count > 0 {
            wanted.push((part, count));
        }
    }
    if wanted.is_empty() {
        println!("mutants: nothing to mutate");
        return Ok(());
    }
    let end = Instant::now() + Duration::from_secs(60 * options.minutes);
    let (mut survivors, mut all) = (Vec::new(), 0);
    let mut table = String::new();
    for (i, (part, count)) in wanted.iter().enumerate() {
        // The time left, shared evenly among the parts left.
        let left = end.saturating_duration_since(Instant::now()) / (wanted.len() - i) as u32;
        let found = mutate(root, &folder, part, diff.as_deref(), left)?;
        let tried = found.caught + found.missed.len();
        all += tried;
        let share = 100.0 * found.caught as f64 / tried.max(1) as f64;
        table += &format!(
            "{:<10} {tried:>5} tried, {:>5} caught ({share:.1} %), {:>5} not viable, {:>5} not reached\n",
            part.name,
            found.caught,
            found.unviable,
            count.saturating_sub(tried + found.unviable)
        );
        survivors.extend(found.missed);
    }
    println!("\n{table}");
    for line in &survivors {
        println!("survived: {line}");
    }
    match survivors.is_empty() {
        true if all == 0 => bail!("no mutant was tried in {} minutes: give --minutes more", options.minutes),
        true => Ok(()),
        false => bail!("{} mutants passed every test", survivors.len()),
    }
}

/// The difference from a revision, as a file.
fn changed(root: &Path, folder: &Path, since: &str) -> Result<std::path::PathBuf> {
    let output = Command::new("git").current_dir(root).args(["diff", since]).output().context("git")?;
    if !output.status.success() {
        bail!("git diff {since}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let path = folder.join("changed.diff");
    std::fs::write(&path, output.stdout)?;
    Ok(path)
}

fn mutants(root: &Path, part: &Part, diff: Option<&Path>) -> Command {
    let mut command = cargo();
    command.current_dir(root).args(["mutants", "--workspace"]);
    for file in part.files {
        command.args(["-f", file]);
    }
    if let Some(diff) = diff {
        command.arg("--in-diff").arg(diff);
    }
    command
}

/// Number of mutants in a part.
fn listed(root: &Path, part: &Part, diff: Option<&Path>) -> Result<usize> {
    let output = mutants(root, part, diff).arg("--list").output().context("cargo mutants")?;
    if !output.status.success() {
        bail!("cargo mutants --list: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().count())
}

/// Outcomes of a part's mutants.
struct Found {
    caught: usize,
    unviable: usize,
    missed: Vec<String>,
}

fn mutate(root: &Path, folder: &Path, part: &Part, diff: Option<&Path>, time: Duration) -> Result<Found> {
    let out = folder.join(part.name);
    let mut command = mutants(root, part, diff);
    // The unchanged tree is CI's matter; a mutant's tests end at the first failing binary.
    command.args(["--shuffle", "--baseline", "skip", "--timeout", "180", "--test-package", part.packages]);
    command.arg("--output").arg(&out).args(["--", "--tests", "--lib", "--"]).args(part.tests);
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    command.envs([("WGRAD_CACHE_DIR", ""), ("NODEVICE_SELECT", "1")]);
    println!("$ {}", spelled(&command));
    let mut child = command.spawn().context("cargo mutants could not be started")?;
    let end = Instant::now() + time;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            // An interrupt: it ends its children and removes its copy of the tree.
            let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            child.wait()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let lines = |name: &str| -> Vec<String> {
        let path = out.join("mutants.out").join(name);
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    };
    // An endless loop is noticed.
    let caught = lines("caught.txt").len() + lines("timeout.txt").len();
    Ok(Found { caught, unviable: lines("unviable.txt").len(), missed: lines("missed.txt") })
}
