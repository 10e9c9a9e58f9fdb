//! Hot kernels through the compiler of real AMD GPUs, without one: Mesa's RADV over a kernel interface that does nothing
//! (`mesa-drm-shim`). Figures are held against `docs/audit.tsv`; a spill, or a figure that got worse, is a failure.
//!
//! The driver comes from Debian's backports into the target folder; nothing is installed. What the figures are good for:
//! comparing forms of a kernel. They are the compiler's model, not a measurement.

use crate::process::{cargo, run as run_command};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// GPUs by the shim's names: RDNA 3, 2 and 1, GCN 5 (discrete and integrated), RDNA 3.5.
const CHIPS: [&str; 6] = ["navi31", "navi21", "navi10", "vega10", "raven", "gfx1150"];

const PACKAGES: [&str; 4] = ["mesa-vulkan-drivers", "mesa-drm-shim", "libdrm2", "libdrm-amdgpu1"];
const SUITE: &str = "bookworm-backports";
const SOURCES: &str = "\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
";

/// The table, and what it allows figures to differ by: compilers change a little from one version to the next.
const TABLE: &str = "docs/audit.tsv";
const SLACK: f64 = 1.05;
const HEAD: &str = "chip\tkernel\tregisters\tspills\tlds\toccupancy\tinstructions\tinverse_throughput";

/// A kernel's figures on a chip.
#[derive(Clone, Debug, PartialEq)]
struct Figures {
    spills: u64,
    occupancy: u64,
    inverse_throughput: u64,
    /// The row as the table has it.
    row: String,
}

type Table = BTreeMap<(String, String), Figures>;

/// Compiles, prints, compares; `update` writes the table instead.
pub(crate) fn run(root: &Path, target: &Path, update: bool) -> Result<()> {
    let driver = install(target)?;
    run_command(cargo().args(["build", "--workspace", "--bin", "wgrad-audit"]).current_dir(root))?;
    let program = target.join("debug/wgrad-audit");
    let mut text = format!("{HEAD}\n");
    for chip in CHIPS {
        let out = compile(&program, &driver, chip)?;
        for line in out.lines().filter(|l| !l.starts_with('#')) {
            let _ = writeln!(text, "{chip}\t{line}");
        }
    }
    print!("{text}");
    let now = parse(&text)?;
    let spilled: Vec<String> = now
        .iter()
        .filter(|(_, f)| f.spills > 0)
        .map(|((chip, name), _)| format!("{name} on {chip}"))
        .collect();
    let path = root.join(TABLE);
    if update {
        std::fs::write(&path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
    } else {
        let table = std::fs::read_to_string(&path).with_context(|| format!("{TABLE} is not there"))?;
        let worse = compare(&parse(&table)?, &now);
        if !worse.is_empty() {
            bail!("{}\n(`cargo xtask audit --update` accepts the new figures)", worse.join("\n"));
        }
    }
    if !spilled.is_empty() {
        bail!("registers spill: {}", spilled.join(", "));
    }
    println!("audit: {} kernels on {} chips, none spills", now.len() / CHIPS.len(), CHIPS.len());
    Ok(())
}

/// The folder with the driver; downloads it where it is not there.
fn install(target: &Path) -> Result<PathBuf> {
    let tools = target.join("tools/radv");
    let driver = tools.join("root");
    if driver.join("usr/share/vulkan/icd.d/radeon_icd.json").is_file() {
        return Ok(driver);
    }
    for program in ["apt-get", "dpkg"] {
        if Command::new(program).arg("--version").output().is_err() {
            bail!("no {program}: the audit takes RADV from Debian's packages and runs on Debian and its kin");
        }
    }
    std::fs::create_dir_all(tools.join("lists/partial"))?;
    std::fs::create_dir_all(tools.join("cache"))?;
    std::fs::write(tools.join("sources.list"), SOURCES)?;
    let apt = |args: &[String]| {
        let mut command = Command::new("apt-get");
        let own = |name: &str, place: PathBuf| format!("{name}={}", place.display());
        command.current_dir(&tools).args([
            "-qq",
            "-o",
            &own("Dir::Etc::SourceList", tools.join("sources.list")),
        ]);
        command.args(["-o", "Dir::Etc::SourceParts=/dev/null"]);
        command.args(["-o", &own("Dir::State::Lists", tools.join("lists"))]);
        command.args(["-o", &own("Dir::Cache", tools.join("cache"))]).args(args);
        run_command(&mut command)
    };
    apt(&["update".into()]).context("Debian's package lists cannot be had")?;
    let wanted = PACKAGES.map(|p| format!("{p}/{SUITE}"));
    apt(&[&["download".to_owned()][..], &wanted].concat()).context("RADV cannot be downloaded")?;
    for file in std::fs::read_dir(&tools)?.filter_map(|e| Some(e.ok()?.path())) {
        if file.extension().is_some_and(|e| e == "deb") {
            run_command(Command::new("dpkg").arg("-x").arg(&file).arg(&driver))?;
        }
    }
    Ok(driver)
}

fn compile(program: &Path, driver: &Path, chip: &str) -> Result<String> {
    let libraries = driver.join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(program);
    command
        .env("LD_PRELOAD", libraries.join("libamdgpu_noop_drm_shim.so"))
        .env("LD_LIBRARY_PATH", &libraries)
        .env("AMDGPU_GPU_ID", chip)
        .env("RADV_DEBUG", "nocache")
        .env("NODEVICE_SELECT", "1");
    for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(name, driver.join("usr/share/vulkan/icd.d/radeon_icd.json"));
    }
    let output = command.output().with_context(|| format!("{} cannot be run", program.display()))?;
    if !output.status.success() {
        bail!("{chip}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(text: &str) -> Result<Table> {
    let mut table = Table::new();
    for line in text.lines().skip(1).filter(|l| !l.trim().is_empty()) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [chip, name, _, spills, _, occupancy, _, inverse] = cells[..] else {
            bail!("{TABLE}: {line:?} has not eight columns");
        };
        let number = |cell: &str| cell.parse().with_context(|| format!("{TABLE}: {cell:?} in {line:?}"));
        let figures = Figures {
            spills: number(spills)?,
            occupancy: number(occupancy)?,
            inverse_throughput: number(inverse)?,
            row: line.to_owned(),
        };
        table.insert((chip.to_owned(), name.to_owned()), figures);
    }
    Ok(table)
}

/// What is worse than the table says, new, or gone, in words.
fn compare(table: &Table, now: &Table) -> Vec<String> {
    let mut worse = Vec::new();
    for ((chip, name), is) in now {
        match table.get(&(chip.clone(), name.clone())) {
            None => worse.push(format!("{name} on {chip} is new")),
            Some(was) => {
                let slower = is.inverse_throughput as f64 > was.inverse_throughput as f64 * SLACK;
                if slower || is.occupancy < was.occupancy || is.spills > was.spills {
                    worse.push(format!("{name} on {chip} got worse:\n  was {}\n  is  {}", was.row, is.row));
                }
            }
        }
    }
    let gone = table.keys().filter(|key| !now.contains_key(key));
    worse.extend(gone.map(|(chip, name)| format!("{name} on {chip} is gone")));
    worse
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "head\nnavi31\ta\t96\t0\t8192\t16\t252\t1000\nnavi31\tb\t8\t0\t0\t32\t9\t10\n";

    #[test]
    fn worse_figures_new_rows_and_lost_ones_are_told() {
        let old = parse(OLD).unwrap();
        assert!(compare(&old, &old).is_empty());
        let slack = parse(&OLD.replace("1000", "1049")).unwrap();
        assert!(compare(&old, &slack).is_empty());
        for (from, to, word) in [
            ("\t1000", "\t1051", "got worse"),
            ("\t16\t", "\t15\t", "got worse"),
            ("96\t0", "96\t2", "got worse"),
            ("\tb\t", "\tc\t", "is new"),
        ] {
            let said = compare(&old, &parse(&OLD.replace(from, to)).unwrap());
            assert!(said.iter().any(|line| line.contains(word)), "{to}: {said:?}");
        }
        assert!(compare(&old, &Table::new()).iter().all(|line| line.ends_with("is gone")));
    }

    #[test]
    fn a_damaged_table_is_named() {
        assert!(parse("head\nnavi31\ta\t1\n").unwrap_err().to_string().contains("columns"));
        let error = parse(&OLD.replace("252", "x").replace("1000", "y")).unwrap_err();
        assert!(format!("{error:#}").contains("\"y\""), "{error:#}");
    }
}
