//! A subgroup for a few rows, all in registers: no workgroup memory, no barrier. The form for software adapters.
//!
//! Rows are queries, columns keys; for the gradients of keys and values rows are keys and columns queries. A block has
//! four columns a lane. Lanes load a row each and hand its elements round by subgroupShuffle; a block's weights stay
//! where they were made and go round the same way when they multiply values, whose columns the lanes own.

use super::{
    Attention, DELTA, DY, Extents, Job, K, LOWEST, LSE, Matrix, Part, Pass, Q, V, across, larger, plus,
};
use crate::launch::{Launch, Unsupported};
use crate::table::{MAX_TRIPS, ROWS_STORED};
use crate::wgsl::module::{Grid, Module, Width, unseen};
use crate::wgsl::text::indented;

/// Rows of a subgroup: the more, the less is loaded a row; wide sums leave fewer registers.
fn rows(e: &Extents, size: usize) -> usize {
    if e.depth.max(e.width) > 8 * size { 8 } else { 16 }
}

/// The form's name.
pub(super) fn name(attention: &Attention, size: usize) -> String {
    format!("subgroup{}x{}", rows(&attention.extents(), size), 4 * size)
}

/// The launch of a pass.
pub(super) fn launch(job: &Job<'_>, size: usize) -> Result<Launch, Unsupported> {
    let (e, keys) = (job.e, job.pass == Pass::Keys);
    let label =
        format!("attention.{}.{}", name(job.attention, size), format!("{:?}", job.pass).to_lowercase());
    let (count, heads) = if keys { (e.keys, e.groups) } else { (e.queries, e.heads) };
    let tall = rows(&e, size);
    let blocks = count.div_ceil(tall);
    let others = if keys { job.share() * e.queries } else { e.keys };
    let trips = others.div_ceil(4 * size) * ((e.depth + e.width) / 4 * 5 + 8 * (size + 1) + 1);
    if trips > MAX_TRIPS {
        return Err(Unsupported(format!("{label}: {trips} loop trips, a software adapter runs {MAX_TRIPS}")));
    }
    let grid = Grid::new(&label, e.batch * heads * blocks, job.caps)?;
    let module = Module::new(job.step, job.caps);
    let mut text = Text { job, module, lines: grid.id(), size, tall };
    // Blocks from both ends in turn: an adapter that halves the grid halves causal work, too.
    text.add(format!("let turn = id % {blocks}u;"));
    text.add(format!("let block = select({}u - turn / 2u, turn / 2u, turn % 2u == 0u);", blocks - 1));
    text.add(format!("let row0 = block * {tall}u;"));
    text.add(format!("let head = id / {blocks}u % {heads}u;"));
    text.add(format!("let batch = id / {}u;", blocks * heads));
    match job.pass {
        Pass::Forward => text.forward(),
        Pass::Queries => text.queries(),
        Pass::Keys => text.keys(),
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

    /// Quads of columns a lane owns of `cols`.
    fn quads(&self, cols: usize) -> usize {
        cols.div_ceil(4 * self.size)
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

    fn zeros(&mut self, name: &str, cols: usize) {
        let quads = self.quads(cols);
        (0..self.tall * quads).for_each(|i| {
            self.lines.push(format!("var {name}{}_{} = vec4<f32>(0.0);", i / quads, i % quads));
        });
    }

    /// `{to}{r}[c]` = the product of row r of `a` and column c of `b`, of `count` columns. A vector loaded is a hundred
    /// branches to a software adapter's compiler: columns come one after another in a loop, which begins where no compiler
    /// sees it, or it is unrolled.
    fn dots(&mut self, to: &str, (a, a_name): (&Matrix, &str), (b, b_name): (&Matrix, &str), count: usize) {
        (0..self.tall).for_each(|r| self.lines.push(format!("var {to}{r} = vec4<f32>(0.0);")));
        self.add(format!("for (var d = 0u; d < {}u; d += 4u) {{", a.view.shape[3]));
        for i in 0..self.tall.div_ceil(self.size) {
            self.add(format!("let a{i} = {};", a.quad_at(&format!("{a_name}_a{i}"), "d")));
        }
        self.add("for (var turn = row0; turn < row0 + 4u; turn += 1u) {");
        let column = format!("min(n + (turn - row0) * {}u, {}u)", self.size, count - 1);
        self.add(format!("let at = {b_name}_base + {column} * {}u;", b.row()));
        self.add(format!("let b = {};", b.quad_at("at", "d")));
        for r in 0..self.tall {
            let (i, lane) = (r / self.size, r % self.size);
            let product = |k: usize| format!("subgroupShuffle(a{i}[{k}], {lane}u) * b[{k}]");
            let sum = (0..4).map(product).collect::<Vec<_>>().join(" + ");
            self.add(format!("{to}{r} = vec4<f32>({to}{r}.yzw, {to}{r}.x + {sum});"));
        }
        self.add("}");
        self.add("}");
    }

    /// `{to}{r}` += the weights `{p}{r}` of the block's columns times the rows of `x`, `count` of them, that belong to them, a
    /// row at a time.
    fn accumulate(&mut self, to: &str, p: &str, (x, x_name): (&Matrix, &str), count: usize) {
        let (cols, quads) = (x.view.shape[3], self.quads(x.view.shape[3]));
        self.add(format!("for (var turn = 0u; turn < {0}u; turn += {1}u) {{", 4 * self.size, self.size));
        self.add(format!("for (var lane = 0u; lane < {}u; lane += 1u) {{", self.size));
        let row = format!("min(n0 + turn + lane, {}u)", count - 1);
        self.add(format!("let row_at = {x_name}_base + {row} * {}u;", x.row()));
        for q in 0..quads {
            let column = format!("min({}u + li * 4u, {}u)", q * 4 * self.size, cols - 4);
            self.add(format!("let quad{q} = {};", x.quad_at("row_at", &column)));
        }
        for r in 0..self.tall {
            self.add(format!("let p{r} = subgroupShuffle({p}{r}.x, lane);"));
            (0..quads).for_each(|q| self.lines.push(format!("{to}{r}_{q} += p{r} * quad{q};")));
        }
        self.add("}");
        (0..self.tall).for_each(|r| self.lines.push(format!("{p}{r} = {p}{r}.yzwx;")));
        self.add("}");
    }

    /// Names the first of the lane's columns of a block, `n`, and all four.
    fn name_columns(&mut self) {
        self.add("let n = n0 + li;");
        if self.some_hidden() {
            let size = self.size;
            self.add(format!(
                "let column = vec4<u32>(n, n + {size}u, n + {}u, n + {}u);",
                2 * size,
                3 * size
            ));
        }
    }

    /// The loop over blocks of keys that these queries see; names `n0`, the block's first key, and `n`, the lane's.
    fn each_block_of_keys(&mut self) {
        let (keys, tall) = (self.job.e.keys, self.tall);
        let end = match self.job.attention.causal {
            true => format!("min(row0 + {tall}u, {keys}u)"),
            false => format!("{keys}u"),
        };
        let first = unseen("0u", self.job.caps);
        self.add(format!("for (var n0 = {first}; n0 < {end}; n0 += {}u) {{", 4 * self.size));
        self.name_columns();
    }

    /// Whether a block may have columns that a row does not see.
    fn some_hidden(&self) -> bool {
        let columns = if self.job.pass == Pass::Keys { self.job.e.queries } else { self.job.e.keys };
        self.job.attention.causal || !columns.is_multiple_of(4 * self.size)
    }

    /// `value` where row `r` sees a column, else `hidden`.
    fn where_seen(&self, r: usize, value: &str, hidden: &str) -> String {
        if !self.some_hidden() {
            return value.to_owned();
        }
        let e = self.job.e;
        let row = format!("row0 + {r}u");
        let seen = match (self.job.pass, self.job.attention.causal) {
            (Pass::Keys, true) => {
                format!("(column >= vec4<u32>({row})) & (column < vec4<u32>({}u))", e.queries)
            }
            (Pass::Keys, false) => format!("column < vec4<u32>({}u)", e.queries),
            (_, true) => format!("column < vec4<u32>(min({row} + 1u, {}u))", e.keys),
            (_, false) => format!("column < vec4<u32>({}u)", e.keys),
        };
        format!("select(vec4<f32>({hidden}), {value}, {seen})")
    }

    /// Lines that store rows of a part, `[batch, row, head, cols]`, [`ROWS_STORED`] at a time.
    fn store(&mut self, part: Part, name: &str, factor: impl Fn(usize) -> String) {
        let Some(output) = self.job.attention.output(part) else { return };
        let shape = self.job.attention.shape(part);
        let (rows, heads, cols) = (shape[1], shape[2], shape[3]);
        let y = self.module.output(output, Width::Four);
        let (quads, at_once) = (self.quads(cols), self.tall.min(ROWS_STORED));
        self.add(format!("let {name}_at = (batch * {rows}u * {heads}u + head) * {}u + li;", cols / 4));
        self.add(format!("let {name}_end = min(row0 + {}u, {rows}u);", self.tall));
        self.add(format!("for (var first = row0; first < {name}_end; first += {at_once}u) {{"));
        for r in 0..at_once {
            let row_test = (!rows.is_multiple_of(self.tall)).then(|| format!("first + {r}u < {name}_end"));
            for q in 0..quads {
                self.add(format!("var z{r}_{q} = {name}{r}_{q} * {};", factor(r)));
                for other in (r + at_once..self.tall).step_by(at_once) {
                    let value = format!("{name}{other}_{q} * {}", factor(other));
                    let turn = other - r;
                    self.add(format!("z{r}_{q} = select(z{r}_{q}, {value}, first == row0 + {turn}u);"));
                }
                let lane = q * self.size;
                let column_test =
                    (cols / 4 < lane + self.size).then(|| format!("li + {lane}u < {}u", cols / 4));
                let at = format!("{name}_at + (first + {r}u) * {}u + {lane}u", heads * cols / 4);
                let store = format!("{y}[{at}] = z{r}_{q};");
                let tests: Vec<String> = row_test.iter().cloned().chain(column_test).collect();
                self.add(match tests.is_empty() {
                    true => store,
                    false => format!("if ({}) {{ {store} }}", tests.join(" && ")),
                });
            }
        }
        self.add("}");
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
            self.zeros("y", e.width);
        }
        for r in 0..tall {
            self.add(format!("var most{r} = {LOWEST};"));
            self.add(format!("var sum{r} = 0.0;"));
        }
        let scale = self.job.scale();
        self.each_block_of_keys();
        self.dots("s", (&q, "q"), (&k, "k"), e.keys);
        for r in 0..tall {
            let score = self.where_seen(r, &format!("s{r} * {scale}"), LOWEST);
            self.add(format!("s{r} = {score};"));
            self.add(format!(
                "let next{r} = max(most{r}, subgroupMax({}));",
                across(larger, &format!("s{r}"))
            ));
            self.add(format!("let keep{r} = exp(most{r} - next{r});"));
            self.add(format!("s{r} = exp(s{r} - next{r});"));
            self.add(format!("sum{r} = sum{r} * keep{r} + {};", across(plus, &format!("s{r}"))));
            self.add(format!("most{r} = next{r};"));
            if values {
                (0..self.quads(e.width)).for_each(|q| self.lines.push(format!("y{r}_{q} *= keep{r};")));
            }
        }
        if let Some(v) = &v {
            self.accumulate("y", "s", (v, "v"), e.keys);
        }
        self.add("}");
        (0..tall).for_each(|r| self.lines.push(format!("let total{r} = subgroupAdd(sum{r});")));
        self.store(Part::Y, "y", |r| format!("(1.0 / total{r})"));
        if let Some(output) = self.job.attention.output(Part::Lse) {
            let y = self.module.output(output, Width::One);
            self.add(format!("let lse_at = (batch * {}u + head) * {}u + row0;", e.heads, e.queries));
            // A lane a row.
            for first in (0..tall).step_by(self.size) {
                for name in ["most", "total"] {
                    self.add(format!("var own_{name}{first} = {name}{first};"));
                    for r in first + 1..tall.min(first + self.size) {
                        let own = format!("select(own_{name}{first}, {name}{r}, li == {}u)", r - first);
                        self.add(format!("own_{name}{first} = {own};"));
                    }
                }
                let mut tests = vec![format!("row0 + {first}u + li < {}u", e.queries)];
                tests.extend((tall < first + self.size).then(|| format!("li < {}u", tall - first)));
                self.add(format!(
                    "if ({}) {{ {y}[lse_at + {first}u + li] = own_most{first} + log(own_total{first}); }}",
                    tests.join(" && ")
                ));
            }
        }
    }

    fn queries(&mut self) {
        let (e, tall) = (self.job.e, self.tall);
        let (q, k, v, dy) = (self.matrix(Q), self.matrix(K), self.matrix(V), self.matrix(DY));
        let group = self.group();
        for (matrix, name, head) in
            [(&q, "q", "head"), (&dy, "dy", "head"), (&k, "k", &*group), (&v, "v", &*group)]
        {
            self.base(matrix, name, head);
        }
        self.own_rows(&q, "q", e.queries);
        self.own_rows(&dy, "dy", e.queries);
        for (operand, name) in [(LSE, "lse"), (DELTA, "delta")] {
            let at = self.job.scalar(&mut self.module, operand);
            for r in 0..tall {
                let row = format!("min(row0 + {r}u, {}u)", e.queries - 1);
                self.add(format!("let {name}{r} = {};", at("batch", "head", &row)));
            }
        }
        self.zeros("dq", e.depth);
        let scale = self.job.scale();
        self.each_block_of_keys();
        self.dots("s", (&q, "q"), (&k, "k"), e.keys);
        self.dots("t", (&dy, "dy"), (&v, "v"), e.keys);
        for r in 0..tall {
            let weight = self.where_seen(r, &format!("exp(s{r} * {scale} - lse{r})"), "0.0");
            self.add(format!("s{r} = {weight} * (t{r} - delta{r});"));
        }
        self.accumulate("dq", "s", (&k, "k"), e.keys);
        self.add("}");
        self.store(Part::Dq, "dq", |_| scale.clone());
    }

    fn keys(&mut self) {
        let (e, share, tall) = (self.job.e, self.job.share(), self.tall);
        let (q, k, dy) = (self.matrix(Q), self.matrix(K), self.matrix(DY));
        let slopes = self.job.wants(Part::Dk);
        self.base(&k, "k", "head");
        self.own_rows(&k, "k", e.keys);
        let v = slopes.then(|| self.matrix(V));
        if let Some(v) = &v {
            self.base(v, "v", "head");
            self.own_rows(v, "v", e.keys);
            self.zeros("dk", e.depth);
        }
        if self.job.wants(Part::Dv) {
            self.zeros("dv", e.width);
        }
        let lse = self.job.scalar(&mut self.module, LSE);
        let delta = slopes.then(|| self.job.scalar(&mut self.module, DELTA));
        let scale = self.job.scale();
        let first = unseen(&format!("head * {share}u"), self.job.caps);
        self.add(format!("for (var own = {first}; own < head * {share}u + {share}u; own += 1u) {{"));
        self.base(&q, "q", "own");
        self.base(&dy, "dy", "own");
        let block = 4 * self.size;
        let first = if self.job.attention.causal {
            format!("row0 / {block}u * {block}u")
        } else {
            unseen("0u", self.job.caps)
        };
        self.add(format!("for (var n0 = {first}; n0 < {}u; n0 += {block}u) {{", e.queries));
        self.name_columns();
        let size = self.size;
        let four = |at: &dyn Fn(&str, &str, &str) -> String| {
            let one = |c: usize| at("batch", "own", &format!("min(n + {}u, {}u)", c * size, e.queries - 1));
            format!("vec4<f32>({})", (0..4).map(one).collect::<Vec<_>>().join(", "))
        };
        self.add(format!("let lse = {};", four(&lse)));
        self.dots("s", (&k, "k"), (&q, "q"), e.queries);
        for r in 0..tall {
            let weight = self.where_seen(r, &format!("exp(s{r} * {scale} - lse)"), "0.0");
            self.add(format!("s{r} = {weight};"));
        }
        if self.job.wants(Part::Dv) {
            self.accumulate("dv", "s", (&dy, "dy"), e.queries);
        }
        if let (Some(v), Some(delta)) = (&v, &delta) {
            self.add(format!("let delta = {};", four(delta)));
            self.dots("t", (v, "v"), (&dy, "dy"), e.queries);
            (0..tall).for_each(|r| self.lines.push(format!("s{r} = s{r} * (t{r} - delta);")));
            self.accumulate("dk", "s", (&q, "q"), e.queries);
        }
        self.add("}");
        self.add("}");
        self.store(Part::Dv, "dv", |_| "1.0".into());
        self.store(Part::Dk, "dk", |_| scale.clone());
    }
}
