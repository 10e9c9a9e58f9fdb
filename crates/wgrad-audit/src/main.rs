//! Every hot kernel compiled by the Vulkan driver at hand, and what its compiler says: a line a kernel, tab-separated,
//! `name variant registers spills lds occupancy instructions inverse_throughput`. Form 1 is what a discrete GPU gets untuned.
//!
//! `cargo xtask audit` runs it once for each AMD chip under a driver that has the compiler but no hardware, and holds the
//! figures against a table. The kernels are those of `wgrad bench`, in the forms a discrete GPU may be given.

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

/// Forms of a kernel that are looked at; further ones are the first again, in another number of parts.
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

/// Launches by a name that says the benchmark, the kernel and its form, with the form's place among the variants; each
/// text once.
fn launches() -> Result<BTreeMap<String, (usize, Launch)>> {
    let mut found: BTreeMap<String, (usize, Launch)> = BTreeMap::new();
    let mut seen: Vec<Arc<str>> = Vec::new();
    for kernel in kernels() {
        for variant in 0..VARIANTS {
            let options = PlanOptions { variant, ..PlanOptions::default() };
            let plan =
                plan(&kernel.graph(), &caps(), &options).map_err(|e| anyhow!("{}: {e}", kernel.name))?;
            for launch in plan.kernels.iter().flat_map(|s| &s.variant.launches) {
                if !seen.contains(&launch.source) {
                    seen.push(launch.source.clone());
                    let name = format!("{}/{}", kernel.name, launch.name);
                    // Of several texts of a name, as of products split differently, the one that runs first.
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
