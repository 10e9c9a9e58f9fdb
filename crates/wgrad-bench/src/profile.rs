//! A step's time by kernel and by layer, compared with the device's ceilings, and as a trace for Perfetto.

use crate::{Ceilings, SyntheticStep};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wgrad_device::Clock;
use wgrad_session::SessionError;

/// Time of a kernel, or of several together.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Kernel and variant ("conv2d.tile64x64x16"), or layer.
    pub name: String,
    /// The layer; empty for several together.
    pub layer: String,
    /// Kernels of the plan.
    pub count: usize,
    /// Seconds.
    pub seconds: f64,
    /// Floating-point operations by count.
    pub flops: f64,
    /// Bytes read and written if every operand is touched once.
    pub bytes: f64,
}

impl Row {
    /// Ideal time at the device's ceilings, as a share of the measured time: 1 is optimal.
    pub fn roofline(&self, ceilings: &Ceilings) -> f64 {
        let least = (self.flops / ceilings.flops).max(self.bytes / ceilings.bytes);
        if self.seconds > 0.0 { least / self.seconds } else { 0.0 }
    }
}

/// A step's kernels in order, each with the least time of several runs.
#[derive(Clone, Debug, PartialEq)]
pub struct StepProfile {
    /// The clock the kernels were timed with.
    pub clock: Clock,
    /// One row per kernel.
    pub rows: Vec<Row>,
    /// Seconds of a whole step without clocks in between, the least of several.
    pub step_seconds: f64,
}

/// Profiles `runs` steps (at least one) after a few without clocks.
///
/// # Errors
/// If the device fails.
pub fn profile(synthetic: &mut SyntheticStep, runs: usize) -> Result<StepProfile, SessionError> {
    synthetic.step()?;
    let step_seconds = synthetic.times(0.0)?[0];
    let mut best = synthetic.profile()?;
    for _ in 1..runs {
        let next = synthetic.profile()?;
        best.seconds.iter_mut().zip(next.seconds).for_each(|(b, s)| *b = b.min(s));
    }
    let plan = synthetic.runner().plan();
    let row = |(kernel, seconds): (&wgrad_plan::PlannedKernel, f64)| {
        let variant = &kernel.variant.name;
        let name = kernel.kernel.name();
        Row {
            name: if variant.is_empty() { name.to_owned() } else { format!("{name}.{variant}") },
            layer: kernel.scope.clone(),
            count: 1,
            seconds,
            flops: kernel.cost.flops as f64,
            bytes: kernel.cost.bytes as f64,
        }
    };
    let rows = plan.kernels.iter().zip(best.seconds).map(row).collect();
    Ok(StepProfile { clock: best.clock, rows, step_seconds })
}

impl StepProfile {
    /// Rows of the same kernel and form together, slowest first.
    pub fn by_kernel(&self) -> Vec<Row> {
        together(&self.rows, |r| &r.name)
    }

    /// Rows of the same layer together, slowest first.
    pub fn by_layer(&self) -> Vec<Row> {
        together(&self.rows, |r| if r.layer.is_empty() { "(none)" } else { &r.layer })
    }

    /// Seconds of all kernels.
    pub fn kernel_seconds(&self) -> f64 {
        self.rows.iter().map(|r| r.seconds).sum()
    }

    /// The step in the trace event format (Chrome, Perfetto), kernels one after the other.
    pub fn trace(&self, process: &str) -> Value {
        let mut at = 0.0;
        let mut events = vec![json!({
            "ph": "M", "name": "process_name", "pid": 1, "args": { "name": process },
        })];
        for row in &self.rows {
            let microseconds = row.seconds * 1e6;
            events.push(json!({
                "ph": "X", "pid": 1, "tid": 1, "ts": at, "dur": microseconds,
                "name": row.name, "cat": row.layer,
                "args": { "layer": row.layer, "flops": row.flops, "bytes": row.bytes },
            }));
            at += microseconds;
        }
        json!({ "displayTimeUnit": "ms", "traceEvents": events })
    }
}

fn together<'a>(rows: &'a [Row], key: impl Fn(&'a Row) -> &'a str) -> Vec<Row> {
    let mut found: BTreeMap<&str, Row> = BTreeMap::new();
    for row in rows {
        let empty = Row {
            name: key(row).into(),
            layer: String::new(),
            count: 0,
            seconds: 0.0,
            flops: 0.0,
            bytes: 0.0,
        };
        let sum = found.entry(key(row)).or_insert(empty);
        sum.count += row.count;
        sum.seconds += row.seconds;
        sum.flops += row.flops;
        sum.bytes += row.bytes;
    }
    let mut rows: Vec<Row> = found.into_values().collect();
    rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, layer: &str, seconds: f64) -> Row {
        Row { name: name.into(), layer: layer.into(), count: 1, seconds, flops: 8.0, bytes: 4.0 }
    }

    #[test]
    fn profile_rows_add_up_slowest_first() {
        let rows = vec![row("a", "x", 1.0), row("b", "x", 5.0), row("a", "", 2.0)];
        let profile = StepProfile { clock: Clock::Host, rows, step_seconds: 9.0 };
        let kernels: Vec<(String, usize, f64)> =
            profile.by_kernel().into_iter().map(|r| (r.name, r.count, r.seconds)).collect();
        assert_eq!(kernels, [("b".into(), 1, 5.0), ("a".into(), 2, 3.0)]);
        let layers: Vec<String> = profile.by_layer().into_iter().map(|r| r.name).collect();
        assert_eq!(layers, ["x", "(none)"]);
        assert_eq!(profile.kernel_seconds(), 8.0);
        let trace = profile.trace("cpu");
        assert_eq!(trace["traceEvents"][3]["ts"], 6e6);
    }

    #[test]
    fn profile_roofline_at_ceiling_is_one() {
        let ceilings = Ceilings { flops: 8.0, bytes: 1.0 };
        assert_eq!(row("a", "", 4.0).roofline(&ceilings), 1.0);
        assert_eq!(row("a", "", 8.0).roofline(&ceilings), 0.5);
    }
}
