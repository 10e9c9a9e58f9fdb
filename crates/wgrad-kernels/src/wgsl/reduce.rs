//! Reductions: one generator for rows, columns and everything between, and for the sum of partial results.
//!
//! A workgroup owns `outputs` outputs at a time, `lanes` invocations each. Lanes combine by a tree in workgroup memory,
//! by a subgroup operation, or not at all (one lane). Long reductions with few outputs are split: the first launch
//! leaves partial results in scratch, the second combines them, always in the same order.

use super::epilogue::Epilogue;
use super::expr::{Place, fits_quads, print};
use super::module::{Grid, Module, Width, opaque_start};
use super::space::Space;
use super::statement::{apart, lines};
use super::text::{f32_literal, indented};
use crate::kernel::Kernel;
use crate::launch::{Access, Launch, Unsupported, Variant};
use crate::table::{MAX_TRIPS, figures};
use wgrad_graph::ops::ReduceKind;
use wgrad_types::{AdapterClass, Caps, DType};

/// Source of the combined elements.
enum Source<'a> {
    /// The prologue over its space.
    Prologue(&'a Space),
    /// Scratch, as `[count, outputs]`.
    Partials,
}

/// Method of combining the lanes of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combine {
    /// There is one lane.
    One,
    /// A tree in workgroup memory.
    Tree,
    /// A subgroup operation.
    Subgroup,
}

/// The shape of one launch.
#[derive(Clone, Copy, Debug)]
struct Scheme {
    /// Invocations per output.
    lanes: usize,
    /// Outputs (or quads of them) a workgroup works on at a time.
    outputs: usize,
    /// Rounds per workgroup.
    rounds: usize,
    combine: Combine,
    /// True if outputs are taken four at a time.
    quad_outputs: bool,
    /// True if reduced elements are taken four at a time.
    quad_inner: bool,
    /// Parts the reduction is split into, each to its own partial result.
    splits: usize,
}

/// A launch's subject: counts of outputs and of elements combined into each.
struct Job<'a> {
    kernel: &'a Kernel,
    caps: &'a Caps,
    kind: ReduceKind,
    source: Source<'a>,
    outputs: usize,
    length: usize,
    /// Number of side sums of a split product.
    sums: usize,
}

/// Variants of a reduction of `prologue` over `axes` of `shape`.
pub(super) fn variants(
    kernel: &Kernel,
    kind: ReduceKind,
    space: &Space,
    caps: &Caps,
) -> Result<Vec<Variant>, Unsupported> {
    let extent = |reduced: bool| {
        let kept = space.shape.iter().zip(&space.reduced).filter(|a| *a.1 == reduced);
        kept.map(|a| *a.0).product::<usize>()
    };
    let (outputs, length) = (extent(false), extent(true));
    let job = Job { kernel, caps, kind, source: Source::Prologue(space), outputs, length, sums: 0 };
    schemes(&job, space).into_iter().map(|scheme| variant(&job, scheme)).collect()
}

/// Launch combining `count` partial results per output (scratch 0, `[count, outputs]`) and running the epilogue.
pub(super) fn combine_partials(
    kernel: &Kernel,
    kind: ReduceKind,
    count: usize,
    caps: &Caps,
) -> Result<Launch, Unsupported> {
    let outputs = kernel.numel();
    let sums = kernel.sums.as_ref().map_or(0, |s| s.spans[1]);
    let job = Job { kernel, caps, kind, source: Source::Partials, outputs, length: count, sums };
    let software = caps.class == AdapterClass::Software;
    let lanes = if software || outputs >= 256 || count <= 16 { 1 } else { 32 };
    let mut scheme = whole(&job, lanes);
    let epilogue = Epilogue::new(kernel);
    scheme.quad_outputs = lanes == 1 && outputs.is_multiple_of(4) && epilogue.fits_quads(&[]);
    scheme.rounds = rounds(&job, &scheme);
    launch(&job, scheme, "combine")
}

/// Unsplit variant with this many lanes.
fn whole(job: &Job<'_>, lanes: usize) -> Scheme {
    let software = job.caps.class == AdapterClass::Software;
    let width = if software { job.caps.subgroup.unwrap_or(8) as usize } else { 64 };
    Scheme {
        lanes,
        outputs: (width / lanes).max(1),
        rounds: 1,
        combine: if lanes == 1 { Combine::One } else { Combine::Tree },
        quad_outputs: false,
        quad_inner: false,
        splits: 1,
    }
}

/// Best guess first.
fn schemes(job: &Job<'_>, space: &Space) -> Vec<Scheme> {
    let row_like = space.reduced.last().copied().unwrap_or(true);
    // A buffer is bound either as vectors or as scalars: operands shared with the epilogue stay scalar.
    let also_read = job.kernel.epilogue.operands();
    let shared = space.expr.operands().iter().any(|o| also_read.contains(o));
    let quads = !shared && fits_quads(space, &[]);
    let mut schemes = match job.caps.class {
        AdapterClass::Software => software_schemes(job, row_like),
        _ => gpu_schemes(job, row_like),
    };
    for scheme in &mut schemes {
        scheme.quad_inner = quads && row_like;
        scheme.quad_outputs = quads && !row_like && scheme.lanes == 1 && scheme.combine == Combine::One;
        scheme.rounds = rounds(job, scheme);
        let steps = job.length.div_ceil(scheme.splits * scheme.lanes);
        if job.caps.class == AdapterClass::Software && steps > MAX_TRIPS {
            scheme.splits = job.length.div_ceil(scheme.lanes * MAX_TRIPS / 2);
        }
    }
    schemes
}

fn software_schemes(job: &Job<'_>, row_like: bool) -> Vec<Scheme> {
    let mut scheme = match (job.caps.subgroup, row_like && job.length >= 32) {
        (Some(size), true) => Scheme { combine: Combine::Subgroup, outputs: 1, ..whole(job, size as usize) },
        _ => whole(job, 1),
    };
    // A few workgroups must share a large reduction, or one thread does it all.
    let groups = job.outputs.div_ceil(scheme.outputs);
    if groups < 8 && job.length * job.outputs >= 1 << 15 {
        scheme.splits = (16 / groups).min(job.length / 64).max(1);
    }
    vec![scheme]
}

fn gpu_schemes(job: &Job<'_>, row_like: bool) -> Vec<Scheme> {
    let busy = figures(job.caps).reduction;
    if !row_like && (job.outputs >= busy / 4 || job.length <= 32) || job.length <= 8 {
        return vec![whole(job, 1)];
    }
    let split = |lanes: usize| {
        let wanted = busy / (job.outputs * lanes).max(1);
        wanted.min(job.length / (lanes * 16).max(1)).clamp(1, 256)
    };
    if !row_like {
        return vec![Scheme { splits: split(1).min(job.length / 16).max(1), ..whole(job, 1) }, whole(job, 1)];
    }
    let most = 256.min(job.caps.limits.workgroup_size);
    let lanes = (job.length / 4).next_power_of_two().clamp(4, most);
    let tree = whole(job, lanes);
    let mut schemes = vec![Scheme { splits: split(lanes), ..tree }];
    if schemes[0].splits > 1 {
        schemes.push(tree);
    }
    if lanes > 64 {
        schemes.push(whole(job, 64));
    }
    schemes
}

/// Rounds of a workgroup: on a software adapter a workgroup should have work worth its start.
fn rounds(job: &Job<'_>, scheme: &Scheme) -> usize {
    if job.caps.class != AdapterClass::Software {
        return 1;
    }
    let per = if scheme.quad_outputs { 4 } else { 1 };
    let sets = job.outputs.div_ceil(per * scheme.outputs);
    let trips = job.length.div_ceil(scheme.splits * scheme.lanes).max(1);
    (sets / 64).clamp(1, (MAX_TRIPS / (trips + 1)).max(1)).min((2048 / trips).max(1))
}

fn variant(job: &Job<'_>, scheme: Scheme) -> Result<Variant, Unsupported> {
    let base = match scheme.combine {
        Combine::One => "column",
        Combine::Tree => "tree",
        Combine::Subgroup => "subgroup",
    };
    let lanes = if scheme.combine == Combine::One { String::new() } else { scheme.lanes.to_string() };
    let name = match scheme.splits {
        1 => format!("{base}{lanes}"),
        n => format!("{base}{lanes}.split{n}"),
    };
    let mut launches = vec![launch(job, scheme, &name)?];
    let mut scratch = Vec::new();
    if scheme.splits > 1 {
        scratch.push(scheme.splits * job.outputs * DType::F32.bytes());
        launches.push(combine_partials(job.kernel, job.kind, scheme.splits, job.caps)?);
    }
    Ok(Variant { name, launches, scratch })
}

fn launch(job: &Job<'_>, scheme: Scheme, name: &str) -> Result<Launch, Unsupported> {
    let label = format!("{}.{name}", job.kernel.name());
    let mut module = Module::new(job.kernel, job.caps);
    let acc = if scheme.quad_outputs { Width::Four } else { Width::One };
    let sets = job.outputs / acc.lanes();
    let per_group = scheme.outputs * scheme.rounds;
    let n_groups = sets.div_ceil(per_group);
    let workgroup = scheme.lanes * scheme.outputs;
    let sum_groups = job.sums.div_ceil(workgroup);
    let grid = Grid::new(&label, n_groups * scheme.splits + sum_groups, job.caps)?;
    let store = store(&mut module, job, &scheme, acc);
    if scheme.combine == Combine::Tree {
        let element = if job.kind == ReduceKind::Sum { "f32" } else { "u32" };
        module.declare(&format!("var<workgroup> lane_values: array<{element}, {workgroup}>;\n"));
    }
    let body = OneSet { job, scheme, acc, sets }.lines(&mut module, &store);
    let mut main = indented(&grid.id(), 1);
    if job.sums > 0 {
        main += &indented(&combine_sums(&mut module, job, n_groups, workgroup), 1);
    }
    if scheme.splits > 1 {
        main +=
            &format!("    let part = id / {n_groups}u;\n    let first = id % {n_groups}u * {per_group}u;\n");
    } else {
        main += &format!("    let first = id * {per_group}u;\n");
    }
    main += &indented(&body.uniform, 1);
    if scheme.lanes > 1 {
        main += &format!("    let lane = li % {}u;\n", scheme.lanes);
    }
    if scheme.rounds > 1 {
        main += &format!(
            "    for (var t = {}; t < {}u; t += 1u) {{\n",
            opaque_start("0u", job.caps),
            scheme.rounds
        );
        main += &indented(&body.body, 2);
        main += "    }\n";
    } else {
        main += &indented(&body.body, 1);
    }
    module.launch(&label, workgroup, &main, &grid)
}

/// Lines for the workgroups after the first `groups`: they add up the partial side sums.
fn combine_sums(module: &mut Module<'_>, job: &Job<'_>, groups: usize, workgroup: usize) -> Vec<String> {
    let (parts, sums) = (module.partial_sums(Access::Read), module.output(1, Width::One));
    vec![
        format!("if (id >= {groups}u) {{"),
        format!("    let o = (id - {groups}u) * {workgroup}u + li;"),
        format!("    if (o < {}u) {{", job.sums),
        "        var sum = 0.0;".to_owned(),
        format!("        for (var r = {}; r < {}u; r += 1u) {{", opaque_start("0u", job.caps), job.length),
        format!("            sum += {parts}[r * {}u + o];", job.sums),
        "        }".to_owned(),
        format!("        {sums}[o] = sum;"),
        "    }".to_owned(),
        "    return;".to_owned(),
        "}".to_owned(),
    ]
}

/// Store of `acc`, the combined value of output (or quad) `o`.
fn store(module: &mut Module<'_>, job: &Job<'_>, scheme: &Scheme, acc: Width) -> String {
    if scheme.splits > 1 {
        let partials = module.scratch(Access::ReadWrite, acc);
        return format!("{partials}[part * {}u + o] = acc;", job.outputs / acc.lanes());
    }
    let epilogue = Epilogue::new(job.kernel);
    if acc == Width::Four && epilogue.fits_quads(&[]) {
        epilogue.declare(module, Width::Four);
        return "epilogue4(o, acc);".to_owned();
    }
    epilogue.declare(module, Width::One);
    match acc {
        Width::One => "epilogue(o, acc);".to_owned(),
        Width::Four => {
            (0..4).map(|j| format!("epilogue(o * 4u + {j}u, acc[{j}]);")).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The code for one set of outputs.
struct OneSet<'a> {
    job: &'a Job<'a>,
    scheme: Scheme,
    acc: Width,
    sets: usize,
}

/// Lines before the rounds, and lines of a round.
struct Lines {
    uniform: Vec<String>,
    body: Vec<String>,
}

impl OneSet<'_> {
    fn lines(&self, module: &mut Module<'_>, store: &str) -> Lines {
        let Scheme { lanes, outputs, rounds, combine, .. } = self.scheme;
        let round = if rounds > 1 { format!(" + t * {outputs}u") } else { String::new() };
        let own = match (lanes, outputs) {
            (_, 1) => String::new(),
            (1, _) => " + li".to_owned(),
            _ => format!(" + li / {lanes}u"),
        };
        // Lanes beyond the last output repeat it, to keep barriers and subgroup operations uniform.
        let ragged = !self.sets.is_multiple_of(outputs * rounds);
        let at = format!("first{round}{own}");
        let mut body = match ragged {
            true => vec![format!("let asked = {at};"), format!("let o = min(asked, {}u);", self.sets - 1)],
            false => vec![format!("let o = {at};")],
        };
        let uniform = self.accumulate(module, &mut body);
        self.combine_lanes(&mut body);
        let mut tests = Vec::new();
        if combine != Combine::One {
            tests.push("lane == 0u".to_owned());
        }
        if ragged {
            tests.push(format!("asked < {}u", self.sets));
        }
        if tests.is_empty() {
            body.push(store.to_owned());
        } else {
            body.extend([format!("if ({}) {{", tests.join(" && ")), format!("    {store}"), "}".to_owned()]);
        }
        Lines { uniform, body }
    }

    /// Lines computing a lane's value in `sum`; returns the lines to hoist before the rounds.
    fn accumulate(&self, module: &mut Module<'_>, body: &mut Vec<String>) -> Vec<String> {
        let unit = if self.scheme.quad_inner { Width::Four } else { self.acc };
        let length = self.job.length / if self.scheme.quad_inner { 4 } else { 1 };
        let (uniform, mut value) = self.value(module, unit);
        if self.job.caps.class == AdapterClass::Software {
            // No compiler hoists a load out of a loop with one branch per lane.
            let (still, moving) = apart(value.body, "r");
            body.extend(lines(&still));
            value.body = moving;
        }
        let ty = unit.of("f32");
        let extreme = self.job.kind != ReduceKind::Sum;
        let start = match extreme {
            true => module.endless(self.job.kind.start()),
            false => f32_literal(self.job.kind.start()),
        };
        body.push(format!("var sum = {ty}({start});"));
        if extreme {
            // Compilers may drop NaN from a maximum: the largest magnitude's bits tell of one.
            body.push(format!("var magnitude = {}(0);", unit.of("i32")));
        }
        let lanes = self.scheme.lanes;
        let lane = if lanes > 1 { "lane" } else { "0u" };
        let (start, end) = match self.scheme.splits {
            1 => (lane.to_owned(), format!("{length}u")),
            n => {
                let chunk = length.div_ceil(n);
                body.push(format!("let part_end = min(part * {chunk}u + {chunk}u, {length}u);"));
                (format!("part * {chunk}u + {lane}"), "part_end".to_owned())
            }
        };
        let start = opaque_start(&start, self.job.caps);
        body.push(format!("for (var r = {start}; r < {end}; r += {lanes}u) {{"));
        body.extend(lines(&value.body).iter().map(|l| format!("    {l}")));
        body.push(format!("    sum = {};", combine(self.job.kind, "sum", &value.results[0])));
        if extreme {
            let (word, element) = (unit.of("i32"), &value.results[0]);
            let bits = format!("bitcast<{word}>({element}) & {word}(0x7fffffff)");
            body.push(format!("    magnitude = max(magnitude, {bits});"));
        }
        body.push("}".to_owned());
        if self.scheme.quad_inner {
            let halves = combine(self.job.kind, "sum.xy", "sum.zw");
            body.push(format!("let pair = {halves};"));
            body.push(format!("var acc = {};", combine(self.job.kind, "pair.x", "pair.y")));
            if extreme {
                body.push("let large = max(magnitude.xy, magnitude.zw);".to_owned());
                body.push("var worst = max(large.x, large.y);".to_owned());
            }
        } else {
            body.push("var acc = sum;".to_owned());
            if extreme {
                body.push("var worst = magnitude;".to_owned());
            }
        }
        if extreme && self.scheme.combine == Combine::One {
            let (real, word) = (self.acc.of("f32"), self.acc.of("i32"));
            body.push(format!("acc = select(acc, bitcast<{real}>(worst), worst > {word}(0x7f800000));"));
        }
        uniform
    }

    /// The element `r` of output `o`: lines before all, and lines with one result.
    fn value(&self, module: &mut Module<'_>, unit: Width) -> (Vec<String>, super::expr::Printed) {
        match &self.job.source {
            Source::Partials => {
                let partials = module.scratch(Access::Read, unit);
                let value = format!("{partials}[r * {}u + o]", self.sets);
                let printed = super::expr::Printed { results: vec![value], ..Default::default() };
                (Vec::new(), printed)
            }
            Source::Prologue(space) => {
                let quads = [self.scheme.quad_outputs, self.scheme.quad_inner];
                let (places, axes) = space.places(["o", "r"], quads, "a");
                let mut printed = print(module, space, unit, Place::Axes(&axes), "p");
                printed.body.splice(0..0, places);
                (lines(&std::mem::take(&mut printed.uniform)), printed)
            }
        }
    }

    /// Lines combining the lanes' `acc` into lane 0's. Maximum and minimum use order-preserving keys.
    fn combine_lanes(&self, body: &mut Vec<String>) {
        let kind = self.job.kind;
        let own = match kind {
            ReduceKind::Sum => "acc",
            ReduceKind::Max => "order_(acc, worst)",
            ReduceKind::Min => "order_(-acc, worst)",
        };
        let back = |value: &str| match kind {
            ReduceKind::Sum => value.to_owned(),
            ReduceKind::Max => format!("ordered_({value})"),
            ReduceKind::Min => format!("-ordered_({value})"),
        };
        match self.scheme.combine {
            Combine::One => {}
            Combine::Subgroup => {
                let op = if kind == ReduceKind::Sum { "subgroupAdd" } else { "subgroupMax" };
                body.push(format!("acc = {};", back(&format!("{op}({own})"))));
            }
            Combine::Tree => {
                body.extend([format!("lane_values[li] = {own};"), "workgroupBarrier();".to_owned()]);
                let mut half = self.scheme.lanes / 2;
                while half > 0 {
                    let (own, other) = ("lane_values[li]", format!("lane_values[li + {half}u]"));
                    let both = match kind {
                        ReduceKind::Sum => format!("{own} + {other}"),
                        ReduceKind::Max | ReduceKind::Min => format!("max({own}, {other})"),
                    };
                    body.push(format!("if (lane < {half}u) {{"));
                    body.push(format!("    lane_values[li] = {both};"));
                    body.extend(["}".to_owned(), "workgroupBarrier();".to_owned()]);
                    half /= 2;
                }
                body.push(format!("acc = {};", back("lane_values[li]")));
            }
        }
    }
}

/// Two elements into one; a maximum or minimum may drop NaN.
fn combine(kind: ReduceKind, a: &str, b: &str) -> String {
    match kind {
        ReduceKind::Sum => format!("{a} + {b}"),
        ReduceKind::Max => format!("max({a}, {b})"),
        ReduceKind::Min => format!("min({a}, {b})"),
    }
}
