//! `cargo xtask test`: everything CI runs, cheapest first, on this machine's own adapter.
//!
//! Never skips: a machine without an adapter, a step without tests, an example that fails are failures.

use crate::process::{Counts, cargo, run as run_command, run_tests};
use crate::{portability, setup, tidy};
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Maximum run time of an example.
const EXAMPLE_TIME: Duration = Duration::from_secs(60);

/// The steps so far with their times, and the tests they ran.
#[derive(Default)]
struct Steps {
    done: Vec<(String, Duration)>,
    tests: Counts,
}

impl Steps {
    /// Runs one step and notes its time. An error names the step.
    fn step(&mut self, name: &str, body: impl FnOnce() -> Result<Counts>) -> Result<()> {
        println!("\n=== {name} ===");
        let start = Instant::now();
        let outcome = body();
        let took = start.elapsed();
        self.done.push((name.to_owned(), took));
        println!(
            "=== {name}: {} in {:.1} s ===",
            if outcome.is_ok() { "done" } else { "FAILED" },
            took.as_secs_f64()
        );
        self.tests += outcome.with_context(|| format!("step `{name}` failed"))?;
        Ok(())
    }

    /// The closing table.
    fn table(&self) -> String {
        let width =
            self.done.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max("total".len());
        let total = self.done.iter().map(|(_, took)| *took).sum();
        let rows = self.done.iter().map(|(name, took)| (name.as_str(), *took)).chain([("total", total)]);
        rows.map(|(name, took)| format!("{name:<width$}  {:>8.1} s\n", took.as_secs_f64())).collect()
    }
}

/// Runs all steps up to the first failure; prints the table either way.
pub(crate) fn run(root: &Path, skip_setup: bool, cargo_args: &[String]) -> Result<()> {
    let mut steps = Steps::default();
    let outcome = run_steps(&mut steps, root, skip_setup, cargo_args);
    println!("\n{}", steps.table());
    let Counts { passed, failed, ignored } = steps.tests;
    outcome?;
    // The closing line for test watchers, after cargo's own summaries.
    println!("tests: {passed} passed, {failed} failed, {ignored} skipped");
    Ok(())
}

fn run_steps(steps: &mut Steps, root: &Path, skip_setup: bool, cargo_args: &[String]) -> Result<()> {
    let all = cargo_args.is_empty();
    if skip_setup {
        steps.step("adapter", || quiet(setup::adapter().map(|found| println!("{found}"))))?;
    } else {
        steps.step("setup", || quiet(setup::run(false)))?;
    }
    steps.step("tidy", || quiet(tidy::run(root)))?;
    steps.step("format", || quiet(run_command(in_root(root).args(["fmt", "--all", "--", "--check"]))))?;
    steps.step("clippy", || {
        let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        quiet(run_command(in_root(root).args(lint)))
    })?;
    if all {
        steps.step("features", || quiet(features(root)))?;
    }
    steps.step("tests", || {
        some_tests(all, run_tests(in_root(root).args(["test", "--workspace"]).args(cargo_args)))
    })?;
    if all {
        // The tests have just left the modules there.
        steps.step("portability", || quiet(portability::check(root, &target(root))))?;
    }
    steps.step("tests, WebGPU baseline limits", || {
        // Cases run under these limits in every pass; this one is for whole training runs and sessions. The whole
        // workspace is named to keep the features, and so the built dependencies, of the step before.
        let test = ["test", "--workspace", "--tests", "--", "golden", "steps"];
        some_tests(all, run_tests(in_root(root).env("WGRAD_LIMITS", "webgpu-baseline").args(test)))
    })?;
    if all {
        // llvmpipe with vectors half as wide as usual; other adapters do not know the setting.
        steps.step("doctor, subgroups of 4", || {
            quiet(doctor(root, "gpu:0", &[("LP_NATIVE_VECTOR_WIDTH", "128"), ("WGRAD_CACHE_DIR", "")]))
        })?;
        let vectors: &[&str] = if cfg!(target_arch = "x86_64") { &["scalar", "avx2"] } else { &["scalar"] };
        for name in vectors {
            steps.step(&format!("doctor, CPU on {name} vectors"), || {
                quiet(doctor(root, "cpu", &[("WGRAD_VECTORS", name)]))
            })?;
        }
    }
    steps.step("examples", || {
        quiet(run_command(in_root(root).args(["build", "--workspace", "--examples"])))
    })?;
    let target = target(root);
    for name in example_names(&root.join("examples"))? {
        steps.step(&format!("example {name}"), || {
            let program = target.join("debug/examples").join(&name);
            let start = Instant::now();
            run_command(Command::new(program).current_dir(root).env("WGRAD_EXAMPLE_QUICK", "1"))?;
            if start.elapsed() > EXAMPLE_TIME {
                bail!(
                    "it took more than {} s: let it do less where WGRAD_EXAMPLE_QUICK is set",
                    EXAMPLE_TIME.as_secs()
                );
            }
            Ok(Counts::default())
        })?;
    }
    Ok(())
}

/// The library's features, each to build alone.
const FEATURES: [&str; 4] = ["gpu", "data", "train", "doctor"];

/// Packages that only a feature may bring in.
const HEAVY: [&str; 3] = ["wgpu", "image", "plotters"];

/// Checks the library without features and with each alone: graphs, plans and the CPU need neither wgpu nor decoders.
pub(crate) fn features(root: &Path) -> Result<()> {
    let bare = ["-p", "wgrad", "--no-default-features"];
    let tree = ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let listed = cargo().current_dir(root).args(tree).args(bare).output().context("cargo tree")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    if let Some(heavy) = heavy(&listed) {
        bail!("without features the library depends on {heavy}");
    }
    run_command(in_root(root).arg("check").args(bare))?;
    FEATURES
        .iter()
        .try_for_each(|f| run_command(in_root(root).arg("check").args(bare).args(["--features", f])))
}

/// A package of [`HEAVY`] in the lines of `cargo tree`; that of no tree at all is a name, too.
fn heavy(listed: &str) -> Option<&str> {
    if listed.is_empty() {
        return Some("nothing at all, says cargo tree");
    }
    listed.lines().find(|line| line.split(' ').next().is_some_and(|name| HEAVY.contains(&name)))
}

/// Checks every kernel once, forward and gradient, in a process of its own with these environment variables.
fn doctor(root: &Path, device: &str, settings: &[(&str, &str)]) -> Result<()> {
    run_command(in_root(root).args(["build", "--workspace", "--bins"]))?;
    let mut program = Command::new(target(root).join("debug/wgrad"));
    program.args(["doctor", "--device", device]).env("NODEVICE_SELECT", "1");
    run_command(program.envs(settings.iter().copied()))
}

/// Cargo's target folder.
pub(crate) fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// Writes every kernel and checks them with tools other than naga.
pub(crate) fn portability(root: &Path) -> Result<()> {
    let write = ["test", "--workspace", "--test", "suite", "shaders_of_every_variant_are_portable"];
    some_tests(true, run_tests(in_root(root).args(write)))?;
    portability::check(root, &target(root))
}

/// Cargo in the repository root, set up to fail without an adapter.
fn in_root(root: &Path) -> Command {
    let mut command = cargo();
    // No kernel cache of other runs, and no talk of Mesa's device selection about a missing desktop.
    let settings = [("WGRAD_CACHE_DIR", ""), ("NODEVICE_SELECT", "1")];
    command.current_dir(root).envs(settings);
    command
}

/// A step without tests of its own.
fn quiet(outcome: Result<()>) -> Result<Counts> {
    outcome.map(|()| Counts::default())
}

/// Counts of a step with tests; if nothing was filtered out (`all`), zero tests are a failure.
fn some_tests(all: bool, outcome: Result<Counts>) -> Result<Counts> {
    let counts = outcome?;
    if all && counts.passed == 0 {
        bail!("no test was run");
    }
    Ok(counts)
}

/// The examples by name: `*.rs` and `*/main.rs` in `examples/examples`, and `*.rs` in `examples` itself.
fn example_names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for dir in [dir.to_owned(), dir.join("examples")] {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry?.path();
            let is_file = path.extension().is_some_and(|ext| ext == "rs");
            let is_folder = path.join("main.rs").is_file();
            if (is_file && path.file_stem().is_some_and(|stem| stem != "build")) || is_folder {
                names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_failed_step_is_named_and_in_table() {
        let mut steps = Steps::default();
        steps.step("first", || Ok(Counts { passed: 2, ..Counts::default() })).unwrap();
        let error = steps.step("the second", || bail!("it broke")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `the second` failed: it broke");
        assert_eq!(steps.tests.passed, 2);
        let table = steps.table();
        let names: Vec<&str> = table.lines().filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(names, ["first", "the second", "total"]);
    }

    #[test]
    fn heavy_packages_are_found_by_name() {
        assert_eq!(heavy("wgrad v0.1.0 (/a)\nrayon v1.12.0\nimages v1.0.0\n"), None);
        assert_eq!(heavy("wgrad v0.1.0 (/a)\nimage v0.25.0\n"), Some("image v0.25.0"));
        assert!(heavy("").is_some());
    }

    #[test]
    fn a_run_without_tests_fails_unless_filtered() {
        let none = Counts { ignored: 3, ..Counts::default() };
        let one = Counts { passed: 1, ..Counts::default() };
        assert!(some_tests(true, Ok(none)).is_err());
        assert_eq!(some_tests(false, Ok(none)).unwrap(), none);
        assert_eq!(some_tests(true, Ok(one)).unwrap(), one);
        assert!(some_tests(false, Err(anyhow::anyhow!("it broke"))).is_err());
    }

    #[test]
    fn test_examples_are_found_in_both_places() {
        let dir = std::env::temp_dir().join(format!("wgrad-examples-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("examples/digits")).unwrap();
        std::fs::create_dir_all(dir.join("src")).unwrap();
        for file in ["xor.rs", "Cargo.toml", "src/lib.rs", "examples/add.rs", "examples/digits/main.rs"] {
            std::fs::write(dir.join(file), "").unwrap();
        }
        let names = example_names(&dir);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names.unwrap(), ["add", "digits", "xor"]);
    }
}
