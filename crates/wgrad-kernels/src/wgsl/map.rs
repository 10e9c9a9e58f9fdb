//! Element-wise kernels: every invocation runs the epilogue's expression on its elements, four at a time where the
//! views allow.

use super::epilogue::Epilogue;
use super::module::{Grid, Module, Width};
use super::statement::{Kind, Statement, apart, lines};
use super::text::indented;
use crate::expr::{Expr, Instr};
use crate::kernel::Kernel;
use crate::launch::{Unsupported, Variant};
use crate::table::MAX_TRIPS;
use wgrad_graph::ops::{BinaryKind, UnaryKind};
use wgrad_types::{AdapterClass, Caps, View};

/// Loop trips of one invocation on a software adapter, and the workgroups wanted before they grow.
const SOFTWARE_TRIPS: usize = 64;
const SOFTWARE_GROUPS: usize = 256;
/// Quads of a map from which on two at once repay, in some thousands of steps, the 25 ms more that they take to compile.
const MANY: usize = 1 << 14;

/// Variants of an element-wise kernel.
pub(super) fn variants(kernel: &Kernel, caps: &Caps) -> Result<Vec<Variant>, Unsupported> {
    let epilogue = Epilogue::new(kernel);
    let mut widths = Vec::new();
    if epilogue.fits_quads(&[]) {
        widths.push(Width::Four);
    }
    if widths.is_empty() || caps.class != AdapterClass::Software {
        widths.push(Width::One);
    }
    widths.into_iter().map(|width| variant(kernel, &epilogue, width, caps)).collect()
}

fn variant(kernel: &Kernel, epilogue: &Epilogue, width: Width, caps: &Caps) -> Result<Variant, Unsupported> {
    let name = if width == Width::Four { "vec4" } else { "scalar" };
    let label = format!("map.{name}");
    let n = kernel.numel() / width.lanes();
    let mut module = Module::new(kernel, caps);
    let printed = epilogue.print(&mut module, width, "i", "r");
    if let Some(rows) = Rows::of(kernel, width, caps, &printed.body) {
        let grid = Grid::new(&label, rows.count.div_ceil(rows.share), caps)?;
        let main = indented(&grid.id(), 1) + &indented(&lines(&printed.uniform), 1) + &rows.loops();
        let launch = module.launch(&label, rows.lanes, &main, &grid)?;
        return Ok(Variant { name: name.to_owned(), launches: vec![launch], scratch: Vec::new() });
    }
    let (workgroup, chunk) = shape(n, caps);
    let grid = Grid::new(&label, n.div_ceil(chunk), caps)?;
    let mut main = indented(&grid.id(), 1);
    main += &indented(&lines(&printed.uniform), 1);
    let (mut body, mut stride) = (printed.body, workgroup);
    if width == Width::Four && n.is_multiple_of(2 * workgroup) && gains_by_pairs(&kernel.epilogue, n, caps) {
        let second = epilogue.print(&mut module, width, "j", "s");
        main += &indented(&lines(&second.uniform), 1);
        body = side_by_side(format!("i + {workgroup}u"), body, second.body);
        stride *= 2;
    }
    if chunk == stride {
        main += &format!("    let i = id * {chunk}u + li;\n    if (i < {n}u) {{\n");
    } else {
        main += &format!("    let end = min(id * {chunk}u + {chunk}u, {n}u);\n");
        main += &format!("    for (var i = id * {chunk}u + li; i < end; i += {stride}u) {{\n");
    }
    main += &indented(&lines(&body), 2);
    main += "    }\n";
    let launch = module.launch(&label, workgroup, &main, &grid)?;
    Ok(Variant { name: name.to_owned(), launches: vec![launch], scratch: Vec::new() })
}

/// True if two quads at once are faster than one after the other: on a software adapter, where a long function of a single
/// load waits for itself. More loads, or drawing numbers, gain nothing by it (docs/rejected.md).
fn gains_by_pairs(expr: &Expr, n: usize, caps: &Caps) -> bool {
    use UnaryKind::{Erf, Exp, Log, Sigmoid, Softplus, Tanh};
    let long = |instr: &Instr| match instr {
        Instr::Unary(kind, _) => matches!(kind, Exp | Log | Tanh | Erf | Sigmoid | Softplus),
        Instr::Binary(kind, ..) => *kind == BinaryKind::Pow,
        _ => false,
    };
    let views = expr.instrs.iter().filter_map(|i| Some(i.load()?.1));
    let own: Vec<&View> = views.filter(|view| !view.is_uniform()).collect();
    caps.class == AdapterClass::Software
        && n >= MANY
        && own.len() == 1
        && own[0].is_contiguous()
        && expr.instrs.iter().any(long)
        && !expr.instrs.iter().any(|i| matches!(i, Instr::Random { .. }))
}

/// Two bodies interleaved, the second at index `j`: all loads, all computation, all stores. A load is preceded only by its
/// own operands.
fn side_by_side(index: String, first: Vec<Statement>, second: Vec<Statement>) -> Vec<Statement> {
    let mut parts = [vec![Statement::new(Kind::Coordinate, "j", index, &["i"])], Vec::new(), Vec::new()];
    for statement in first.into_iter().chain(second) {
        let part = match statement.kind {
            Kind::Load => 0,
            Kind::Coordinate | Kind::Compute => 1,
            Kind::Store => 2,
        };
        parts[part].push(statement);
    }
    parts.concat()
}

/// Elements as rows with shared loads: a software adapter's workgroup takes one column per lane through several rows and
/// loads shared values once.
struct Rows {
    lanes: usize,
    /// Columns (quads of them, where four wide) and rows in all, and rows of a workgroup.
    columns: usize,
    count: usize,
    share: usize,
    /// Statements run once per column, and once per element.
    column: Vec<Statement>,
    element: Vec<Statement>,
}

impl Rows {
    fn of(kernel: &Kernel, width: Width, caps: &Caps, body: &[Statement]) -> Option<Self> {
        let lanes = caps.subgroup.filter(|_| caps.class == AdapterClass::Software)? as usize;
        let columns = kernel.shape.last()? / width.lanes();
        let count = kernel.shape[..kernel.shape.len() - 1].iter().product::<usize>();
        let share =
            count.div_ceil(SOFTWARE_GROUPS).max((SOFTWARE_TRIPS * lanes).div_ceil(columns.max(1))).min(count);
        let trips = columns.div_ceil(lanes) * (share + 1);
        if columns == 0 || !columns.is_multiple_of(lanes) || share < 2 || trips > MAX_TRIPS {
            return None;
        }
        // The innermost coordinate is the loop's own.
        let innermost = format!("i % {columns}u");
        let known = |s: &Statement| match s.kind == Kind::Coordinate && s.text == innermost {
            true => Statement::new(Kind::Coordinate, &s.name, "column".into(), &["column"]),
            false => s.clone(),
        };
        let (column, element) = apart(body.iter().map(known).collect(), "i");
        column.iter().any(|s| s.kind == Kind::Load).then_some(Self {
            lanes,
            columns,
            count,
            share,
            column,
            element,
        })
    }

    fn loops(&self) -> String {
        let Self { lanes, columns, count, share, column, element } = self;
        let mut main = format!("    let row_end = min(id * {share}u + {share}u, {count}u);\n");
        main += &format!("    for (var column = li; column < {columns}u; column += {lanes}u) {{\n");
        main += &indented(&lines(column), 2);
        main += &format!("        for (var row = id * {share}u; row < row_end; row += 1u) {{\n");
        main += &format!("            let i = row * {columns}u + column;\n");
        main + &indented(&lines(element), 3) + "        }\n    }\n"
    }
}

/// Invocations in a workgroup, and the elements (or quads) it owns.
fn shape(n: usize, caps: &Caps) -> (usize, usize) {
    match caps.class {
        AdapterClass::Software => {
            let workgroup = caps.subgroup.unwrap_or(8) as usize;
            // Even, since a trip may take two.
            let trips = n.div_ceil(SOFTWARE_GROUPS * workgroup).max(SOFTWARE_TRIPS).next_multiple_of(2);
            (workgroup, trips * workgroup)
        }
        _ if n >= 1 << 14 => (256.min(caps.limits.workgroup_size), 256.min(caps.limits.workgroup_size)),
        _ => (64, 64),
    }
}
