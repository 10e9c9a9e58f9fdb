//! Compiles every hot kernel with the current Vulkan driver and prints its compiler's statistics: one line
//! per kernel, tab-separated, `name variant registers spills lds occupancy instructions inverse_throughput`.
//! Variant 1 is a discrete GPU's default.
//!
//! `cargo xtask audit` runs it once for each AMD chip under a driver without hardware, and compares the
//! figures with a table. The kernels are those of `wgrad bench`, in the variants of a discrete GPU.

#![expect(clippy::print_stdout, reason = "figures are what this program is for")]

mod driver;
mod spirv;

use anyhow::{Context, Result, anyhow};
use driver::Driver;
use std::collections::BTreeMap;
use std::sync::Arc;
use wgrad_bench::kernels;
use wgrad_kernels::Launch;
use wgrad_plan::{PlanOptions, plan};
use wgrad_types::{AdapterClass, Caps, Limits};

/// Variants to compile per kernel; further ones repeat the first with another number of parts.
const VARIANTS: usize = 4;

/// A discrete AMD GPU through RADV, as far as kernels depend on it.
fn caps() -> Caps {
    let limits = Limits {
        workgroup_bytes: 32 << 10,
        workgroup_size: 1024,
        binding_bytes: 2 << 30,
        buffer_bytes: 2 << 30,
        ..Limits::WEBGPU_BASELINE
    };
    Caps { class: AdapterClass::Discrete, limits, ..Caps::webgpu_baseline() }
}

/// Launches by benchmark, kernel and variant, with the variant's index; each text once.
fn launches() -> Result<BTreeMap<String, (usize, Launch)>> {
    let mut found: BTreeMap<String, (usize, Launch)> = BTreeMap::new();
    let mut seen: Vec<Arc<str>> = Vec::new();
    for kernel in kernels() {
        for variant in 0..VARIANTS {
            let options = PlanOptions::default().variant(variant);
            let plan =
                plan(&kernel.graph(), &caps(), &options).map_err(|e| anyhow!("{}: {e}", kernel.name))?;
            for launch in plan.kernels.iter().flat_map(|s| &s.variant.launches) {
                if !seen.contains(&launch.source) {
                    seen.push(launch.source.clone());
                    let name = format!("{}/{}", kernel.name, launch.name);
                    // Among several texts of a name, as of products with different splits, the default
                    // counts.
                    found.entry(name).or_insert((variant + 1, launch.clone()));
                }
            }
        }
    }
    Ok(found)
}

fn main() -> Result<()> {
    let driver = Driver::load()?;
    println!("# {}", driver.name());
    for (name, (variant, launch)) in launches()? {
        let module = spirv::translate(&launch.source).with_context(|| name.clone())?;
        let s = driver.compile(&module, launch.bindings.len()).with_context(|| name.clone())?;
        let figures = [s.registers, s.spills, s.lds, s.occupancy, s.instructions, s.inverse_throughput];
        let figures: Vec<String> = figures.iter().map(u64::to_string).collect();
        println!("{name}\t{variant}\t{}", figures.join("\t"));
    }
    Ok(())
}
