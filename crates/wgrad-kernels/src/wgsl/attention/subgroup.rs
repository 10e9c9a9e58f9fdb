//! A subgroup for a few rows, `shaders/attention_subgroup.wgsl`, `attention_subgroup_grad.wgsl` and
//! `attention_slopes_grad.wgsl`: the variant for software adapters. Slopes of scores, once made, are kept for the gradients
//! of queries and keys if they are not many.

use super::{Attention, DELTA, DY, Extents, Job, K, LSE, Part, Pass, Q, Text, V};
use crate::launch::{Access, Launch, Unsupported};
use crate::table::MAX_TRIPS;
use crate::wgsl::module::{Grid, Width, opaque_loops};
use wgrad_shaders::Hook;
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
    let mut text = Text::new(job);
    text.figures.extend([
        ("SIZE", size.into()),
        ("TALL", tall.into()),
        ("ACROSS", ACROSS.into()),
        ("OF_KEYS", keys.into()),
        ("ROWS", count.into()),
        ("ROW_HEADS", heads.into()),
        ("MASKED", (job.attention.causal || !columns.is_multiple_of(ACROSS * size)).into()),
        opaque_loops(job.caps),
    ]);
    let shader = match work {
        Work::Forward => {
            text.forward();
            "attention_subgroup"
        }
        Work::Queries | Work::Keys => {
            gradients(&mut text, keys, size);
            "attention_subgroup_grad"
        }
        Work::QueriesOfSlopes | Work::KeysOfSlopes => {
            of_slopes(&mut text, keys, size);
            "attention_slopes_grad"
        }
    };
    text.launch(&label, shader, &grid)
}

fn gradients(text: &mut Text<'_, '_>, keys: bool, size: usize) {
    let job = text.job;
    let keeps = keys && job.keeps;
    let [dk, dv] = [Part::Dk, Part::Dv].map(|part| keys && job.wants(part));
    let slopes = !keys || dk;
    for operand in [Q, K, V, DY, LSE, DELTA] {
        text.operand(slopes || !matches!(operand, V | DELTA), operand);
    }
    text.store(!keys, Part::Dq, "store_dq");
    text.store(dk && !keeps, Part::Dk, "store_dk");
    text.store(dv, Part::Dv, "store_dv");
    let mut code = String::new();
    if keeps {
        let slopes = text.module.scratch_at(0, "slopes", Access::ReadWrite, Width::Four);
        code = format!("fn store_slopes(at: u32, value: vec4<f32>) {{\n    {slopes}[at / 4u] = value;\n}}\n");
    }
    text.hooks.push(Hook { name: "store_slopes", code });
    text.figures.extend([
        ("WANT_DK", (dk && !keeps).into()),
        ("WANT_DV", dv.into()),
        ("KEEP_SLOPES", keeps.into()),
        ("SLOPES", slopes.into()),
        ("KEPT_KEYS", kept_keys(&job.e, size).into()),
    ]);
}

fn of_slopes(text: &mut Text<'_, '_>, keys: bool, size: usize) {
    let e = text.job.e;
    text.operand(keys, Q);
    text.operand(!keys, K);
    text.operand(false, V);
    let slopes =
        text.module.scratch_at(0, "slopes", Access::Read, if keys { Width::Four } else { Width::One });
    let (one, four) = match keys {
        false => (format!("fn slope_at(at: u32) -> f32 {{\n    return {slopes}[at];\n}}\n"), String::new()),
        true => {
            let four = format!("fn slopes_at(at: u32) -> vec4<f32> {{\n    return {slopes}[at / 4u];\n}}\n");
            (String::new(), four)
        }
    };
    text.hooks.extend([Hook { name: "slope_at", code: one }, Hook { name: "slopes_at", code: four }]);
    text.store(true, if keys { Part::Dk } else { Part::Dq }, "store_row");
    let columns = if keys { e.queries } else { e.keys };
    let whole = rows(&e, size).is_multiple_of(size) && columns.is_multiple_of(size);
    text.figures.extend([("KEPT_KEYS", kept_keys(&e, size).into()), ("RAGGED", (!whole).into())]);
}
