//! An invocation per row, `shaders/attention.wgsl` and `attention_grad.wgsl`: right everywhere, and the variant for real
//! GPUs.

use super::{DELTA, DY, Job, K, LSE, Part, Pass, Q, V};
use crate::launch::{Launch, Unsupported};
use crate::table::MAX_TRIPS;
use crate::wgsl::module::{Grid, Module, opaque_loops};
use wgrad_shaders::{Figure, Hook, expand};
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
    let mut module = Module::new(job.kernel, job.caps);
    let mut figures = job.figures();
    figures.extend(grid.figures());
    figures.extend([("WORKGROUP", workgroup.into()), ("OPAQUE_LOOPS", opaque_loops(job.caps).into())]);
    let text = match part {
        Part::Y | Part::Lse => forward(job, &mut module, figures),
        part => gradient(job, &mut module, part, rows, figures),
    };
    module.launch_text(&label, &text, &grid)
}

fn forward(job: &Job<'_>, module: &mut Module<'_>, mut figures: Vec<(&'static str, Figure)>) -> String {
    let values = job.wants(Part::Y);
    let mut hooks = vec![job.quad(module, Q, "q_quad"), job.quad(module, K, "k_quad")];
    hooks.push(if values { job.quad(module, V, "v_quad") } else { Hook::none("v_quad") });
    figures.extend(job.strides(Q, ["Q_BATCH", "Q_HEAD", "Q_ROW", "Q_OFFSET"]));
    figures.extend(job.strides(K, ["K_BATCH", "K_HEAD", "K_ROW", "K_OFFSET"]));
    if values {
        figures.extend(job.strides(V, ["V_BATCH", "V_HEAD", "V_ROW", "V_OFFSET"]));
    }
    figures.extend([("WANT_Y", values.into()), ("WANT_LSE", job.wants(Part::Lse).into())]);
    hooks.push(job.store(module, Part::Y, "store_y"));
    hooks.push(job.store_lse(module));
    module.note_flags(&figures);
    expand("attention", &figures, &hooks)
}

fn gradient(
    job: &Job<'_>,
    module: &mut Module<'_>,
    part: Part,
    rows: usize,
    mut figures: Vec<(&'static str, Figure)>,
) -> String {
    let slopes = part != Part::Dv;
    let none = Hook::none;
    let hooks = [
        job.quad(module, Q, "q_quad"),
        job.quad(module, K, "k_quad"),
        if slopes { job.quad(module, V, "v_quad") } else { none("v_quad") },
        job.quad(module, DY, "dy_quad"),
        job.scalar(module, LSE, "lse_at"),
        if slopes { job.scalar(module, DELTA, "delta_at") } else { none("delta_at") },
        job.store(module, part, "store_row"),
    ];
    for (operand, names) in [
        (Q, ["Q_BATCH", "Q_HEAD", "Q_ROW", "Q_OFFSET"]),
        (K, ["K_BATCH", "K_HEAD", "K_ROW", "K_OFFSET"]),
        (V, ["V_BATCH", "V_HEAD", "V_ROW", "V_OFFSET"]),
        (DY, ["DY_BATCH", "DY_HEAD", "DY_ROW", "DY_OFFSET"]),
        (LSE, ["LSE_BATCH", "LSE_HEAD", "LSE_ROW", "LSE_OFFSET"]),
        (DELTA, ["DELTA_BATCH", "DELTA_HEAD", "DELTA_ROW", "DELTA_OFFSET"]),
    ] {
        figures.extend(job.strides(operand, names));
    }
    figures.extend([
        ("OF_QUERIES", (part == Part::Dq).into()),
        ("OF_KEYS", (part == Part::Dk).into()),
        ("OF_VALUES", (part == Part::Dv).into()),
        ("SLOPES", slopes.into()),
        ("ROWS", rows.into()),
    ]);
    module.note_flags(&figures);
    expand("attention_grad", &figures, &hooks)
}
