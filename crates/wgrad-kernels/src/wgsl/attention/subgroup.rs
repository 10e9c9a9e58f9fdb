//! A subgroup for a few rows, `shaders/attention_subgroup.wgsl`, `attention_subgroup_grad.wgsl` and
//! `attention_slopes_grad.wgsl`: the variant for software adapters. Slopes of scores, once made, are kept for the gradients
//! of queries and keys if they are not many.

use super::{Attention, DELTA, DY, Extents, Job, K, LSE, Part, Pass, Q, V};
use crate::launch::{Access, Launch, Unsupported};
use crate::table::MAX_TRIPS;
use crate::wgsl::module::{Grid, Module, Width, opaque_loops};
use wgrad_shaders::{Figure, Hook, expand};
use wgrad_types::DType;

/// Rows of a subgroup: the more, the less is loaded per row; wide sums make long texts.
fn rows(e: &Extents, size: usize) -> usize {
    if e.depth.max(e.width) > 8 * size { 8 } else { 16 }
}

/// Columns of a lane in a block: the more, the less is loaded per column; but texts grow, and causal blocks have more
/// columns hidden from every row.
const ACROSS: usize = 2;

/// The variant's name.
pub(super) fn name(attention: &Attention, size: usize, keeps: bool) -> String {
    let kept = if keeps { ".kept" } else { "" };
    format!("subgroup{}x{}{kept}", rows(&attention.extents(), size), ACROSS * size)
}

/// Bytes of slopes kept for the gradients of queries and keys: f32 `[batch, head, query, key]`, [`kept_keys`] per query.
pub(super) fn slope_bytes(e: &Extents, size: usize) -> usize {
    let extents = [e.batch, e.heads, e.queries, kept_keys(e, size)];
    extents.into_iter().fold(DType::F32.bytes(), usize::saturating_mul)
}

/// Keys in whole blocks of rows and of lanes.
fn kept_keys(e: &Extents, size: usize) -> usize {
    e.keys.next_multiple_of(rows(e, size)).next_multiple_of(size)
}

/// Work of a launch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Forward,
    /// The gradient of queries.
    Queries,
    /// The gradients of keys and values; if slopes are kept, slopes and the gradient of values.
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
    works.iter().map(|&(work, label)| launch(job, size, work, label)).collect()
}

fn launch(job: &Job<'_>, size: usize, work: Work, label: &str) -> Result<Launch, Unsupported> {
    let (e, keys) = (job.e, job.pass == Pass::Keys);
    let label = format!("attention.{}.{label}", name(job.attention, size, job.keeps));
    let (count, heads) = if keys { (e.keys, e.groups) } else { (e.queries, e.heads) };
    let tall = rows(&e, size);
    let others = if keys { job.share() * e.queries.next_multiple_of(ACROSS * size) } else { e.keys };
    let quads = (e.depth + e.width) / 4;
    let a_block = quads + 2 + ACROSS * (size + 3);
    let trips = others.div_ceil(ACROSS * size) * a_block + 2 * tall + job.share();
    if trips > MAX_TRIPS {
        return Err(Unsupported(format!("{label}: {trips} loop trips, a software adapter runs {MAX_TRIPS}")));
    }
    let grid = Grid::new(&label, e.batch * heads * count.div_ceil(tall), job.caps)?;
    let columns = if keys { e.queries } else { e.keys };
    let mut figures = job.figures();
    figures.extend(grid.figures());
    figures.extend([
        ("SIZE", size.into()),
        ("TALL", tall.into()),
        ("ACROSS", ACROSS.into()),
        ("ROWS", count.into()),
        ("ROW_HEADS", heads.into()),
        ("MASKED", (job.attention.causal || !columns.is_multiple_of(ACROSS * size)).into()),
        ("OPAQUE_LOOPS", opaque_loops(job.caps).into()),
    ]);
    let mut module = Module::new(job.kernel, job.caps);
    let mut text = Text { job, module: &mut module, figures, hooks: Vec::new(), size };
    let text = match work {
        Work::Forward => text.forward(),
        Work::Queries | Work::Keys => text.gradients(work),
        Work::QueriesOfSlopes | Work::KeysOfSlopes => text.of_slopes(work),
    };
    module.launch_text(&label, &text, &grid)
}

/// A shader's figures and hooks.
struct Text<'a, 'm, 's> {
    job: &'a Job<'a>,
    module: &'m mut Module<'s>,
    figures: Vec<(&'static str, Figure)>,
    hooks: Vec<Hook>,
    size: usize,
}

impl Text<'_, '_, '_> {
    /// Load hook of an operand, if the launch reads it, and its strides.
    fn operand(&mut self, wanted: bool, operand: usize) {
        let (hook, strides) = [
            ("q_quad", ["Q_BATCH", "Q_HEAD", "Q_ROW", "Q_OFFSET"]),
            ("k_quad", ["K_BATCH", "K_HEAD", "K_ROW", "K_OFFSET"]),
            ("v_quad", ["V_BATCH", "V_HEAD", "V_ROW", "V_OFFSET"]),
            ("dy_quad", ["DY_BATCH", "DY_HEAD", "DY_ROW", "DY_OFFSET"]),
        ][operand];
        let hook = if wanted { self.job.quad(self.module, operand, hook) } else { Hook::none(hook) };
        self.hooks.push(hook);
        if wanted {
            self.figures.extend(self.job.strides(operand, strides));
        }
    }

    fn scalar(&mut self, wanted: bool, operand: usize, hook: &'static str, strides: [&'static str; 4]) {
        let hook = if wanted { self.job.scalar(self.module, operand, hook) } else { Hook::none(hook) };
        self.hooks.push(hook);
        self.figures.extend(self.job.strides(operand, strides));
    }

    fn store(&mut self, wanted: bool, part: Part, hook: &'static str) {
        let hook = if wanted { self.job.store(self.module, part, hook) } else { Hook::none(hook) };
        self.hooks.push(hook);
    }

    fn forward(&mut self) -> String {
        let values = self.job.wants(Part::Y);
        self.operand(true, Q);
        self.operand(true, K);
        self.operand(values, V);
        self.store(values, Part::Y, "store_y");
        self.hooks.push(self.job.store_lse(self.module));
        let lse = self.job.wants(Part::Lse);
        self.figures.extend([("WANT_Y", values.into()), ("WANT_LSE", lse.into())]);
        self.module.note_flags(&self.figures);
        expand("attention_subgroup", &self.figures, &self.hooks)
    }

    fn gradients(&mut self, work: Work) -> String {
        let (queries, keeps) = (work == Work::Queries, self.job.keeps && work == Work::Keys);
        let (dk, dv) = (self.job.wants(Part::Dk) && !queries, self.job.wants(Part::Dv) && !queries);
        let slopes = queries || dk;
        self.operand(true, Q);
        self.operand(true, K);
        self.operand(slopes, V);
        self.operand(true, DY);
        self.scalar(true, LSE, "lse_at", ["LSE_BATCH", "LSE_HEAD", "LSE_ROW", "LSE_OFFSET"]);
        self.scalar(slopes, DELTA, "delta_at", ["DELTA_BATCH", "DELTA_HEAD", "DELTA_ROW", "DELTA_OFFSET"]);
        self.store(queries, Part::Dq, "store_dq");
        self.store(dk && !keeps, Part::Dk, "store_dk");
        self.store(dv, Part::Dv, "store_dv");
        let kept = if keeps { self.store_slopes() } else { Hook::none("store_slopes") };
        self.hooks.push(kept);
        self.figures.extend([
            ("OF_QUERIES", queries.into()),
            ("OF_KEYS", (!queries).into()),
            ("WANT_DK", (dk && !keeps).into()),
            ("WANT_DV", dv.into()),
            ("KEEP_SLOPES", keeps.into()),
            ("SLOPES", slopes.into()),
            ("KEPT_KEYS", kept_keys(&self.job.e, self.size).into()),
        ]);
        self.module.note_flags(&self.figures);
        expand("attention_subgroup_grad", &self.figures, &self.hooks)
    }

    fn store_slopes(&mut self) -> Hook {
        let slopes = self.module.scratch_at(0, "slopes", Access::ReadWrite, Width::Four);
        let body = format!("    {slopes}[at / 4u] = value;\n");
        Hook {
            name: "store_slopes",
            code: format!("fn store_slopes(at: u32, value: vec4<f32>) {{\n{body}}}\n"),
        }
    }

    fn of_slopes(&mut self, work: Work) -> String {
        let (e, tall) = (self.job.e, rows(&self.job.e, self.size));
        let queries = work == Work::QueriesOfSlopes;
        self.operand(!queries, Q);
        self.operand(queries, K);
        let width = if queries { Width::One } else { Width::Four };
        let slopes = self.module.scratch_at(0, "slopes", Access::Read, width);
        let one = format!("fn slope_at(at: u32) -> f32 {{\n    return {slopes}[at];\n}}\n");
        let four = format!("fn slopes_at(at: u32) -> vec4<f32> {{\n    return {slopes}[at / 4u];\n}}\n");
        let (one, four) = if queries { (one, String::new()) } else { (String::new(), four) };
        self.hooks.extend([Hook { name: "slope_at", code: one }, Hook { name: "slopes_at", code: four }]);
        self.store(true, if queries { Part::Dq } else { Part::Dk }, "store_row");
        let columns = if queries { e.keys } else { e.queries };
        let whole = tall.is_multiple_of(self.size) && columns.is_multiple_of(self.size);
        self.figures.extend([
            ("OF_QUERIES", queries.into()),
            ("OF_KEYS", (!queries).into()),
            ("KEPT_KEYS", kept_keys(&e, self.size).into()),
            ("RAGGED", (!whole).into()),
        ]);
        self.module.note_flags(&self.figures);
        expand("attention_slopes_grad", &self.figures, &self.hooks)
    }
}
