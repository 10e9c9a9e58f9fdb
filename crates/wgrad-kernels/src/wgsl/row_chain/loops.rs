//! Prints the links of a row chain: loops over a row, reductions across lanes, and the code between them.

use super::{Group, Teams, groups, here, loop_width, reduction, registers, spaces};
use crate::kernel::Kernel;
use crate::row_chain::{Chain, Source};
use crate::wgsl::epilogue::store;
use crate::wgsl::expr::{Place, print};
use crate::wgsl::module::{Local, LocalAt, Module, Width};
use crate::wgsl::space::Space;
use crate::wgsl::statement::{Kind, Statement, apart, lines};
use crate::wgsl::text::{f32_literal, indented};
use wgrad_graph::ops::ReduceKind;
use wgrad_types::DType;

/// Bytes of workgroup memory per team of a number of lanes: values that a later loop reads.
pub(super) fn local_bytes(chain: &Chain, groups: &[Group], lanes: usize, width: Width) -> usize {
    let values =
        (0..chain.values.len()).filter(|&v| stays(chain, groups, v) && !in_registers(chain, v, lanes, width));
    values.map(|v| places(chain, v, lanes, width) * width.lanes() * DType::F32.bytes()).sum()
}

/// True if a value kept for later loops stays in its lanes' registers.
fn in_registers(chain: &Chain, v: usize, lanes: usize, width: Width) -> bool {
    let count = chain.values[v].ty.numel() / chain.rows / width.lanes();
    !shared(chain, v) && registers::fits(count, lanes)
}

/// Elements (or quads) of a value in workgroup memory per team.
fn places(chain: &Chain, v: usize, lanes: usize, width: Width) -> usize {
    let count = chain.values[v].ty.numel() / chain.rows / width.lanes();
    if shared(chain, v) { count } else { count.next_multiple_of(lanes) }
}

/// True if a value outlives its loop as more than a number per row.
fn stays(chain: &Chain, groups: &[Group], v: usize) -> bool {
    let writer = |group: &&Group| group.links.iter().any(|&l| chain.links[l].writes.contains(&v));
    let Some(group) = groups.iter().find(writer) else { return false };
    let reduced =
        |&l: &usize| chain.links[l].writes.contains(&v) && reduction(&chain.links[l].kernel).is_some();
    let mut others = (0..chain.links.len()).filter(|l| !group.links.contains(l));
    group.looped
        && !group.links.iter().any(reduced)
        && others.any(|l| chain.links[l].reads.contains(&Source::Value(v)))
}

/// True if a link reads elements of a value that other lanes computed.
fn shared(chain: &Chain, v: usize) -> bool {
    let elements = chain.values[v].ty.numel();
    chain.links.iter().any(|link| {
        let reads = link.reads.iter().enumerate().filter(|r| *r.1 == Source::Value(v));
        let mut operands = reads.map(|r| r.0);
        operands.any(|operand| super::expressions(&link.kernel).any(|e| !here(e, operand, elements)))
    })
}

/// The chain as a hook of `shaders/softmax.wgsl`.
pub(super) struct Loops<'a> {
    chain: &'a Chain,
    groups: Vec<Group>,
    teams: Teams,
    /// True if some teams have no row.
    ragged: bool,
    width: Width,
    /// Index of the first value.
    operands: usize,
    /// Declarations, lines before all, and lines so far.
    arrays: String,
    uniform: Vec<String>,
    body: Vec<String>,
}

impl<'a> Loops<'a> {
    pub(super) fn new(chain: &'a Chain, kernel: &Kernel, teams: Teams, ragged: bool) -> Self {
        let groups = groups(chain);
        let operands = kernel.operands.len();
        let width = loop_width(chain, &groups, operands);
        let (arrays, uniform, body) = Default::default();
        Self { chain, groups, teams, ragged, width, operands, arrays, uniform, body }
    }

    /// Code of the hook `row_chain`.
    pub(super) fn hook(mut self, module: &mut Module<'_>) -> String {
        module.locals = vec![None; self.chain.values.len()];
        let groups = std::mem::take(&mut self.groups);
        let mut meets = false;
        for group in &groups {
            if group.looped {
                self.looped(module, group, &groups);
            } else {
                group.links.iter().for_each(|&l| self.row(module, l));
            }
            let written = group.links.iter().flat_map(|&l| &self.chain.links[l].writes);
            let mut kept = written.copied().filter(|&v| stays(self.chain, &groups, v));
            if self.teams.lanes > 1 && kept.any(|v| shared(self.chain, v)) {
                self.body.push("workgroupBarrier();".to_owned());
                meets = true;
            }
        }
        if meets && self.teams.rounds > 1 {
            // The next row's values take the place of these.
            self.body.push("workgroupBarrier();".to_owned());
        }
        let body = indented(&self.uniform, 1) + &indented(&self.body, 1);
        let head = "fn row_chain(row: u32, lane: u32, li: u32, zero: u32, stores: bool) {\n";
        [&self.arrays, head, &body, "}\n"].concat()
    }

    /// Element-wise code of one element per row, the same in every lane.
    fn row(&mut self, module: &mut Module<'_>, l: usize) {
        let (space, _) = spaces(&self.chain.links[l], self.chain.rows, self.operands);
        self.finish(module, l, &space, "v");
    }

    /// Prints an expression of one element per row and binds its results to the link's values.
    fn finish(&mut self, module: &mut Module<'_>, l: usize, space: &Space, prefix: &str) {
        let prefix = format!("{prefix}{l}_");
        let (places, axes) = space.places(["row", "0u"], [false; 2], &format!("{prefix}c"));
        let printed = print(module, space, Width::One, Place::Axes(&axes), &prefix);
        self.uniform.extend(lines(&printed.uniform));
        self.body.extend(lines(&places));
        self.body.extend(lines(&printed.body));
        for (&v, name) in self.chain.links[l].writes.iter().zip(printed.results) {
            let value = &self.chain.values[v];
            if let Some(output) = value.output {
                let line = store(module, output, Width::One, "row", &name).line();
                let tests = ["lane == 0u", "stores"];
                let needed = [self.teams.lanes > 1, self.ragged];
                let needed: Vec<&str> = tests.into_iter().zip(needed).filter(|t| t.1).map(|t| t.0).collect();
                self.body.push(guarded(&needed.join(" && "), &line));
            }
            module.locals[v] = Some(Local { dtype: value.ty.dtype, at: LocalAt::Row(name) });
        }
    }

    /// The links of a group in one loop, and the reductions' ends after it.
    fn looped(&mut self, module: &mut Module<'_>, group: &Group, groups: &[Group]) {
        let count = group.width / self.width.lanes();
        let quads = [false, self.width == Width::Four];
        let mut statements: Vec<Statement> = Vec::new();
        // Memory to be bound, after the loop, to values computed in it.
        let mut kept: Vec<(usize, Option<LocalAt>)> = Vec::new();
        let mut ends = Vec::new();
        let mut sums = Vec::new();
        let mut stores = Vec::new();
        for &l in &group.links {
            let link = &self.chain.links[l];
            let (space, epilogue) = spaces(link, self.chain.rows, self.operands);
            let prefix = format!("v{l}_");
            let (places, axes) = space.places(["row", "r"], quads, &format!("{prefix}c"));
            let printed = print(module, &space, self.width, Place::Axes(&axes), &prefix);
            self.uniform.extend(lines(&printed.uniform));
            statements.extend(places);
            statements.extend(printed.body);
            if let (Some((kind, _)), Some(epilogue)) = (reduction(&link.kernel), epilogue) {
                sums.extend(self.accumulate(module, l, kind, &printed.results[0]));
                ends.push((l, kind, epilogue));
                continue;
            }
            for (&v, name) in link.writes.iter().zip(printed.results) {
                let value = &self.chain.values[v];
                if stays(self.chain, groups, v) {
                    let (store, at) = self.keep(v, count, &name);
                    statements.push(store);
                    kept.push((v, Some(at)));
                } else {
                    kept.push((v, None));
                }
                if let Some(output) = value.output {
                    stores.push(
                        store(module, output, self.width, &format!("row * {count}u + r"), &name).line(),
                    );
                }
                module.locals[v] = Some(Local { dtype: value.ty.dtype, at: LocalAt::Here(name) });
            }
        }
        let read = group.links.iter().flat_map(|&l| &self.chain.links[l].reads);
        let written = group.links.iter().flat_map(|&l| &self.chain.links[l].writes);
        let mut values = read.filter_map(|r| r.value()).chain(written.copied());
        let registers = values.any(|v| {
            stays(self.chain, groups, v) && in_registers(self.chain, v, self.teams.lanes, self.width)
        });
        let (still, moving) = apart(statements, "r");
        self.body.extend(lines(&still));
        if self.ragged && !stores.is_empty() {
            stores = stores.iter().map(|line| format!("    {line}")).collect();
            stores.insert(0, "if (stores) {".to_owned());
            stores.push("}".to_owned());
        }
        let inner: Vec<String> = lines(&moving).into_iter().chain(sums).chain(stores).collect();
        self.trips(count, registers, &inner);
        for (v, at) in kept {
            let dtype = self.chain.values[v].ty.dtype;
            module.locals[v] = at.map(|at| Local { dtype, at });
        }
        for (l, kind, epilogue) in ends {
            module.core_result = self.combined(l, kind);
            self.finish(module, l, &epilogue, "e");
        }
    }

    /// A loop over a lane's elements; written out if it keeps or reads values in registers.
    fn trips(&mut self, count: usize, written_out: bool, inner: &[String]) {
        let (lanes, trips) = (self.teams.lanes, count.div_ceil(self.teams.lanes));
        // `trip` is common to all lanes if they divide the row.
        let even = count.is_multiple_of(lanes);
        let index = if lanes == 1 { "trip" } else { "trip * LANES + lane" };
        let mut line = |depth: usize, text: &str| self.body.push(format!("{}{text}", "    ".repeat(depth)));
        if written_out {
            line(0, &format!("for (var trip = 0u; trip < {trips}u; trip += 1u) {{ // #unroll"));
        } else if even {
            line(0, &format!("for (var trip = zero; trip < {trips}u; trip += 1u) {{"));
        } else {
            line(0, &format!("for (var trip = zero; {index} < {count}u; trip += 1u) {{"));
        }
        line(1, &format!("let r = {index};"));
        let tested = written_out && !even;
        if tested {
            line(1, &format!("if (r < {count}u) {{"));
        }
        inner.iter().for_each(|text| line(1 + usize::from(tested), text));
        if tested {
            line(1, "}");
        }
        line(0, "}");
    }

    /// Declares a lane's sum or extreme; returns the lines adding an element to it.
    fn accumulate(
        &mut self,
        module: &mut Module<'_>,
        l: usize,
        kind: ReduceKind,
        value: &str,
    ) -> Vec<String> {
        let (real, word) = (self.width.of("f32"), self.width.of("i32"));
        if kind == ReduceKind::Sum {
            self.body.push(format!("var sum{l} = {real}({});", f32_literal(kind.start())));
            return vec![format!("sum{l} = sum{l} + {value};")];
        }
        let start = module.endless(kind.start());
        self.body
            .extend([format!("var extreme{l} = {real}({start});"), format!("var magnitude{l} = {word}(0);")]);
        let function = if kind == ReduceKind::Max { "max" } else { "min" };
        let bits = format!("bitcast<{word}>({value}) & {word}(0x7fffffff)");
        vec![
            format!("extreme{l} = {function}(extreme{l}, {value});"),
            format!("magnitude{l} = max(magnitude{l}, {bits});"),
        ]
    }

    /// The combination of all lanes' sums or extremes of a link.
    fn combined(&mut self, l: usize, kind: ReduceKind) -> String {
        let name = format!("all{l}");
        let four = self.width == Width::Four;
        let value = match kind {
            ReduceKind::Sum if four => {
                self.body.push(format!("let pair{l} = sum{l}.xy + sum{l}.zw;"));
                format!("lanes_sum(pair{l}.x + pair{l}.y, li)")
            }
            ReduceKind::Sum => format!("lanes_sum(sum{l}, li)"),
            _ => {
                let (mut extreme, mut magnitude) = (format!("extreme{l}"), format!("magnitude{l}"));
                let function = if kind == ReduceKind::Max { "max" } else { "min" };
                if four {
                    self.body.push(format!("let pair{l} = {function}({extreme}.xy, {extreme}.zw);"));
                    self.body.push(format!("let large{l} = max({magnitude}.xy, {magnitude}.zw);"));
                    extreme = format!("{function}(pair{l}.x, pair{l}.y)");
                    magnitude = format!("max(large{l}.x, large{l}.y)");
                }
                match kind {
                    ReduceKind::Max => format!("lanes_max({extreme}, {magnitude}, li)"),
                    _ => format!("-lanes_max(-{extreme}, {magnitude}, li)"),
                }
            }
        };
        self.body.push(format!("let {name} = {value};"));
        name
    }

    /// Declares the memory of a value and returns the store of its element, and its place.
    fn keep(&mut self, v: usize, count: usize, name: &str) -> (Statement, LocalAt) {
        let dtype = self.chain.values[v].ty.dtype;
        let array = format!("kept{v}");
        let (word, value) = match dtype {
            DType::Bool => ("u32", format!("select({0}(0u), {0}(1u), {name})", self.width.of("u32"))),
            DType::I32 => ("i32", name.to_owned()),
            DType::F32 | DType::F16 => ("f32", name.to_owned()),
        };
        let (ty, teams) = (self.width.of(word), self.teams.teams);
        if in_registers(self.chain, v, self.teams.lanes, self.width) {
            let trips = count.div_ceil(self.teams.lanes);
            self.body.push(format!("var {array}: array<{ty}, {trips}>;"));
            let own = format!("{array}[trip]");
            let store = Statement::new(Kind::Store, "", format!("{own} = {value}"), &["r", name]);
            return (store, LocalAt::Own { word: own, index: "r" });
        }
        let places = places(self.chain, v, self.teams.lanes, self.width);
        self.arrays += &format!("var<workgroup> {array}: array<{ty}, {}>;\n", teams * places);
        let (target, at) = if shared(self.chain, v) {
            let begin = if teams == 1 { "0u".to_owned() } else { format!("li / LANES * {count}u") };
            (format!("{array}[{begin} + r]"), LocalAt::Memory { array, begin })
        } else {
            let own = format!("{array}[trip * WORKGROUP + li]");
            (own.clone(), LocalAt::Own { word: own, index: "r" })
        };
        let store = Statement::new(Kind::Store, "", format!("{target} = {value}"), &["r", name]);
        (store, at)
    }
}

/// A line under a condition, if there is one.
fn guarded(test: &str, line: &str) -> String {
    if test.is_empty() { line.to_owned() } else { format!("if ({test}) {{ {line} }}") }
}
