//! An invocation a row: its query (or key) and its sums stay in registers, the others pass by one at a time at an
//! address that is the same for all invocations of a workgroup. Right everywhere, and the form for real GPUs.

use super::{DELTA, DY, Job, K, LOWEST, LSE, Matrix, Part, Pass, Q, V};
use crate::launch::{Launch, Unsupported};
use crate::table::MAX_TRIPS;
use crate::wgsl::module::{Grid, Module, Width, opaque_start};
use crate::wgsl::text::indented;
use wgrad_types::AdapterClass;

/// The launches of a pass: gradients of keys and values are apart, so that their rows fit the registers.
pub(super) fn launches(job: &Job<'_>) -> Result<Vec<Launch>, Unsupported> {
    match job.pass {
        Pass::Forward => Ok(vec![launch(job, if job.wants(Part::Y) { Part::Y } else { Part::Lse })?]),
        Pass::Queries => Ok(vec![launch(job, Part::Dq)?]),
        Pass::Keys => {
            [Part::Dk, Part::Dv].into_iter().filter(|p| job.wants(*p)).map(|p| launch(job, p)).collect()
        }
    }
}

/// Text with a row's quads held in registers.
struct Text<'a, 'm> {
    job: &'a Job<'a>,
    module: Module<'m>,
    lines: Vec<String>,
}

fn launch(job: &Job<'_>, part: Part) -> Result<Launch, Unsupported> {
    let e = job.e;
    let label = match part {
        Part::Y => "attention.rows".to_owned(),
        part => format!("attention.rows.{}", format!("{part:?}").to_lowercase()),
    };
    let keys = matches!(part, Part::Dk | Part::Dv);
    let trips = if keys { job.share() * e.queries } else { e.keys };
    if job.caps.class == AdapterClass::Software && trips > MAX_TRIPS {
        return Err(Unsupported(format!("{label}: {trips} loop trips, a software adapter runs {MAX_TRIPS}")));
    }
    let workgroup = match job.caps.class {
        AdapterClass::Software => job.caps.subgroup.unwrap_or(8) as usize,
        _ => 64.min(job.caps.limits.workgroup_size),
    };
    let (rows, heads) = if keys { (e.keys, e.groups) } else { (e.queries, e.heads) };
    let blocks = rows.div_ceil(workgroup);
    let grid = Grid::new(&label, e.batch * heads * blocks, job.caps)?;
    let mut text = Text { job, module: Module::new(job.kernel, job.caps), lines: grid.id() };
    // Blocks from both ends in turn: causal work grows along them.
    text.add(format!("let turn = id % {blocks}u;"));
    text.add(format!("let block = select({}u - turn / 2u, turn / 2u, turn % 2u == 0u);", blocks - 1));
    text.add(format!("let head = id / {blocks}u % {heads}u;"));
    text.add(format!("let batch = id / {}u;", blocks * heads));
    text.add(format!("let first_row = block * {workgroup}u;"));
    text.add("let asked = first_row + li;".into());
    text.add(format!("let row = min(asked, {}u);", rows - 1));
    match part {
        Part::Y | Part::Lse => text.forward(),
        Part::Dq => text.queries(),
        _ => text.keys(part),
    }
    let Text { module, lines, .. } = text;
    module.launch(&label, workgroup, &indented(&lines, 1), &grid)
}

impl Text<'_, '_> {
    fn add(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Names `{name}{c}` the quads of a matrix's row, times `factor`.
    fn load(&mut self, matrix: &Matrix, name: &str, row: &str, factor: Option<&str>) {
        let times = factor.map_or(String::new(), |f| format!(" * {f}"));
        for c in 0..matrix.view.shape[3].div_ceil(4) {
            self.add(format!("let {name}{c} = {}{times};", matrix.quad(row, 4 * c)));
        }
    }

    /// The row of this invocation.
    fn own(&mut self, operand: usize, name: &str, head: &str, factor: Option<&str>) {
        let matrix = self.job.matrix(&mut self.module, operand);
        self.add(format!("let {name}_at = {} + row * {}u;", matrix.base("batch", head), matrix.row()));
        self.load(&matrix, name, &format!("{name}_at"), factor);
    }

    fn zeros(&mut self, name: &str, cols: usize) {
        (0..cols.div_ceil(4)).for_each(|c| self.add(format!("var {name}{c} = vec4<f32>(0.0);")));
    }

    /// The loop over the keys this query sees; names `{name}_row`, each operand's row in it.
    fn each_key(&mut self, matrices: &[(&Matrix, &str)]) {
        let (keys, share) = (self.job.e.keys, self.job.share());
        let group = if share == 1 { "head".to_owned() } else { format!("head / {share}u") };
        let end =
            if self.job.attention.causal { format!("min(row + 1u, {keys}u)") } else { format!("{keys}u") };
        for (matrix, name) in matrices {
            self.add(format!("let {name}_base = {};", matrix.base("batch", &group)));
        }
        self.add(format!("let end = {end};"));
        self.add(format!("for (var j = {}; j < end; j += 1u) {{", opaque_start("0u", self.job.caps)));
        for (matrix, name) in matrices {
            self.add(format!("let {name}_row = {name}_base + j * {}u;", matrix.row()));
        }
    }

    /// Names `to` the product of the row in registers `own` and a passing one. Quad by quad: a whole row at once would not
    /// fit the scalar registers that AMD's compilers load it into.
    fn dot(&mut self, to: &str, own: &str, (matrix, name): (&Matrix, &str)) {
        for c in 0..matrix.view.shape[3].div_ceil(4) {
            let begin = if c == 0 { format!("var {to} =") } else { format!("{to} +=") };
            self.add(format!("{begin} dot({own}{c}, {});", matrix.quad(&format!("{name}_row"), 4 * c)));
        }
    }

    /// `{to}{c} = {to}{c}{keep} + weight * quad c` of a passing row.
    fn accumulate(&mut self, to: &str, keep: &str, weight: &str, (matrix, name): (&Matrix, &str)) {
        for c in 0..matrix.view.shape[3].div_ceil(4) {
            let quad = matrix.quad(&format!("{name}_row"), 4 * c);
            self.add(format!("{to}{c} = {to}{c}{keep} + {weight} * {quad};"));
        }
    }

    /// Lines that store this row of a part: `[batch, row, head, cols]`.
    fn store(&mut self, part: Part, name: &str, factor: &str) {
        let Some(output) = self.job.attention.output(part) else { return };
        let shape = self.job.attention.shape(part);
        let (rows, heads, cols) = (shape[1], shape[2], shape[3]);
        let quads = cols.is_multiple_of(4);
        let y = self.module.output(output, if quads { Width::Four } else { Width::One });
        self.add(format!("if (asked < {rows}u) {{"));
        self.add(format!("let at = ((batch * {rows}u + row) * {heads}u + head) * {cols}u;"));
        for c in 0..cols.div_ceil(4) {
            self.add(format!("let out{c} = {name}{c} * {factor};"));
            if quads {
                self.add(format!("{y}[at / 4u + {c}u] = out{c};"));
            } else {
                (4 * c..cols.min(4 * c + 4))
                    .for_each(|k| self.add(format!("{y}[at + {k}u] = out{c}[{}];", k % 4)));
            }
        }
        self.add("}".into());
    }

    fn forward(&mut self) {
        let e = self.job.e;
        let values = self.job.wants(Part::Y);
        self.own(Q, "q", "head", Some(&self.job.scale()));
        let k = self.job.matrix(&mut self.module, K);
        let v = values.then(|| self.job.matrix(&mut self.module, V));
        if values {
            self.zeros("o", e.width);
        }
        self.add(format!("var most = {LOWEST};"));
        self.add("var sum = 0.0;".into());
        let passing: Vec<(&Matrix, &str)> =
            [(&k, "k")].into_iter().chain(v.as_ref().map(|v| (v, "v"))).collect();
        self.each_key(&passing);
        self.dot("s", "q", (&k, "k"));
        self.add("let next = max(most, s);".into());
        self.add("let keep = exp(most - next);".into());
        self.add("let p = exp(s - next);".into());
        self.add("sum = sum * keep + p;".into());
        if let Some(v) = &v {
            self.accumulate("o", " * keep", "p", (v, "v"));
        }
        self.add("most = next;".into());
        self.add("}".into());
        if values {
            self.add("let share = 1.0 / sum;".into());
            self.store(Part::Y, "o", "share");
        }
        if let Some(output) = self.job.attention.output(Part::Lse) {
            let y = self.module.output(output, Width::One);
            let at = format!("(batch * {}u + head) * {}u + row", e.heads, e.queries);
            self.add(format!("if (asked < {}u) {{ {y}[{at}] = most + log(sum); }}", e.queries));
        }
    }

    fn queries(&mut self) {
        let scale = self.job.scale();
        self.own(Q, "q", "head", Some(&scale));
        self.own(DY, "dy", "head", None);
        let (k, v) = (self.job.matrix(&mut self.module, K), self.job.matrix(&mut self.module, V));
        let lse = self.job.scalar(&mut self.module, LSE)("batch", "head", "row");
        let delta = self.job.scalar(&mut self.module, DELTA)("batch", "head", "row");
        self.add(format!("let lse = {lse};"));
        self.add(format!("let delta = {delta};"));
        self.zeros("dq", self.job.e.depth);
        self.each_key(&[(&k, "k"), (&v, "v")]);
        self.dot("dp", "dy", (&v, "v"));
        self.dot("s", "q", (&k, "k"));
        self.add("let ds = exp(s - lse) * (dp - delta);".into());
        self.accumulate("dq", "", "ds", (&k, "k"));
        self.add("}".into());
        self.store(Part::Dq, "dq", &scale);
    }

    fn keys(&mut self, part: Part) {
        let (e, share) = (self.job.e, self.job.share());
        let scale = self.job.scale();
        let slopes = part == Part::Dk;
        self.own(K, "k", "head", Some(&scale));
        if slopes {
            self.own(V, "v", "head", None);
        }
        self.zeros("sum", if slopes { e.depth } else { e.width });
        let (q, dy) = (self.job.matrix(&mut self.module, Q), self.job.matrix(&mut self.module, DY));
        let lse = self.job.scalar(&mut self.module, LSE)("batch", "own_head", "i");
        if share == 1 {
            self.add("let own_head = head;".into());
        } else {
            let first = opaque_start(&format!("head * {share}u"), self.job.caps);
            let last = format!("own_head < head * {share}u + {share}u");
            self.add(format!("for (var own_head = {first}; {last}; own_head += 1u) {{"));
        }
        for (matrix, name) in [(&q, "q"), (&dy, "dy")] {
            self.add(format!("let {name}_base = {};", matrix.base("batch", "own_head")));
        }
        // From the first row of all, so that every invocation reads the same query; those before its own weigh nothing.
        let causal = self.job.attention.causal;
        let first = opaque_start(if causal { "first_row" } else { "0u" }, self.job.caps);
        self.add(format!("for (var i = {first}; i < {}u; i += 1u) {{", e.queries));
        for (matrix, name) in [(&q, "q"), (&dy, "dy")] {
            self.add(format!("let {name}_row = {name}_base + i * {}u;", matrix.row()));
        }
        if slopes {
            self.dot("dp", "v", (&dy, "dy"));
        }
        self.dot("s", "k", (&q, "q"));
        self.add(match causal {
            true => format!("let p = select(0.0, exp(s - {lse}), i >= row);"),
            false => format!("let p = exp(s - {lse});"),
        });
        if slopes {
            let delta = self.job.scalar(&mut self.module, DELTA)("batch", "own_head", "i");
            self.add(format!("let ds = p * (dp - {delta});"));
            self.accumulate("sum", "", "ds", (&q, "q"));
        } else {
            self.accumulate("sum", "", "p", (&dy, "dy"));
        }
        self.add("}".into());
        if share > 1 {
            self.add("}".into());
        }
        self.store(part, "sum", if slopes { &scale } else { "1.0" });
    }
}
