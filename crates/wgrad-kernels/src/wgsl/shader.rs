//! Kernels written by hand in `shaders/`: pools, argmax, gather. This file gives them their figures and hooks.

use super::epilogue::Epilogue;
use super::expr::{Place, print};
use super::module::{Grid, Module, Width};
use super::reduce::combine_partials;
use super::space::Space;
use super::statement::lines;
use super::text::indented;
use crate::expr::{Expr, Instr};
use crate::kernel::{Core, Kernel};
use crate::launch::{Access, Launch, Unsupported, Variant};
use crate::table::MAX_TRIPS;
use wgrad_graph::ops::{ReduceKind, Window};
use wgrad_shaders::{Hook, expand};
use wgrad_types::{AdapterClass, Caps, DType, View, numel};

/// A shader, its figures, and the loop trips an output element takes.
struct Direct {
    shader: &'static str,
    constants: Vec<(&'static str, usize)>,
    trips: usize,
    /// Elements it makes.
    count: usize,
}

/// Trips of a loop over a part of a long axis.
const PART: usize = MAX_TRIPS / 2;
/// Minimum number of trips of a max pool's gradient for a separate launch finding the maxima: each window is then searched
/// once, not once per element. 3x3 windows at stride 2 have 144 and take half the time so, on a software adapter (`measure
/// max_pool2d_grad_n8_c64_112`); 2x2 windows side by side have 36.
const SEARCHED: usize = 64;

/// Only variant of a hand-written kernel; `None` for other kernels.
pub(super) fn variants(kernel: &Kernel, caps: &Caps) -> Result<Option<Vec<Variant>>, Unsupported> {
    let Some(direct) = direct(kernel) else { return Ok(None) };
    let long = caps.class == AdapterClass::Software && direct.trips > MAX_TRIPS;
    let name = "direct".to_owned();
    let variant = |launches, scratch| Ok(Some(vec![Variant { name, launches, scratch }]));
    let floats = |n: usize| vec![n * DType::F32.bytes()];
    match &kernel.core {
        Core::ArgMax { axis } if long => {
            let extent = kernel.operands[0].shape[*axis];
            let parts = extent.div_ceil(PART);
            let cut = |shader, trips, count| {
                let mut constants = direct.constants.clone();
                constants.extend([("PARTS", parts), ("CHUNK", PART)]);
                Direct { shader, constants, trips, count }
            };
            let part = launch(kernel, cut("argmax_part", PART, kernel.numel() * parts), Writes::Part, caps)?;
            let join = launch(kernel, cut("argmax_join", parts, kernel.numel()), Writes::Joined, caps)?;
            variant(vec![part, join], floats(kernel.numel() * parts))
        }
        Core::GatherGrad { axis, index, .. } if long => {
            let parts = index.shape[*axis].div_ceil(PART);
            let count = kernel.numel() * parts;
            let constants =
                direct.constants.into_iter().map(|(n, v)| (n, if n == "CHUNK" { PART } else { v })).collect();
            let part = Direct { shader: direct.shader, constants, trips: PART, count };
            let part = launch(kernel, part, Writes::Part, caps)?;
            let join = combine_partials(kernel, ReduceKind::Sum, parts, caps)?;
            variant(vec![part, join], floats(count))
        }
        Core::MaxPool2dGrad(w) if direct.trips > SEARCHED => {
            let windows = numel(&kernel.operands[1].shape);
            let own = |name: &str| !name.starts_with("COVER");
            let constants = direct.constants.iter().copied().filter(|c| own(c.0)).collect();
            let trips = (w.kernel[0] + 1) * (w.kernel[1] + 1);
            let at = Direct { shader: "max_pool2d_at", constants, trips, count: windows };
            let cover = |d: usize| w.kernel[d].div_ceil(w.stride[d]) + 1;
            let trips = cover(0) * cover(1);
            let grad = Direct { shader: "max_pool2d_grad_at", trips, ..direct };
            let launches =
                vec![launch(kernel, at, Writes::Part, caps)?, launch(kernel, grad, Writes::Joined, caps)?];
            variant(launches, floats(windows))
        }
        _ => variant(vec![launch(kernel, direct, Writes::Result, caps)?], Vec::new()),
    }
}

/// Use of the kernel's scratch by a launch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// Nothing: it makes the result.
    Result,
    /// It makes the scratch.
    Part,
    /// It makes the result of the scratch.
    Joined,
}

fn launch(kernel: &Kernel, direct: Direct, writes: Writes, caps: &Caps) -> Result<Launch, Unsupported> {
    let software = caps.class == AdapterClass::Software;
    if software && direct.trips > MAX_TRIPS {
        let (shader, trips) = (direct.shader, direct.trips);
        return Err(Unsupported(format!(
            "{shader}: {trips} loop trips, a software adapter runs {MAX_TRIPS}"
        )));
    }
    let (workgroup, per) = match software {
        true => (caps.subgroup.unwrap_or(8) as usize, per_invocation(direct.count, direct.trips)),
        false => (64, 1),
    };
    let grid = Grid::new(direct.shader, direct.count.div_ceil(workgroup * per), caps)?;
    let mut constants = direct.constants;
    constants.extend([
        ("WORKGROUP", workgroup),
        ("PER", per),
        ("GROUPS_X", grid.groups[0] as usize),
        ("COUNT", direct.count),
    ]);
    let mut module = Module::new(kernel, caps);
    let hooks = hooks(&mut module, writes);
    let constants: Vec<_> = constants.into_iter().map(|(name, count)| (name, count.into())).collect();
    let text = expand(direct.shader, &constants, &hooks);
    module.launch_text(direct.shader, &text, &grid)
}

/// Elements an invocation owns on a software adapter.
fn per_invocation(count: usize, trips: usize) -> usize {
    (count / 1024).clamp(1, 64).min((MAX_TRIPS / (trips + 1)).max(1))
}

fn direct(kernel: &Kernel) -> Option<Direct> {
    let own = |i: usize| kernel.operands[i].shape.clone();
    let count = kernel.numel();
    let pool = |shader, x: &[usize], y: &[usize], window: &Window| Direct {
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
    let axis = |shader, shape: &[usize], axis: usize, trips: usize| Direct {
        shader,
        count,
        constants: vec![("EXTENT", shape[axis]), ("INNER", numel(&shape[axis + 1..]))],
        trips,
    };
    Some(match &kernel.core {
        Core::MaxPool2d(w) => pool("max_pool2d", &own(0), &kernel.shape, w),
        Core::AvgPool2d(w) => pool("avg_pool2d", &own(0), &kernel.shape, w),
        Core::MaxPool2dGrad(w) => {
            let mut direct = pool("max_pool2d_grad", &kernel.shape, &own(1), w);
            direct.cover(w);
            direct
        }
        Core::AvgPool2dGrad(w) => {
            let mut direct = pool("avg_pool2d_grad", &kernel.shape, &own(0), w);
            direct.trips = 1;
            direct.cover(w);
            direct
        }
        Core::ArgMax { axis: a } => axis("argmax", &own(0), *a, own(0)[*a]),
        Core::Gather { axis: a, index } => {
            let mut direct = axis("gather", &own(0), *a, 1);
            direct.constants.push(("LENGTH", index.shape[*a]));
            direct
        }
        Core::GatherGrad { axis: a, index, .. } => {
            let length = index.shape[*a];
            let mut direct = axis("gather_grad", &kernel.shape, *a, length);
            direct.constants.extend([("LENGTH", length), ("SIZE", count), ("CHUNK", length)]);
            direct
        }
        _ => return None,
    })
}

impl Direct {
    /// Figures and trips of the loops over the windows covering an element.
    fn cover(&mut self, w: &Window) {
        let [y, x] = [0, 1].map(|d| w.kernel[d].div_ceil(w.stride[d]));
        self.constants.extend([("COVER_Y", y), ("COVER_X", x)]);
        self.trips *= (y + 1) * (x + 1);
    }
}

/// Hooks of a launch's shader; also binds the buffers read by them and by the core.
fn hooks(module: &mut Module<'_>, writes: Writes) -> Vec<Hook> {
    let kernel = module.kernel;
    let mut hooks = Vec::new();
    match &kernel.core {
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
            if matches!(kernel.core, Core::GatherGrad { .. }) {
                let code = format!("fn epilogue(o: u32, acc: f32) {{\n    {partials}[o] = acc;\n}}\n");
                hooks.push(Hook { name: "epilogue", code });
            }
            return hooks;
        }
    }
    if matches!(kernel.core, Core::ArgMax { .. }) {
        module.output(0, Width::One);
    } else {
        let code = Epilogue::new(kernel).function(module, Width::One);
        hooks.push(Hook { name: "epilogue", code });
    }
    hooks
}

/// Function loading an operand through a view.
fn read(module: &mut Module<'_>, name: &'static str, operand: usize, view: &View) -> Hook {
    let mut expr = Expr::default();
    let dtype = module.kernel.operands[operand].dtype;
    let load = expr.push(Instr::Load { operand, view: view.clone() }, dtype);
    expr.results = vec![load];
    let space = Space::new(&expr, &view.shape, &[]);
    let printed = print(module, &space, Width::One, Place::Linear("o"), "r");
    let lines = [lines(&printed.uniform), lines(&printed.body)].concat();
    let (ty, body) = (dtype.wgsl(), indented(&lines, 1));
    let code = format!("fn {name}(o: u32) -> {ty} {{\n{body}    return {};\n}}\n", printed.results[0]);
    Hook { name, code }
}
