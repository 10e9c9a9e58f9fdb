//! A subgroup for a few rows: no workgroup memory, no barrier. The form for software adapters.
//!
//! Rows are queries, columns keys; for the gradients of keys and values rows are keys and columns queries. A block has
//! a few columns a lane. Lanes load a row each and hand its elements round by subgroupShuffle; a block's weights stay
//! where they were made and go round the same way when they multiply values, whose columns the lanes own. Slopes of scores,
//! once made, are kept for the gradients of queries and of keys where they are not many.
//!
//! A loop writes each of its sums once a trip, under a mask, and a vector loaded is a hundred branches: a trip does much with
//! what it loads, and what comes one after another in any case (rows stored, a block's columns weighed) is written once.

mod gradients;

use super::{Attention, Extents, Job, K, LOWEST, Matrix, Part, Pass, Q, V};
use crate::launch::{Launch, Unsupported};
use crate::table::MAX_TRIPS;
use crate::wgsl::module::{Grid, Module, Width, opaque_start};
use crate::wgsl::text::indented;
use wgrad_types::DType;

/// Rows of columns multiplied at a time: each sum is read and written once for so many.
const LANES_AT_ONCE: usize = 2;

/// Rows of a subgroup: the more, the less is loaded a row; wide sums make long texts.
fn rows(e: &Extents, size: usize) -> usize {
    if e.depth.max(e.width) > 8 * size { 8 } else { 16 }
}

/// Columns a lane has in a block: the more, the less is loaded a column; but texts grow, and causal blocks have more
/// columns that no row sees.
const ACROSS: usize = 2;

/// The form's name.
pub(super) fn name(attention: &Attention, size: usize, keeps: bool) -> String {
    let kept = if keeps { ".kept" } else { "" };
    format!("subgroup{}x{}{kept}", rows(&attention.extents(), size), ACROSS * size)
}

/// Bytes of slopes kept for the gradients of queries and keys: f32 `[batch, head, query, key]`, [`kept_keys`] a query.
pub(super) fn slope_bytes(e: &Extents, size: usize) -> usize {
    let extents = [e.batch, e.heads, e.queries, kept_keys(e, size)];
    extents.into_iter().fold(DType::F32.bytes(), usize::saturating_mul)
}

/// Keys in whole blocks and whole turns.
fn kept_keys(e: &Extents, size: usize) -> usize {
    e.keys.next_multiple_of(rows(e, size)).next_multiple_of(size)
}

/// What a launch computes.
#[derive(Clone, Copy)]
enum Work {
    Forward,
    /// The gradient of queries.
    Queries,
    /// The gradients of keys and values; where slopes are kept, slopes and the gradient of values.
    Keys,
    /// The gradient of queries from kept slopes.
    QueriesOfSlopes,
    /// The gradient of keys from kept slopes.
    KeysOfSlopes,
}

/// The launches of a pass.
pub(super) fn launches(job: &Job<'_>, size: usize) -> Result<Vec<Launch>, Unsupported> {
    let works: &[(Work, &str)] = match (job.pass, job.keeps) {
        (Pass::Forward, _) => &[(Work::Forward, "forward")],
        (Pass::Queries, false) => &[(Work::Queries, "queries")],
        (Pass::Keys, false) => &[(Work::Keys, "keys")],
        // Apart: a launch binds eight buffers at most everywhere.
        (Pass::Keys, true) => &[(Work::Keys, "keys"), (Work::KeysOfSlopes, "dk")],
        (Pass::Queries, true) => &[(Work::QueriesOfSlopes, "dq")],
    };
    works.iter().map(|&(work, what)| launch(job, size, work, what)).collect()
}

fn launch(job: &Job<'_>, size: usize, work: Work, what: &str) -> Result<Launch, Unsupported> {
    let (e, keys) = (job.e, job.pass == Pass::Keys);
    let label = format!("attention.{}.{what}", name(job.attention, size, job.keeps));
    let (count, heads) = if keys { (e.keys, e.groups) } else { (e.queries, e.heads) };
    let tall = rows(&e, size);
    let blocks = count.div_ceil(tall);
    let others = if keys { job.share() * e.queries.next_multiple_of(ACROSS * size) } else { e.keys };
    let quads = (e.depth + e.width) / 4;
    let a_block = quads + 2 + ACROSS * (size + 3);
    let trips = others.div_ceil(ACROSS * size) * a_block + 2 * tall + job.share();
    if trips > MAX_TRIPS {
        return Err(Unsupported(format!("{label}: {trips} loop trips, a software adapter runs {MAX_TRIPS}")));
    }
    let grid = Grid::new(&label, e.batch * heads * blocks, job.caps)?;
    let module = Module::new(job.kernel, job.caps);
    let mut text = Text { job, module, lines: grid.id(), size, tall };
    // Blocks from both ends in turn: an adapter that halves the grid halves causal work, too.
    text.add(format!("let turn = id % {blocks}u;"));
    text.add(format!("let block = select({}u - turn / 2u, turn / 2u, turn % 2u == 0u);", blocks - 1));
    text.add(format!("let row0 = block * {tall}u;"));
    text.add(format!("let head = id / {blocks}u % {heads}u;"));
    text.add(format!("let batch = id / {}u;", blocks * heads));
    match work {
        Work::Forward => text.forward(),
        Work::Queries => text.queries(),
        Work::Keys => text.keys(),
        Work::QueriesOfSlopes => text.queries_of_slopes(),
        Work::KeysOfSlopes => text.keys_of_slopes(),
    }
    let Text { module, lines, .. } = text;
    module.launch(&label, size, &indented(&lines, 1), &grid)
}

struct Text<'a, 'm> {
    job: &'a Job<'a>,
    module: Module<'m>,
    lines: Vec<String>,
    size: usize,
    tall: usize,
}

impl Text<'_, '_> {
    fn add(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn matrix(&mut self, operand: usize) -> Matrix {
        self.job.matrix(&mut self.module, operand)
    }

    /// Columns of a block.
    fn block(&self) -> usize {
        ACROSS * self.size
    }

    /// Quads of columns a lane owns of `cols`.
    fn quads(&self, cols: usize) -> usize {
        cols.div_ceil(4 * self.size)
    }

    /// Declares `count` numbers, all zeros. They are read and written by constants alone: each is a variable then.
    fn numbers(&mut self, name: &str, count: usize) {
        self.add(format!("var {name}: array<f32, {count}>;"));
    }

    /// Names `{name}_base`, where a matrix of a head begins.
    fn base(&mut self, matrix: &Matrix, name: &str, head: &str) {
        self.add(format!("let {name}_base = {};", matrix.base("batch", head)));
    }

    /// Names `{name}_a{i}`, the addresses of the rows this lane loads.
    fn own_rows(&mut self, matrix: &Matrix, name: &str, count: usize) {
        for (i, r) in (0..self.tall).step_by(self.size).enumerate() {
            let row = format!("min(row0 + {r}u + li % {}u, {}u)", self.tall, count - 1);
            self.add(format!("let {name}_a{i} = {name}_base + {row} * {}u;", matrix.row()));
        }
    }

    /// Declares the sums of a lane's columns of all rows.
    fn sums(&mut self, name: &str, cols: usize) {
        self.numbers(name, self.tall * self.quads(cols) * 4);
    }

    /// The number of row `r` and the lane's column `c` of a block.
    fn score(&self, name: &str, r: usize, c: usize) -> String {
        format!("{name}[{}]", c * self.tall + r)
    }

    /// `{to}` = the products of the rows of `a` and a block's columns of `b`, of `count` columns.
    fn dots(&mut self, to: &str, (a, a_name): (&Matrix, &str), (b, b_name): (&Matrix, &str), count: usize) {
        self.add(format!("{to} = array<f32, {}>();", self.tall * ACROSS));
        for c in 0..ACROSS {
            let column = format!("min(n0 + {}u + li, {}u)", c * self.size, count - 1);
            self.add(format!("let {to}_at{c} = {b_name}_base + {column} * {}u;", b.row()));
        }
        self.add(format!("for (var d = 0u; d < {}u; d += 4u) {{", b.view.shape[3]));
        for i in 0..self.tall.div_ceil(self.size) {
            self.add(format!("let own{i} = {};", a.quad_at(&format!("{a_name}_a{i}"), "d")));
        }
        (0..ACROSS).for_each(|c| {
            self.lines.push(format!("let b{c} = {};", b.quad_at(&format!("{to}_at{c}"), "d")));
        });
        for r in 0..self.tall {
            let (i, lane) = (r / self.size, r % self.size);
            (0..4).for_each(|k| {
                self.lines.push(format!("let a{r}_{k} = subgroupShuffle(own{i}[{k}], {lane}u);"));
            });
            for c in 0..ACROSS {
                let products: Vec<String> = (0..4).map(|k| format!("a{r}_{k} * b{c}[{k}]")).collect();
                let sum = self.score(to, r, c);
                self.add(format!("{sum} = {sum} + {};", products.join(" + ")));
            }
        }
        self.add("}");
    }

    /// Begins a loop over a block's columns, one a lane at a time, up to `end`; names `column`, the lane's.
    fn each_turn(&mut self, end: &str) {
        let (block, size) = (self.block(), self.size);
        self.add(format!("for (var turn = n0; turn < min(n0 + {block}u, {end}); turn += {size}u) {{"));
        self.add("let column = turn + li;");
    }

    /// Ends it: the numbers of the lane's next column take the place of these.
    fn end_turn(&mut self, names: &[&str]) {
        for name in names {
            let tall = self.tall;
            for (c, r) in (1..ACROSS).flat_map(|c| (0..tall).map(move |r| (c, r))) {
                let (to, from) = (self.score(name, r, c - 1), self.score(name, r, c));
                self.add(format!("{to} = {from};"));
            }
        }
        self.add("}");
    }

    /// `{to}` += the weights `{p}{r}` of a turn's columns times the rows of `x`, `count` of them, that belong to them.
    fn accumulate(&mut self, to: &str, p: &str, (x, x_name): (&Matrix, &str), count: usize) {
        let (cols, quads) = (x.view.shape[3], self.quads(x.view.shape[3]));
        let first = opaque_start("0u", self.job.caps);
        self.add(format!("for (var lane = {first}; lane < {}u; lane += {LANES_AT_ONCE}u) {{", self.size));
        for j in 0..LANES_AT_ONCE {
            let row = format!("min(turn + lane + {j}u, {}u)", count - 1);
            self.add(format!("let at{j} = {x_name}_base + {row} * {}u;", x.row()));
            for q in 0..quads {
                let column = format!("min({}u + li * 4u, {}u)", q * 4 * self.size, cols - 4);
                self.add(format!("let x{j}_{q} = {};", x.quad_at(&format!("at{j}"), &column)));
            }
        }
        for r in 0..self.tall {
            (0..LANES_AT_ONCE).for_each(|j| {
                self.lines.push(format!("let {p}{r}_{j} = subgroupShuffle({p}{r}, lane + {j}u);"));
            });
            for (q, k) in (0..quads).flat_map(|q| (0..4).map(move |k| (q, k))) {
                let products: Vec<String> =
                    (0..LANES_AT_ONCE).map(|j| format!("{p}{r}_{j} * x{j}_{q}[{k}]")).collect();
                let sum = format!("{to}[{}]", (r * quads + q) * 4 + k);
                self.add(format!("{sum} = {sum} + {};", products.join(" + ")));
            }
        }
        self.add("}");
    }

    /// Where the keys end that these queries see.
    fn end_of_keys(&self) -> String {
        match self.job.attention.causal {
            true => format!("min(row0 + {}u, {}u)", self.tall, self.job.e.keys),
            false => format!("{}u", self.job.e.keys),
        }
    }

    /// Begins the loop over blocks of keys that these queries see; names `n0`, the block's first key.
    fn each_block_of_keys(&mut self) {
        let (first, end) = (opaque_start("0u", self.job.caps), self.end_of_keys());
        self.add(format!("for (var n0 = {first}; n0 < {end}; n0 += {}u) {{", self.block()));
    }

    /// `value` where row `r` sees a column, else `hidden`.
    fn where_seen(&self, r: usize, column: &str, value: &str, hidden: &str) -> String {
        let (e, causal) = (self.job.e, self.job.attention.causal);
        let count = if self.job.pass == Pass::Keys { e.queries } else { e.keys };
        if !causal && count.is_multiple_of(self.block()) {
            return value.to_owned();
        }
        let row = format!("row0 + {r}u");
        let seen = match (self.job.pass, causal) {
            (Pass::Keys, true) => format!("({column} >= {row}) & ({column} < {count}u)"),
            (_, true) => format!("{column} < min({row} + 1u, {count}u)"),
            (_, false) => format!("{column} < {count}u"),
        };
        format!("select({hidden}, {value}, {seen})")
    }

    /// Begins a loop over the rows that are there, `row` of all; [`Self::end_row`] makes the next one the first of each.
    fn each_row(&mut self, part: Part) {
        let rows = self.job.attention.shape(part)[1];
        let end = match rows.is_multiple_of(self.tall) {
            true => format!("row0 + {}u", self.tall),
            false => format!("min(row0 + {}u, {rows}u)", self.tall),
        };
        let first = opaque_start("row0", self.job.caps);
        self.add(format!("for (var row = {first}; row < {end}; row += 1u) {{"));
    }

    /// Ends it: the numbers of the next row, `each` a row, take the place of the first one's.
    fn end_row(&mut self, names: &[(&str, usize)]) {
        for &(name, each) in names {
            (each..self.tall * each)
                .for_each(|i| self.lines.push(format!("{name}[{}] = {name}[{i}];", i - each)));
        }
        self.add("}");
    }

    /// Lines that store the first row's sums as `row` of a part, `[batch, row, head, cols]`.
    fn store_row(&mut self, part: Part, name: &str, factor: &str) {
        let Some(output) = self.job.attention.output(part) else { return };
        let shape = self.job.attention.shape(part);
        let (rows, heads, cols) = (shape[1], shape[2], shape[3]);
        let y = self.module.output(output, Width::Four);
        self.add(format!("let at = ((batch * {rows}u + row) * {heads}u + head) * {}u + li;", cols / 4));
        for q in 0..self.quads(cols) {
            let four = (0..4).map(|k| format!("{name}[{}]", 4 * q + k)).collect::<Vec<_>>().join(", ");
            let lane = q * self.size;
            let store = format!("{y}[at + {lane}u] = vec4<f32>({four}) * {factor};");
            self.add(match cols / 4 < lane + self.size {
                true => format!("if (li + {lane}u < {}u) {{ {store} }}", cols / 4),
                false => store,
            });
        }
    }

    /// Lines that store all rows of a part.
    fn store(&mut self, part: Part, name: &str, factor: &str) {
        if self.job.wants(part) {
            let each = 4 * self.quads(self.job.attention.shape(part)[3]);
            self.each_row(part);
            self.store_row(part, name, factor);
            self.end_row(&[(name, each)]);
        }
    }

    fn group(&self) -> String {
        if self.job.share() == 1 { "head".into() } else { format!("head / {}u", self.job.share()) }
    }

    fn forward(&mut self) {
        let (e, tall) = (self.job.e, self.tall);
        let values = self.job.wants(Part::Y);
        let (q, k, group) = (self.matrix(Q), self.matrix(K), self.group());
        self.base(&q, "q", "head");
        self.base(&k, "k", &group);
        self.own_rows(&q, "q", e.queries);
        let v = values.then(|| self.matrix(V));
        if let Some(v) = &v {
            self.base(v, "v", &group);
            self.sums("y", e.width);
        }
        self.numbers("s", tall * ACROSS);
        self.numbers("most", tall);
        (0..tall).for_each(|r| self.lines.push(format!("most[{r}] = {LOWEST};")));
        self.numbers("sum", tall);
        // The same numbers, a lane a row: an exponential takes fifteen instructions, for one row as for a lane's.
        (0..tall.div_ceil(self.size)).for_each(|g| self.lines.push(format!("var top{g} = {LOWEST};")));
        let scale = self.job.scale();
        self.each_block_of_keys();
        self.dots("s", (&q, "q"), (&k, "k"), e.keys);
        for r in 0..tall {
            let mut next = self.score("s", r, 0);
            for c in 0..ACROSS {
                let (score, column) = (self.score("s", r, c), format!("n0 + {}u + li", c * self.size));
                let seen = self.where_seen(r, &column, &format!("{score} * {scale}"), LOWEST);
                self.add(format!("{score} = {seen};"));
                if c > 0 {
                    next = format!("max({next}, {score})");
                }
            }
            self.add(format!("let best{r} = subgroupMax({next});"));
        }
        for (g, first) in (0..tall).step_by(self.size).enumerate() {
            let rows = first + 1..(first + self.size).min(tall);
            let best = rows.fold(format!("best{first}"), |lanes, r| {
                format!("select({lanes}, best{r}, li == {}u)", r - first)
            });
            self.add(format!("let higher{g} = max(top{g}, {best});"));
            self.add(format!("let lower{g} = exp(top{g} - higher{g});"));
            self.add(format!("top{g} = higher{g};"));
        }
        for r in 0..tall {
            let (g, lane) = (r / self.size, r % self.size);
            self.add(format!("let keep{r} = subgroupShuffle(lower{g}, {lane}u);"));
            self.add(format!("most[{r}] = subgroupShuffle(higher{g}, {lane}u);"));
            self.add(format!("sum[{r}] *= keep{r};"));
            if values {
                let each = self.quads(e.width) * 4;
                (r * each..(r + 1) * each).for_each(|i| self.lines.push(format!("y[{i}] *= keep{r};")));
            }
        }
        self.each_turn(&self.end_of_keys());
        for r in 0..tall {
            let weight = format!("exp({} - most[{r}])", self.score("s", r, 0));
            self.add(format!("let p{r} = {weight};"));
            self.add(format!("sum[{r}] += p{r};"));
        }
        if let Some(v) = &v {
            self.accumulate("y", "p", (v, "v"), e.keys);
        }
        self.end_turn(&["s"]);
        self.add("}");
        self.each_row(Part::Y);
        self.add("let total = subgroupAdd(sum[0]);");
        self.store_row(Part::Y, "y", "(1.0 / total)");
        if let Some(output) = self.job.attention.output(Part::Lse) {
            let lse = self.module.output(output, Width::One);
            let at = format!("(batch * {}u + head) * {}u + row", e.heads, e.queries);
            self.add(format!("if (li == 0u) {{ {lse}[{at}] = most[0] + log(total); }}"));
        }
        let sums = ("y", if values { 4 * self.quads(e.width) } else { 0 });
        self.end_row(&[("sum", 1), ("most", 1), sums]);
    }
}
