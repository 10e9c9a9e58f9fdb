//! Regenerates the golden references from PyTorch, in a Python environment of its own under the target folder.
//!
//! Nothing in `cargo xtask test` calls this: tests read the files committed in `tests/golden`.

use crate::process::run as run_command;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Imports of the scripts. PyTorch's version is written into the files' metadata.
const PACKAGES: [&str; 3] = ["torch", "numpy", "safetensors"];

/// Scripts writing one file of their name each.
const FILES: [&str; 5] = ["special", "edges", "compositions", "layers", "optimizers"];

/// Runs `xtask/golden_torch.py DIR`, `xtask/NAME_torch.py DIR/NAME.safetensors` for each of [`FILES`] and,
/// for the recorded order of samples, `xtask/loops_torch.py`; creates their environment first if it is
/// missing.
///
/// pip's own settings hold: name an index of CPU-only builds in `PIP_INDEX_URL` to avoid the gigabytes of
/// CUDA libraries in PyTorch's default Linux build.
pub(crate) fn run(root: &Path, dir: &Path) -> Result<()> {
    let venv = target_dir(root).join("golden-venv");
    let python = if cfg!(windows) { venv.join("Scripts/python.exe") } else { venv.join("bin/python") };
    if !python.is_file() {
        let host = if cfg!(windows) { "python" } else { "python3" };
        run_command(Command::new(host).args(["-m", "venv"]).arg(&venv))
            .context("golden needs Python 3 with its venv module (Debian: python3-venv)")?;
    }
    run_command(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    run_command(Command::new(&python).arg(root.join("xtask/golden_torch.py")).arg(dir))?;
    let script = |name: &str| {
        let mut command = Command::new(&python);
        command.arg(root.join(format!("xtask/{name}_torch.py")));
        command
    };
    for name in FILES {
        run_command(script(name).arg(dir.join(format!("{name}.safetensors"))))?;
    }
    let orders = root.join("tests/golden/orders.json");
    std::fs::copy(&orders, dir.join("orders.json")).ok();
    run_command(script("loops").arg(orders).arg(dir.join("loops.safetensors")))
}

/// Cargo's target folder.
fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}
