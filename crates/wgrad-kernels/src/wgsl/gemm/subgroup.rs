//! The product of one subgroup in registers: no workgroup memory, no barrier. The form for software adapters, where
//! loads cost most and arithmetic is as wide as the subgroup.
//!
//! A workgroup is one subgroup. Lanes lie along columns, four each; every lane owns `rows` rows of them. Lane l loads
//! the rows' elements at depth k0 + l and hands them round by subgroupShuffle with a constant lane, so each element of
//! `a` is loaded once. Rows and columns beyond the edge read the last ones and are never stored.

use super::finish::{Finish, columns};
use super::index_map::Address;
use super::problem::{Problem, Side};
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported};
use crate::table::ROWS_STORED;
use crate::wgsl::module::{Grid, Module, Width, opaque_start};
use crate::wgsl::text::{decode, indented};
use wgrad_types::Caps;

/// How the lanes read `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// Four columns at a depth as one vector.
    Vector,
    /// Four depths of a column as one vector.
    DepthVector,
    /// Element by element.
    Scalars,
}

/// A register tile: the subgroup's size and the rows of a workgroup.
pub(super) struct Registers<'a> {
    pub(super) problem: &'a Problem,
    pub(super) size: usize,
    pub(super) rows: usize,
    /// Depths of a step, a divisor of `size`: lane l holds depth `l % depths` of every `size / depths`-th row.
    pub(super) depths: usize,
    pub(super) splits: usize,
    /// Set where the problem's rows and columns are exchanged.
    pub(super) exchanged: bool,
    /// Operands the epilogue reads: a buffer is bound either as vectors or as scalars, so these stay scalar.
    pub(super) also_read: &'a [usize],
}

impl Registers<'_> {
    /// Columns of a workgroup.
    pub(super) fn columns(&self) -> usize {
        4 * self.size
    }

    /// Workgroups of one part.
    pub(super) fn groups(&self) -> usize {
        self.problem.batch * self.problem.m.div_ceil(self.rows) * self.problem.n.div_ceil(self.columns())
    }

    pub(super) fn name(&self) -> String {
        let exchanged = if self.exchanged { "t" } else { "" };
        format!("subgroup{exchanged}{}x{}", self.rows, self.columns())
    }

    /// Loop trips of an invocation.
    pub(super) fn trips(&self) -> usize {
        self.problem.k.div_ceil(self.depths * self.splits)
    }

    fn row_vectors(&self) -> bool {
        let a = &self.problem.a;
        self.rows.is_multiple_of(4) && a.row_quads() && !self.also_read.contains(&a.operand)
    }

    fn columns_by(&self) -> Columns {
        let b = &self.problem.b;
        if self.also_read.contains(&b.operand) {
            Columns::Scalars
        } else if b.row_quads() {
            Columns::Vector
        } else if b.depth_quads() && self.size.is_multiple_of(4) {
            Columns::DepthVector
        } else {
            Columns::Scalars
        }
    }

    /// The launch.
    pub(super) fn launch(&self, kernel: &Kernel, caps: &Caps) -> Result<Launch, Unsupported> {
        let p = self.problem;
        let label = format!("{}.{}", kernel.name(), self.name());
        let mut module = Module::new(kernel, caps);
        let width = |vector: bool| if vector { Width::Four } else { Width::One };
        let by = self.columns_by();
        let a = module.operand(p.a.operand, width(self.row_vectors()));
        let b = module.operand(p.b.operand, width(by != Columns::Scalars));
        let mut scalar = Vec::new();
        scalar.extend((!self.row_vectors()).then_some(p.a.operand));
        scalar.extend((by == Columns::Scalars).then_some(p.b.operand));
        let finish = Finish::new(&mut module, p, self.splits, &scalar);
        let grid = Grid::new(&label, self.groups() * self.splits, caps)?;
        let mut head = grid.id();
        self.decode_group(&mut head);
        let rows = self.row_parts(&mut head);
        let columns = self.column_parts(by, &mut head);
        head.extend((0..self.rows).map(|r| format!("var c{r} = vec4<f32>(0.0);")));
        head.extend(self.sums_begin(rows.len()));
        let depths = Depths { tile: self, by, a: &a, b: &b, rows: &rows, columns: &columns };
        let mut main = indented(&head, 1);
        main += &self.loops(&depths, caps);
        let mut tail = Vec::new();
        self.store(&finish, &mut tail);
        self.store_sums(&finish, rows.len(), &mut tail);
        main += &indented(&tail, 1);
        module.launch(&label, self.size, &main, &grid)
    }

    /// Lines that name the workgroup's tile: `column0`, `row0`, `part`, `batch` and the batch's addresses.
    fn decode_group(&self, lines: &mut Vec<String>) {
        let p = self.problem;
        let (mt, nt) = (p.m.div_ceil(self.rows), p.n.div_ceil(self.columns()));
        let at = decode("id", &[p.batch, self.splits, nt, mt], &[true; 4]);
        lines.push(format!("let batch = {};", at[0]));
        lines.push(format!("let part = {};", at[1]));
        lines.push(format!("let column0 = {} * {}u;", at[2], self.columns()));
        lines.push(format!("let row0 = {} * {}u;", at[3], self.rows));
        for (tag, map) in [("za", &p.a.batch), ("zb", &p.b.batch), ("zo", &p.out_batch)] {
            let part = map.print("batch", &format!("{tag}_"), lines);
            lines.push(format!("let {tag} = {};", part.addr));
        }
    }

    /// Rows (or quads of rows) that the lanes load at a time, a depth each.
    fn rows_at_once(&self) -> usize {
        self.size / self.depths
    }

    /// Parts of the rows this lane loads: one a load.
    fn row_parts(&self, lines: &mut Vec<String>) -> Vec<Address> {
        let p = self.problem;
        let unit = if self.row_vectors() { 4 } else { 1 };
        let stride = unit * self.rows_at_once();
        let ragged = !p.m.is_multiple_of(self.rows) || !self.rows.is_multiple_of(stride);
        let lane_row = match (self.rows_at_once(), unit) {
            (1, _) => String::new(),
            (_, 1) => format!(" + li / {}u", self.depths),
            (_, unit) => format!(" + li / {}u * {unit}u", self.depths),
        };
        let one = |r: usize| {
            let mut at = format!("row0 + {r}u{lane_row}");
            if ragged {
                at = format!("min({at}, {}u)", p.m - unit);
            }
            lines.push(format!("let ar{r} = {at};"));
            let mut part = p.a.rows.print(&format!("ar{r}"), &format!("ar{r}_"), lines);
            lines.push(format!("let ara{r} = za + {};", part.addr));
            part.addr = format!("ara{r}");
            part
        };
        (0..self.rows).step_by(stride).map(one).collect()
    }

    /// Parts of the lane's columns: one where they are read as a vector, else four.
    fn column_parts(&self, by: Columns, lines: &mut Vec<String>) -> Vec<Address> {
        let p = self.problem;
        lines.push("let n = column0 + li * 4u;".to_owned());
        let (count, unit) = if by == Columns::Vector { (1, 4) } else { (4, 1) };
        let ragged = !p.n.is_multiple_of(self.columns());
        (0..count)
            .map(|c| {
                let mut at = format!("n + {c}u");
                if ragged {
                    at = format!("min({at}, {}u)", p.n - unit);
                }
                lines.push(format!("let bn{c} = {at};"));
                let mut part = p.b.rows.print(&format!("bn{c}"), &format!("bn{c}_"), lines);
                lines.push(format!("let bna{c} = zb + {};", part.addr));
                part.addr = format!("bna{c}");
                part
            })
            .collect()
    }

    /// The loop over whole steps of `depths` depths, and the depths that are left.
    fn loops(&self, depths: &Depths<'_>, caps: &Caps) -> String {
        let rest = self.problem.k % self.depths;
        let whole = self.problem.k - rest;
        let chunk = (whole / self.depths).div_ceil(self.splits) * self.depths;
        let mut text = String::new();
        if whole > 0 {
            let (start, end) = match self.splits {
                1 => ("0u".to_owned(), format!("{whole}u")),
                _ => {
                    let end = format!("min(part * {chunk}u + {chunk}u, {whole}u)");
                    text += &format!("    let k_end = {end};\n");
                    (format!("part * {chunk}u"), "k_end".to_owned())
                }
            };
            text += &format!(
                "    for (var k0 = {}; k0 < {end}; k0 += {}u) {{\n",
                opaque_start(&start, caps),
                self.depths
            );
            text += &indented(&depths.step(self.depths), 2);
            text += "    }\n";
        }
        if rest > 0 {
            // A block of its own, taken by the last part.
            let test =
                if self.splits > 1 { format!("if (part == {}u) ", self.splits - 1) } else { String::new() };
            text += &format!("    {test}{{\n        let k0 = {whole}u;\n");
            text += &indented(&depths.step(rest), 2);
            text += "    }\n";
        }
        text
    }

    /// Lines that begin sums on the side: a lane's share of its rows, by load, or its columns'.
    fn sums_begin(&self, loads: usize) -> Vec<String> {
        match self.problem.sums {
            None => Vec::new(),
            Some(Side::B) => vec!["var column_sums = vec4<f32>(0.0);".to_owned()],
            Some(Side::A) => {
                let ty = if self.row_vectors() { "vec4<f32>" } else { "f32" };
                (0..loads).map(|i| format!("var row_sums{i} = {ty}(0.0);")).collect()
            }
        }
    }

    /// The line that adds load `i` of a step of `count` depths to the lane's rows.
    fn add_loaded(&self, i: usize, count: usize) -> String {
        let (name, zero) = if self.row_vectors() { ("av", "vec4<f32>(0.0)") } else { ("a", "0.0") };
        match count == self.depths {
            true => format!("row_sums{i} += {name}{i};"),
            false => format!("row_sums{i} += select({zero}, {name}{i}, li % {}u < {count}u);", self.depths),
        }
    }

    /// Lines that store sums on the side: the first tile along the other axis has them all.
    fn store_sums(&self, finish: &Finish, loads: usize, lines: &mut Vec<String>) {
        let p = self.problem;
        let Some((side, extent)) = p.summed() else { return };
        if side == Side::B {
            let store = |c: usize| finish.store_sum(&format!("n + {c}u"), &format!("column_sums[{c}]"));
            lines.push("if (row0 == 0u) {".to_owned());
            lines.extend((0..4).map(|c| match p.n.is_multiple_of(self.columns()) {
                true => format!("    {}", store(c)),
                false => format!("    if (n + {c}u < {extent}u) {{ {} }}", store(c)),
            }));
            lines.push("}".to_owned());
            return;
        }
        let unit = if self.row_vectors() { 4 } else { 1 };
        let own = format!("li / {}u * {unit}u", self.depths);
        for i in 0..loads {
            let mut lane = 1;
            while lane < self.depths {
                lines.push(format!("row_sums{i} += subgroupShuffleXor(row_sums{i}, {lane}u);"));
                lane *= 2;
            }
            let first = i * unit * self.rows_at_once();
            for c in 0..unit {
                let row = format!("{}u + {own}", first + c);
                let value = if unit == 4 { format!("row_sums{i}[{c}]") } else { format!("row_sums{i}") };
                let store = finish.store_sum(&format!("row0 + {row}"), &value);
                let mine = format!("column0 == 0u && li % {}u == 0u", self.depths);
                lines.push(format!(
                    "if ({mine} && {row} < {}u && row0 + {row} < {extent}u) {{ {store} }}",
                    self.rows
                ));
            }
        }
    }

    /// Lines that store the rows, [`ROWS_STORED`] at a time.
    fn store(&self, finish: &Finish, lines: &mut Vec<String>) {
        let p = self.problem;
        let places = columns(p, finish.four(), "n", "q", lines);
        let at_once = self.rows.min(ROWS_STORED);
        let looped = self.rows > at_once;
        let indent = if looped { "    " } else { "" };
        if looped {
            lines.push(format!("let row_end = min(row0 + {}u, {}u);", self.rows, p.m));
            lines.push(format!("for (var first = row0; first < row_end; first += {at_once}u) {{"));
        }
        let mut body = Vec::new();
        for r in 0..at_once {
            let (first, end) =
                if looped { ("first", "row_end".into()) } else { ("row0", format!("{}u", p.m)) };
            body.push(format!("let m{r} = {first} + {r}u;"));
            let mut value = format!("c{r}");
            if looped {
                value = format!("value{r}");
                body.push(format!("var {value} = c{r};"));
                body.extend((r + at_once..self.rows).step_by(at_once).map(|other| {
                    format!("{value} = select({value}, c{other}, first == row0 + {}u);", other - r)
                }));
            }
            let row = p.out_rows.print(&format!("m{r}"), &format!("w{r}"), &mut body);
            let whole = p.m.is_multiple_of(self.rows) && self.rows.is_multiple_of(at_once);
            let row_test = (!whole).then(|| format!("m{r} < {end}"));
            for (c, place) in places.iter().enumerate() {
                let value = if finish.four() { value.clone() } else { format!("{value}[{c}]") };
                let store = finish.store(["zo", &row.addr, &place.addr], &value);
                let column_test = (!p.n.is_multiple_of(self.columns())).then(|| format!("qn{c} < {}u", p.n));
                let tests: Vec<String> = row_test.iter().cloned().chain(column_test).collect();
                body.push(match tests.is_empty() {
                    true => store,
                    false => format!("if ({}) {{ {store} }}", tests.join(" && ")),
                });
            }
        }
        lines.extend(body.iter().map(|line| format!("{indent}{line}")));
        lines.extend(looped.then(|| "}".to_owned()));
    }
}

/// What one step along the depth reads.
struct Depths<'a> {
    tile: &'a Registers<'a>,
    by: Columns,
    a: &'a str,
    b: &'a str,
    rows: &'a [Address],
    columns: &'a [Address],
}

impl Depths<'_> {
    /// Lines for `count` depths from `k0`.
    fn step(&self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let own = match self.tile.rows_at_once() {
            1 => "li".to_owned(),
            _ => format!("li % {}u", self.tile.depths),
        };
        // Lanes beyond the count hold a depth that nobody asks for.
        lines.push(match count == self.tile.depths {
            true => format!("let k = k0 + {own};"),
            false => format!("let k = k0 + min({own}, {}u);", count - 1),
        });
        self.load_a(count, &mut lines);
        let depth = self.depth_of_b(&mut lines);
        if self.by == Columns::DepthVector {
            self.load_columns(count, &mut lines);
        }
        for kk in 0..count {
            self.load_b(kk, depth.as_ref(), &mut lines);
            for r in 0..self.tile.rows {
                let a = self.shuffled_a(r, kk);
                lines.push(format!("c{r} += {a} * b{kk};"));
            }
            if self.tile.problem.sums == Some(Side::B) {
                lines.push(format!("column_sums += b{kk};"));
            }
        }
        lines
    }

    fn load_a(&self, count: usize, lines: &mut Vec<String>) {
        let matrix = &self.tile.problem.a;
        let depth = matrix.depth.print("k", "ak_", lines);
        for (i, row) in self.rows.iter().enumerate() {
            if self.tile.row_vectors() {
                lines.push(format!("let av{i} = {};", matrix.quad(self.a, [row, &depth])));
                lines.extend((0..4).map(|c| format!("let a{i}_{c} = av{i}[{c}];")));
            } else {
                let element = matrix.element(self.a, [row, &depth], &format!("ae{i}_"), lines);
                lines.push(format!("let a{i} = {element};"));
            }
            if self.tile.problem.sums == Some(Side::A) {
                lines.push(self.tile.add_loaded(i, count));
            }
        }
    }

    /// The element of row `r` at depth k0 + kk, from the lane that has loaded it.
    fn shuffled_a(&self, r: usize, kk: usize) -> String {
        let at_once = self.tile.rows_at_once();
        let (load, name) = match self.tile.row_vectors() {
            true => (r / 4, format!("a{}_{}", r / 4 / at_once, r % 4)),
            false => (r, format!("a{}", r / at_once)),
        };
        let lane = load % at_once * self.tile.depths + kk;
        format!("subgroupShuffle({name}, {lane}u)")
    }

    /// The lane's own depth part of `b`, where it takes work to find; `None` where it is one stride.
    fn depth_of_b(&self, lines: &mut Vec<String>) -> Option<Address> {
        let depth = &self.tile.problem.b.depth;
        let plain = depth.stride().is_some() && !self.tile.problem.b.guarded();
        (!plain && self.by != Columns::DepthVector).then(|| depth.print("k", "bk_", lines))
    }

    /// Four depths a vector, each of the lane's columns. Four depths from a multiple of 4 lie side by side.
    fn load_columns(&self, count: usize, lines: &mut Vec<String>) {
        for g in 0..count.div_ceil(4) {
            lines.push(format!("let bg{g} = k0 + {}u;", 4 * g));
            let depth = self.tile.problem.b.depth.print(&format!("bg{g}"), &format!("bg{g}_"), lines);
            for (c, column) in self.columns.iter().enumerate() {
                let quad = self.tile.problem.b.quad(self.b, [column, &depth]);
                lines.push(format!("let v{c}_{g} = {quad};"));
            }
        }
    }

    /// A line that names `b{kk}`, the lane's columns at depth k0 + kk.
    fn load_b(&self, kk: usize, depth: Option<&Address>, lines: &mut Vec<String>) {
        let matrix = &self.tile.problem.b;
        if self.by == Columns::DepthVector {
            let parts: Vec<String> = (0..4).map(|c| format!("v{c}_{}[{}]", kk / 4, kk % 4)).collect();
            lines.push(format!("let b{kk} = vec4<f32>({});", parts.join(", ")));
            return;
        }
        let part = match depth {
            Some(own) => own.shuffled(kk, &format!("bk{kk}_"), lines),
            None => {
                lines.push(format!("let bk{kk} = k0 + {kk}u;"));
                matrix.depth.print(&format!("bk{kk}"), &format!("bk{kk}_"), lines)
            }
        };
        if self.by == Columns::Vector {
            lines.push(format!("let b{kk} = {};", matrix.quad(self.b, [&self.columns[0], &part])));
            return;
        }
        let elements: Vec<String> = (0..self.columns.len())
            .map(|c| matrix.element(self.b, [&self.columns[c], &part], &format!("be{kk}_{c}_"), lines))
            .collect();
        lines.push(format!("let b{kk} = vec4<f32>({});", elements.join(", ")));
    }
}
