//! Element-wise kernels: every invocation runs the epilogue's expression on its elements, four at a time where the
//! views allow.

use super::epilogue::Epilogue;
use super::module::{Grid, Module, Width};
use super::text::indented;
use crate::launch::{Candidate, Unsupported};
use crate::step::Step;
use wgrad_types::{AdapterClass, Caps};

/// Loop trips of one invocation on a software adapter, and the workgroups wanted before they grow.
const SOFTWARE_TRIPS: usize = 64;
const SOFTWARE_GROUPS: usize = 256;

/// The forms of an element-wise step.
pub(super) fn candidates(step: &Step, caps: &Caps) -> Result<Vec<Candidate>, Unsupported> {
    let epilogue = Epilogue::new(step);
    let mut forms = Vec::new();
    if epilogue.fits_quads(&[]) {
        forms.push(Width::Four);
    }
    if forms.is_empty() || caps.class != AdapterClass::Software {
        forms.push(Width::One);
    }
    forms.into_iter().map(|width| candidate(step, &epilogue, width, caps)).collect()
}

fn candidate(step: &Step, epilogue: &Epilogue, width: Width, caps: &Caps) -> Result<Candidate, Unsupported> {
    let name = if width == Width::Four { "vec4" } else { "scalar" };
    let label = format!("map.{name}");
    let n = step.numel() / width.lanes();
    let mut module = Module::new(step, caps);
    let printed = epilogue.print(&mut module, width, "i", "r");
    let (workgroup, chunk) = shape(n, caps);
    let grid = Grid::new(&label, n.div_ceil(chunk), caps)?;
    let mut main = indented(&grid.id(), 1);
    main += &indented(&printed.uniform, 1);
    if chunk == workgroup {
        main += &format!("    let i = id * {chunk}u + li;\n    if (i < {n}u) {{\n");
    } else {
        main += &format!("    let end = min(id * {chunk}u + {chunk}u, {n}u);\n");
        main += &format!("    for (var i = id * {chunk}u + li; i < end; i += {workgroup}u) {{\n");
    }
    main += &indented(&printed.body, 2);
    main += "    }\n";
    let launch = module.launch(&label, workgroup, &main, &grid)?;
    Ok(Candidate { name: name.to_owned(), launches: vec![launch], scratch: Vec::new() })
}

/// Invocations in a workgroup, and the elements (or quads) it owns.
fn shape(n: usize, caps: &Caps) -> (usize, usize) {
    match caps.class {
        AdapterClass::Software => {
            let workgroup = caps.subgroup.unwrap_or(8) as usize;
            let trips = n.div_ceil(SOFTWARE_GROUPS * workgroup).max(SOFTWARE_TRIPS);
            (workgroup, trips * workgroup)
        }
        _ if n >= 1 << 14 => (256.min(caps.limits.workgroup_size), 256.min(caps.limits.workgroup_size)),
        _ => (64, 64),
    }
}
