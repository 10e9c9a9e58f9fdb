//! Row chains as WGSL: `shaders/softmax.wgsl` with the chain's own links as its hook.
//!
//! Links over rows of one width run in one loop, up to a reduction whose result a later one needs. A value lives in a
//! register within its loop (or for the whole row, if it has one element per row). If a later loop reads it, both loops
//! are written out, for it to stay in registers; in a long row, or if other lanes read it, it goes to workgroup memory.

mod loops;
mod registers;

use super::expr::quad_operands;
use super::module::{Figures, Grid, Module, Width, opaque_loops};
use super::space::Space;
use crate::expr::{Expr, Instr};
use crate::kernel::{Core, Kernel};
use crate::launch::{Unsupported, Variant};
use crate::row_chain::{Chain, Link, Source};
use crate::table::MAX_TRIPS;
use loops::{Loops, local_bytes};
use wgrad_graph::ops::ReduceKind;
use wgrad_shaders::Hook;
use wgrad_types::{AdapterClass, Caps, numel};

/// Workgroups wanted on a software adapter before a team takes several rows.
const SOFTWARE_GROUPS: usize = 64;
/// Most loads and stores of a row per lane on a software adapter: each is some hundred instructions of its code, and
/// twice as many made a layer norm of 1,024 elements slower than separate kernels (`measure layer_norm_4096x1024`).
const SOFTWARE_ACCESSES: usize = 64;
/// Row length from which a subgroup shares a row on a software adapter.
const SHARED_ROW: usize = 32;
/// Invocations of a GPU's workgroup of several teams.
const GPU_WORKGROUP: usize = 64;
/// Longest row of few rows: a longer one is left to reductions, split among workgroups.
const LONGEST: usize = 4096;

/// Links over rows of one width, run together.
struct Group {
    /// Elements per row.
    width: usize,
    /// False for element-wise code of one element per row.
    looped: bool,
    links: Vec<usize>,
}

/// Division of rows among invocations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Teams {
    lanes: usize,
    /// Teams of a workgroup.
    teams: usize,
    /// Rows per team.
    rounds: usize,
    /// True if a team is a subgroup.
    subgroup: bool,
}

impl Teams {
    fn name(self) -> String {
        match (self.lanes, self.subgroup) {
            (1, _) => "rows".to_owned(),
            (lanes, true) => format!("subgroup{lanes}"),
            (lanes, false) => format!("tree{lanes}"),
        }
    }
}

/// True if a row chain has WGSL on an adapter: rows of up to 4,096 elements, with values that fit workgroup memory.
/// On a software adapter, rows that fit registers.
pub fn fits(kernel: &Kernel, caps: &Caps) -> bool {
    let Core::RowChain(chain) = &kernel.core else { return false };
    let links = || chain.links.iter().map(|link| &link.kernel);
    let scalars = links().flat_map(expressions).flat_map(|e| &e.instrs);
    let scalars = scalars.filter(|i| matches!(i, Instr::Scalar { .. } | Instr::Random { .. })).count();
    let buffers = kernel.operands.len() + kernel.outputs.len() + usize::from(scalars > 0);
    let longest = groups(chain).iter().map(|g| g.width).max().unwrap_or(1);
    chain.rows > 0
        && buffers <= caps.limits.storage_buffers
        && longest <= LONGEST
        && links().all(|k| kept(k, chain.rows).is_some())
        && schemes(kernel, chain, caps)
            .is_ok_and(|s| caps.class != AdapterClass::Software || s.iter().all(|s| short(kernel, chain, *s)))
}

/// True if rows stay in registers in code of a size that pays on a software adapter.
fn short(kernel: &Kernel, chain: &Chain, teams: Teams) -> bool {
    let unit = loop_width(chain, &groups(chain), kernel.operands.len()).lanes();
    let cached = registers::cached(kernel, chain, teams.lanes, unit);
    let accesses = cached.links.iter().map(|link| {
        let inner = reduction(&link.kernel).map_or(&link.kernel.epilogue, |r| r.1);
        let loads = inner.instrs.iter().filter_map(Instr::load);
        let loads = loads.filter(|(operand, _)| matches!(link.reads[*operand], Source::Operand(_))).count();
        let stores = link
            .writes
            .iter()
            .filter(|&&v| cached.values[v].output.is_some() && cached.values[v].ty.numel() > chain.rows);
        (width(link, chain.rows) / unit).div_ceil(teams.lanes) * (loads + stores.count())
    });
    let longest = groups(chain).iter().map(|g| g.width / unit).max().unwrap_or(1);
    registers::fits(longest, teams.lanes) && accesses.sum::<usize>() <= SOFTWARE_ACCESSES
}

/// Variants of a chain.
pub(super) fn variants(kernel: &Kernel, chain: &Chain, caps: &Caps) -> Result<Vec<Variant>, Unsupported> {
    schemes(kernel, chain, caps)?.into_iter().map(|teams| variant(kernel, chain, teams, caps)).collect()
}

fn variant(kernel: &Kernel, chain: &Chain, teams: Teams, caps: &Caps) -> Result<Variant, Unsupported> {
    let name = teams.name();
    let label = format!("row_chain.{name}");
    let mut module = Module::new(kernel, caps);
    let ragged = !chain.rows.is_multiple_of(teams.teams * teams.rounds);
    let width = loop_width(chain, &groups(chain), kernel.operands.len());
    let chain = &registers::cached(kernel, chain, teams.lanes, width.lanes());
    let code = Loops::new(chain, kernel, teams, ragged).hook(&mut module);
    let grid = Grid::new(&label, chain.rows.div_ceil(teams.teams * teams.rounds), caps)?;
    let figures: Figures = vec![
        ("ROWS", chain.rows.into()),
        ("ROUNDS", teams.rounds.into()),
        ("LANES", teams.lanes.into()),
        ("LEVELS", (teams.lanes.ilog2() as usize).into()),
        ("WORKGROUP", (teams.lanes * teams.teams).into()),
        ("SUBGROUP", teams.subgroup.into()),
        ("TREE", (!teams.subgroup && teams.lanes > 1).into()),
        ("ALONE", (teams.lanes == 1).into()),
        opaque_loops(caps),
    ];
    let launch =
        module.launch_shader(&label, "softmax", figures, &[Hook { name: "row_chain", code }], &grid)?;
    Ok(Variant { name, launches: vec![launch], scratch: Vec::new() })
}

/// Teams to choose from, best guess first.
fn schemes(kernel: &Kernel, chain: &Chain, caps: &Caps) -> Result<Vec<Teams>, Unsupported> {
    let groups = groups(chain);
    let longest = groups.iter().map(|g| g.width).max().unwrap_or(1);
    let software = caps.class == AdapterClass::Software;
    let mut found = match caps.subgroup {
        Some(size) if software && longest >= SHARED_ROW => {
            vec![Teams { lanes: size as usize, teams: 1, rounds: 1, subgroup: true }]
        }
        _ if software => {
            let teams = caps.subgroup.unwrap_or(8) as usize;
            vec![Teams { lanes: 1, teams, rounds: 1, subgroup: false }]
        }
        _ => {
            let most = 256.min(caps.limits.workgroup_size).max(1);
            let wide = (longest / 4).next_power_of_two().clamp(4, most);
            let of = |lanes: usize| {
                let teams = (GPU_WORKGROUP.min(most) / lanes).max(1);
                Teams { lanes, teams, rounds: 1, subgroup: false }
            };
            let narrower = (wide / 4).max(4);
            if narrower < wide { vec![of(wide), of(narrower)] } else { vec![of(wide)] }
        }
    };
    let width = loop_width(chain, &groups, kernel.operands.len());
    for scheme in &mut found {
        let of_team = local_bytes(chain, &groups, scheme.lanes, width);
        // The trees' two arrays.
        let of_lanes = if scheme.subgroup || scheme.lanes == 1 { 0 } else { 8 * scheme.lanes };
        scheme.teams = (caps.limits.workgroup_bytes / (of_team + of_lanes).max(1)).min(scheme.teams);
        if software {
            let trips: usize = groups.iter().map(|g| g.width.div_ceil(scheme.lanes) + 1).sum();
            let rounds = chain.rows.div_ceil(SOFTWARE_GROUPS * scheme.teams.max(1));
            scheme.rounds = rounds.clamp(1, (MAX_TRIPS / trips).max(1)).min((4096 / trips).max(1));
        }
    }
    found.retain(|s| s.teams > 0);
    found.dedup();
    if found.is_empty() {
        return Err(Unsupported(format!("row_chain: rows of {longest} elements exceed workgroup memory")));
    }
    Ok(found)
}

/// The links in groups that share a loop.
fn groups(chain: &Chain) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (l, link) in chain.links.iter().enumerate() {
        let width = width(link, chain.rows);
        let looped = width > 1 || reduction(&link.kernel).is_some();
        match groups.last_mut() {
            Some(group)
                if (group.width, group.looped) == (width, looped)
                    && (!looped || joins(chain, group, link)) =>
            {
                group.links.push(l);
            }
            _ => groups.push(Group { width, looped, links: vec![l] }),
        }
    }
    groups
}

/// Elements per row of a link's loop.
fn width(link: &Link, rows: usize) -> usize {
    match &link.kernel.core {
        Core::Reduce { input_shape, .. } => numel(input_shape) / rows,
        _ => link.kernel.numel() / rows,
    }
}

fn reduction(kernel: &Kernel) -> Option<(ReduceKind, &Expr)> {
    match &kernel.core {
        Core::Reduce { kind, prologue, .. } => Some((*kind, prologue)),
        _ => None,
    }
}

/// True if a link reads values of the group only at the element at which they are computed.
fn joins(chain: &Chain, group: &Group, link: &Link) -> bool {
    let written = |v: usize| group.links.iter().find(|&&l| chain.links[l].writes.contains(&v));
    link.reads.iter().enumerate().all(|(operand, read)| {
        let Source::Value(v) = read else { return true };
        let Some(&writer) = written(*v) else { return true };
        let reduced = reduction(&chain.links[writer].kernel).is_some();
        let (inner, outer) = match reduction(&link.kernel) {
            Some((_, prologue)) => (Some(prologue), Some(&link.kernel.epilogue)),
            None => (Some(&link.kernel.epilogue), None),
        };
        // After the loop its reductions are known, and its other values gone.
        let elements = chain.values[*v].ty.numel();
        let inside = inner.is_none_or(|e| !reads(e, operand) || !reduced && here(e, operand, elements));
        inside && outer.is_none_or(|e| !reads(e, operand) || reduced)
    })
}

fn reads(expr: &Expr, operand: usize) -> bool {
    expr.instrs.iter().filter_map(Instr::load).any(|l| l.0 == operand)
}

/// True if all loads of an operand of `elements` are of the element computed.
fn here(expr: &Expr, operand: usize, elements: usize) -> bool {
    let loads = expr.instrs.iter().filter_map(Instr::load).filter(|l| l.0 == operand);
    loads.map(|l| l.1).all(|view| view.is_contiguous() && numel(&view.shape) == elements)
}

/// Number of leading axes making up the rows.
fn kept(kernel: &Kernel, rows: usize) -> Option<usize> {
    match &kernel.core {
        Core::Reduce { axes, input_shape, .. } => Some(input_shape.len() - axes.len()),
        _ => (0..=kernel.shape.len()).find(|&k| numel(&kernel.shape[..k]) == rows),
    }
}

/// The kernel's expressions: a reduction's prologue, the epilogue.
fn expressions(kernel: &Kernel) -> impl Iterator<Item = &Expr> {
    reduction(kernel).map(|r| r.1).into_iter().chain([&kernel.epilogue])
}

/// An expression of a link over rows, its operands numbered as the whole kernel's, values after them.
fn space(link: &Link, expr: &Expr, shape: &[usize], rows: usize, operands: usize) -> Space {
    let number = |operand: usize| match link.reads[operand] {
        Source::Operand(o) => o,
        Source::Value(v) => operands + v,
    };
    let instrs = expr.instrs.iter().map(|instr| match instr {
        Instr::Load { operand, view } => Instr::Load { operand: number(*operand), view: view.clone() },
        other => other.clone(),
    });
    let expr = Expr { instrs: instrs.collect(), ..expr.clone() };
    let kept = kept(&link.kernel, rows).unwrap_or(0);
    let axes: Vec<usize> = (kept..shape.len()).collect();
    Space::new(&expr, shape, &axes)
}

/// Space of a link's loop, and of what follows it: the epilogue of a reduction.
fn spaces(link: &Link, rows: usize, operands: usize) -> (Space, Option<Space>) {
    let kernel = &link.kernel;
    match &kernel.core {
        Core::Reduce { input_shape, prologue, .. } => (
            space(link, prologue, input_shape, rows, operands),
            Some(space(link, &kernel.epilogue, &kernel.shape, rows, operands)),
        ),
        _ => (space(link, &kernel.epilogue, &kernel.shape, rows, operands), None),
    }
}

/// Width of all loops: four elements at a time if every link can, with each buffer bound in one way.
fn loop_width(chain: &Chain, groups: &[Group], operands: usize) -> Width {
    let (mut vectors, mut scalars) = (Vec::new(), Vec::new());
    for group in groups {
        for link in group.links.iter().map(|&l| &chain.links[l]) {
            let (inner, outer) = spaces(link, chain.rows, operands);
            scalars.extend(outer.iter().flat_map(|s| s.expr.operands()));
            if !group.looped {
                scalars.extend(inner.expr.operands());
                continue;
            }
            let Some([vector, scalar]) = quad_operands(&inner) else { return Width::One };
            vectors.extend(vector);
            scalars.extend(scalar);
        }
    }
    if vectors.iter().any(|v| scalars.contains(v)) { Width::One } else { Width::Four }
}
