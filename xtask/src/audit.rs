//! Hot kernels through the compiler of real AMD GPUs, without one: Mesa's RADV over a dummy kernel interface
//! (`mesa-drm-shim`). Figures are compared with `docs/audit.tsv`; a spill, a worse figure, or a tiled product
//! above its [`LIMITS`] per multiply-add is a failure.
//!
//! The driver comes from Debian's backports into the target folder; nothing is installed. The figures serve
//! to compare variants of a kernel. They are the compiler's model, not a measurement.

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

/// The table, and the allowed difference of figures: compilers change a little from one version to the next.
const TABLE: &str = "docs/audit.tsv";
const SLACK: f64 = 1.05;
const HEAD: &str =
    "chip\tkernel\tform\tregisters\tspills\tlds\toccupancy\tinstructions\tinverse_throughput\tper_fma";

/// Limits of a tiled product or convolution per multiply-add of an invocation, in the default variant: the
/// figures of good kernels of the kind with the same compiler.
const LIMITS: [(&str, f64); 2] = [("navi31", 17.5), ("navi10", 26.0)];

/// A kernel's figures on a chip.
#[derive(Clone, Debug, PartialEq)]
struct Figures {
    spills: u64,
    occupancy: u64,
    inverse_throughput: u64,
    /// Place among the variants, from 1.
    variant: u64,
    /// Inverse throughput for a multiply-add, of tiled products.
    per_fma: Option<f64>,
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
            let inverse = line.rsplit('\t').next().and_then(|cell| cell.parse::<f64>().ok());
            let fmas = fmas(line.split('\t').next().unwrap_or_default());
            let per_fma = inverse.zip(fmas).map_or("-".into(), |(inverse, n)| format!("{:.2}", inverse / n));
            let _ = writeln!(text, "{chip}\t{line}\t{per_fma}");
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
    let slow = beyond_limits(&now);
    if !slow.is_empty() {
        bail!("too much for a multiply-add: {}", slow.join(", "));
    }
    println!("audit: {} kernels on {} chips, none spills", now.len() / CHIPS.len(), CHIPS.len());
    Ok(())
}

/// The folder with the driver; downloads it if missing.
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

/// Multiply-adds of an invocation between two loads of a tile, by the variant's name: `tile64x64x16_8x8` has
/// 8 x 8 x 16.
///
/// The compiler's figure counts that stretch eight times, once per iteration of its loop, so it is for eight
/// multiply-adds; code outside the loop adds little. (The compiler assumes four iterations of the inner loop,
/// correctly, or unrolls it.)
fn fmas(kernel: &str) -> Option<f64> {
    let (sizes, own) = kernel.rsplit_once(".tile")?.1.split_once('_')?;
    let depth: f64 = sizes.split('x').nth(2)?.parse().ok()?;
    let (rows, columns) = own.split_once('x')?;
    Some(depth * rows.parse::<f64>().ok()? * columns.parse::<f64>().ok()?)
}

/// Tiled products beyond [`LIMITS`], in words.
fn beyond_limits(now: &Table) -> Vec<String> {
    let limit = |chip: &str| LIMITS.iter().find(|l| l.0 == chip).map_or(f64::INFINITY, |l| l.1);
    let slow =
        now.iter().filter(|((chip, _), f)| f.variant == 1 && f.per_fma.is_some_and(|n| n > limit(chip)));
    slow.map(|((chip, name), f)| format!("{name} on {chip} {:.2}", f.per_fma.unwrap_or_default())).collect()
}

fn parse(text: &str) -> Result<Table> {
    let mut table = Table::new();
    for line in text.lines().skip(1).filter(|l| !l.trim().is_empty()) {
        let cells: Vec<&str> = line.split('\t').collect();
        let [chip, name, variant, _, spills, _, occupancy, _, inverse, per_fma] = cells[..] else {
            bail!("{TABLE}: {line:?} has not ten columns");
        };
        let number = |cell: &str| cell.parse().with_context(|| format!("{TABLE}: {cell:?} in {line:?}"));
        let figures = Figures {
            spills: number(spills)?,
            occupancy: number(occupancy)?,
            inverse_throughput: number(inverse)?,
            variant: number(variant)?,
            per_fma: per_fma.parse().ok(),
            row: line.to_owned(),
        };
        table.insert((chip.to_owned(), name.to_owned()), figures);
    }
    Ok(table)
}

/// Differences from the table in words: worse, new or missing figures.
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

    const OLD: &str =
        "head\nnavi31\ta\t1\t96\t0\t8192\t16\t252\t1000\t17.50\nnavi31\tb\t1\t8\t0\t0\t32\t9\t10\t-\n";

    #[test]
    fn audit_reports_worse_new_and_missing_figures() {
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
    fn audit_counts_multiply_adds_by_name() {
        assert_eq!(fmas("matmul_512/matmul.tile64x64x16_8x8"), Some(1024.0));
        assert_eq!(fmas("gelu_4096x1024/map.vec4"), None);
        assert!(beyond_limits(&parse(OLD).unwrap()).is_empty());
        let slow = OLD.replace("17.50", "17.51");
        assert_eq!(beyond_limits(&parse(&slow).unwrap()), ["a on navi31 17.51"]);
        assert!(beyond_limits(&parse(&slow.replace("navi31", "raven")).unwrap()).is_empty());
        assert!(beyond_limits(&parse(&slow.replace("a\t1\t", "a\t2\t")).unwrap()).is_empty());
    }

    #[test]
    fn audit_damaged_table_is_named() {
        assert!(parse("head\nnavi31\ta\t1\n").unwrap_err().to_string().contains("columns"));
        let error = parse(&OLD.replace("252", "x").replace("1000", "y")).unwrap_err();
        assert!(format!("{error:#}").contains("\"y\""), "{error:#}");
    }
}
