//! An invocation per row, `shaders/attention.wgsl` and `attention_grad.wgsl`: right everywhere, and the variant for real
//! GPUs.

use super::{DELTA, DY, Job, K, LSE, Part, Pass, Q, Text, V};
use crate::launch::{Launch, Unsupported};
use crate::table::MAX_TRIPS;
use crate::wgsl::module::{Grid, opaque_loops};
use wgrad_types::AdapterClass;

/// Launches of a pass: gradients of keys and values are separate, so their rows fit the registers.
pub(super) fn launches(job: &Job<'_>) -> Result<Vec<Launch>, Unsupported> {
    match job.pass {
        Pass::Forward => Ok(vec![launch(job, if job.wants(Part::Y) { Part::Y } else { Part::Lse })?]),
        Pass::Queries => Ok(vec![launch(job, Part::Dq)?]),
        Pass::Keys => {
            [Part::Dk, Part::Dv].into_iter().filter(|p| job.wants(*p)).map(|p| launch(job, p)).collect()
        }
    }
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
    let grid = Grid::new(&label, e.batch * heads * rows.div_ceil(workgroup), job.caps)?;
    let mut text = Text::new(job);
    text.figures.extend([("WORKGROUP", workgroup.into()), opaque_loops(job.caps)]);
    if matches!(part, Part::Y | Part::Lse) {
        text.forward();
        return text.launch(&label, "attention", &grid);
    }
    let slopes = part != Part::Dv;
    for operand in [Q, K, V, DY, LSE, DELTA] {
        text.operand(slopes || !matches!(operand, V | DELTA), operand);
    }
    text.store(true, part, "store_row");
    text.figures.extend([
        ("OF_QUERIES", (part == Part::Dq).into()),
        ("OF_KEYS", (part == Part::Dk).into()),
        ("OF_VALUES", (part == Part::Dv).into()),
        ("ROWS", rows.into()),
    ]);
    text.launch(&label, "attention_grad", &grid)
}
