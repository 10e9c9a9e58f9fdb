//! Kernels written by hand in `shaders/`: pools, argmax, gather. This file gives them their figures and hooks.

use super::epilogue::Epilogue;
use super::expr::{Place, print};
use super::module::{Grid, Module, Width};
use super::space::Space;
use super::text::indented;
use crate::expr::{Expr, Instr};
use crate::launch::{Candidate, Unsupported};
use crate::step::{Core, Step};
use crate::table::MAX_TRIPS;
use wgrad_graph::ops::Window;
use wgrad_shaders::{Hook, expand};
use wgrad_types::{AdapterClass, Caps, View, numel};

/// A shader, its figures, and the loop trips an output element takes.
struct Kernel {
    shader: &'static str,
    constants: Vec<(&'static str, usize)>,
    trips: usize,
}

/// The one form of a step whose kernel is written by hand; `None` for other steps.
pub(super) fn candidates(step: &Step, caps: &Caps) -> Result<Option<Vec<Candidate>>, Unsupported> {
    let Some(kernel) = kernel(step) else { return Ok(None) };
    let software = caps.class == AdapterClass::Software;
    if software && kernel.trips > MAX_TRIPS {
        let (shader, trips) = (kernel.shader, kernel.trips);
        return Err(Unsupported(format!(
            "{shader}: {trips} loop trips, a software adapter runs {MAX_TRIPS}"
        )));
    }
    let (workgroup, per) = match software {
        true => (caps.subgroup.unwrap_or(8) as usize, per_invocation(step.numel(), kernel.trips)),
        false => (64, 1),
    };
    let grid = Grid::new(kernel.shader, step.numel().div_ceil(workgroup * per), caps)?;
    let mut constants = kernel.constants;
    constants.extend([
        ("WORKGROUP", workgroup),
        ("PER", per),
        ("GROUPS_X", grid.groups[0] as usize),
        ("COUNT", step.numel()),
    ]);
    let mut module = Module::new(step, caps);
    let hooks = hooks(&mut module);
    let text = expand(kernel.shader, &constants, &hooks);
    let launch = module.launch_text(kernel.shader, &text, &grid)?;
    let name = "direct".to_owned();
    Ok(Some(vec![Candidate { name, launches: vec![launch], scratch: Vec::new() }]))
}

/// Elements an invocation owns on a software adapter.
fn per_invocation(count: usize, trips: usize) -> usize {
    (count / 1024).clamp(1, 64).min((MAX_TRIPS / (trips + 1)).max(1))
}

fn kernel(step: &Step) -> Option<Kernel> {
    let own = |i: usize| step.operands[i].shape.clone();
    let pool = |shader, x: &[usize], y: &[usize], window: &Window| Kernel {
        shader,
        constants: vec![
            ("H", x[2]),
            ("W", x[3]),
            ("OH", y[2]),
            ("OW", y[3]),
            ("KH", window.kernel[0]),
            ("KW", window.kernel[1]),
            ("SY", window.stride[0]),
            ("SX", window.stride[1]),
            ("PY", window.padding[0]),
            ("PX", window.padding[1]),
        ],
        trips: (window.kernel[0] + 1) * (window.kernel[1] + 1),
    };
    let axis = |shader, shape: &[usize], axis: usize, trips: usize| Kernel {
        shader,
        constants: vec![("EXTENT", shape[axis]), ("INNER", numel(&shape[axis + 1..]))],
        trips,
    };
    Some(match &step.core {
        Core::MaxPool2d(w) => pool("max_pool2d", &own(0), &step.shape, w),
        Core::AvgPool2d(w) => pool("avg_pool2d", &own(0), &step.shape, w),
        Core::MaxPool2dGrad(w) => {
            let mut kernel = pool("max_pool2d_grad", &step.shape, &own(1), w);
            kernel.cover(w);
            kernel
        }
        Core::AvgPool2dGrad(w) => {
            let mut kernel = pool("avg_pool2d_grad", &step.shape, &own(0), w);
            kernel.trips = 1;
            kernel.cover(w);
            kernel
        }
        Core::ArgMax { axis: a } => axis("argmax", &own(0), *a, own(0)[*a]),
        Core::Gather { axis: a, index } => {
            let mut kernel = axis("gather", &own(0), *a, 1);
            kernel.constants.push(("LENGTH", index.shape[*a]));
            kernel
        }
        Core::GatherGrad { axis: a, index, .. } => {
            let mut kernel = axis("gather_grad", &step.shape, *a, index.shape[*a]);
            kernel.constants.push(("LENGTH", index.shape[*a]));
            kernel
        }
        _ => return None,
    })
}

impl Kernel {
    /// Figures and trips of the loops over the windows that may cover an element.
    fn cover(&mut self, w: &Window) {
        let [y, x] = [0, 1].map(|d| w.kernel[d].div_ceil(w.stride[d]));
        self.constants.extend([("COVER_Y", y), ("COVER_X", x)]);
        self.trips *= (y + 1) * (x + 1);
    }
}

/// The hooks of a step's shader, which also bind the buffers they read and those the core reads.
fn hooks(module: &mut Module<'_>) -> Vec<Hook> {
    let step = module.step;
    let mut hooks = Vec::new();
    match &step.core {
        Core::Gather { index, .. } => {
            module.operand(0, Width::One);
            hooks.push(read(module, "index_at", 1, index));
        }
        Core::GatherGrad { dy, index, .. } => {
            hooks.push(read(module, "dy_at", 0, dy));
            hooks.push(read(module, "index_at", 1, index));
        }
        Core::MaxPool2dGrad(_) => {
            module.operand(0, Width::One);
            module.operand(1, Width::One);
        }
        _ => {
            module.operand(0, Width::One);
        }
    }
    if matches!(step.core, Core::ArgMax { .. }) {
        module.output(0, Width::One);
    } else {
        let code = Epilogue::new(step).function(module, Width::One);
        hooks.push(Hook { name: "epilogue", code });
    }
    hooks
}

/// A function that reads an operand through a view.
fn read(module: &mut Module<'_>, name: &'static str, operand: usize, view: &View) -> Hook {
    let mut expr = Expr::default();
    let dtype = module.step.operands[operand].dtype;
    let load = expr.push(Instr::Load { operand, view: view.clone() }, dtype);
    expr.results = vec![load];
    let space = Space::new(&expr, &view.shape, &[]);
    let printed = print(module, &space, Width::One, Place::Linear("o"), "r");
    let lines: Vec<String> = printed.uniform.into_iter().chain(printed.body).collect();
    let (ty, body) = (dtype.wgsl(), indented(&lines, 1));
    let code = format!("fn {name}(o: u32) -> {ty} {{\n{body}    return {};\n}}\n", printed.results[0]);
    Hook { name, code }
}
