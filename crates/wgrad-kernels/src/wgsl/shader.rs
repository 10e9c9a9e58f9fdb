//! Kernels written by hand in `shaders/`: pools, argmax, gather. This file gives them their figures and hooks.

use super::epilogue::Epilogue;
use super::expr::{Place, print};
use super::module::{Grid, Module, Width};
use super::reduce::combine_partials;
use super::space::Space;
use super::text::indented;
use crate::expr::{Expr, Instr};
use crate::launch::{Access, Candidate, Launch, Unsupported};
use crate::step::{Core, Step};
use crate::table::MAX_TRIPS;
use wgrad_graph::ops::{ReduceKind, Window};
use wgrad_shaders::{Hook, expand};
use wgrad_types::{AdapterClass, Caps, DType, View, numel};

/// A shader, its figures, and the loop trips an output element takes.
struct Kernel {
    shader: &'static str,
    constants: Vec<(&'static str, usize)>,
    trips: usize,
    /// Elements it makes.
    count: usize,
}

/// Trips of a loop over a part of a long axis.
const PART: usize = MAX_TRIPS / 2;
/// Trips of the gradient of a max pool from which a launch before it finds the maxima: each window is then searched once, not
/// once per element. 3x3 windows at stride 2 have 144 and take half the time so, on a software adapter (`measure
/// max_pool2d_grad_n8_c64_112`); 2x2 windows side by side have 36.
const SEARCHED: usize = 64;

/// The one form of a step whose kernel is written by hand; `None` for other steps.
pub(super) fn candidates(step: &Step, caps: &Caps) -> Result<Option<Vec<Candidate>>, Unsupported> {
    let Some(kernel) = kernel(step) else { return Ok(None) };
    let long = caps.class == AdapterClass::Software && kernel.trips > MAX_TRIPS;
    let name = "direct".to_owned();
    let form = |launches, scratch| Ok(Some(vec![Candidate { name, launches, scratch }]));
    let floats = |n: usize| vec![n * DType::F32.bytes()];
    match &step.core {
        Core::ArgMax { axis } if long => {
            let extent = step.operands[0].shape[*axis];
            let parts = extent.div_ceil(PART);
            let cut = |shader, trips, count| {
                let mut constants = kernel.constants.clone();
                constants.extend([("PARTS", parts), ("CHUNK", PART)]);
                Kernel { shader, constants, trips, count }
            };
            let part = launch(step, cut("argmax_part", PART, step.numel() * parts), Writes::Part, caps)?;
            let join = launch(step, cut("argmax_join", parts, step.numel()), Writes::Joined, caps)?;
            form(vec![part, join], floats(step.numel() * parts))
        }
        Core::GatherGrad { axis, index, .. } if long => {
            let parts = index.shape[*axis].div_ceil(PART);
            let count = step.numel() * parts;
            let constants =
                kernel.constants.into_iter().map(|(n, v)| (n, if n == "CHUNK" { PART } else { v })).collect();
            let part = Kernel { shader: kernel.shader, constants, trips: PART, count };
            let part = launch(step, part, Writes::Part, caps)?;
            let join = combine_partials(step, ReduceKind::Sum, parts, caps)?;
            form(vec![part, join], floats(count))
        }
        Core::MaxPool2dGrad(w) if kernel.trips > SEARCHED => {
            let windows = numel(&step.operands[1].shape);
            let own = |name: &str| !name.starts_with("COVER");
            let constants = kernel.constants.iter().copied().filter(|c| own(c.0)).collect();
            let trips = (w.kernel[0] + 1) * (w.kernel[1] + 1);
            let at = Kernel { shader: "max_pool2d_at", constants, trips, count: windows };
            let cover = |d: usize| w.kernel[d].div_ceil(w.stride[d]) + 1;
            let trips = cover(0) * cover(1);
            let grad = Kernel { shader: "max_pool2d_grad_at", trips, ..kernel };
            let launches =
                vec![launch(step, at, Writes::Part, caps)?, launch(step, grad, Writes::Joined, caps)?];
            form(launches, floats(windows))
        }
        _ => form(vec![launch(step, kernel, Writes::Result, caps)?], Vec::new()),
    }
}

/// What a launch has to do with the step's scratch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// Nothing: it makes the result.
    Result,
    /// It makes the scratch.
    Part,
    /// It makes the result of the scratch.
    Joined,
}

fn launch(step: &Step, kernel: Kernel, writes: Writes, caps: &Caps) -> Result<Launch, Unsupported> {
    let software = caps.class == AdapterClass::Software;
    if software && kernel.trips > MAX_TRIPS {
        let (shader, trips) = (kernel.shader, kernel.trips);
        return Err(Unsupported(format!(
            "{shader}: {trips} loop trips, a software adapter runs {MAX_TRIPS}"
        )));
    }
    let (workgroup, per) = match software {
        true => (caps.subgroup.unwrap_or(8) as usize, per_invocation(kernel.count, kernel.trips)),
        false => (64, 1),
    };
    let grid = Grid::new(kernel.shader, kernel.count.div_ceil(workgroup * per), caps)?;
    let mut constants = kernel.constants;
    constants.extend([
        ("WORKGROUP", workgroup),
        ("PER", per),
        ("GROUPS_X", grid.groups[0] as usize),
        ("COUNT", kernel.count),
    ]);
    let mut module = Module::new(step, caps);
    let hooks = hooks(&mut module, writes);
    let constants: Vec<_> = constants.into_iter().map(|(name, count)| (name, count.into())).collect();
    let text = expand(kernel.shader, &constants, &hooks);
    module.launch_text(kernel.shader, &text, &grid)
}

/// Elements an invocation owns on a software adapter.
fn per_invocation(count: usize, trips: usize) -> usize {
    (count / 1024).clamp(1, 64).min((MAX_TRIPS / (trips + 1)).max(1))
}

fn kernel(step: &Step) -> Option<Kernel> {
    let own = |i: usize| step.operands[i].shape.clone();
    let count = step.numel();
    let pool = |shader, x: &[usize], y: &[usize], window: &Window| Kernel {
        shader,
        count,
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
        count,
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
            let length = index.shape[*a];
            let mut kernel = axis("gather_grad", &step.shape, *a, length);
            kernel.constants.extend([("LENGTH", length), ("SIZE", count), ("CHUNK", length)]);
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

/// The hooks of a launch's shader, which also bind the buffers they read and those the core reads.
fn hooks(module: &mut Module<'_>, writes: Writes) -> Vec<Hook> {
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
            if writes != Writes::Joined {
                module.operand(0, Width::One);
            }
            if writes != Writes::Part {
                module.operand(1, Width::One);
            }
        }
        _ => {
            module.operand(0, Width::One);
        }
    }
    match writes {
        Writes::Result => {}
        Writes::Joined => drop(module.scratch(Access::Read, Width::One)),
        Writes::Part => {
            let partials = module.scratch(Access::ReadWrite, Width::One);
            if matches!(step.core, Core::GatherGrad { .. }) {
                let code = format!("fn epilogue(o: u32, acc: f32) {{\n    {partials}[o] = acc;\n}}\n");
                hooks.push(Hook { name: "epilogue", code });
            }
            return hooks;
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
