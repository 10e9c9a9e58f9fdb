//! Results of an examination as data: shown by the command line, attached to bug reports.

use crate::machine::Machine;
use serde::Serialize;

/// Results of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The case.
    pub name: &'static str,
    /// Its family.
    pub family: &'static str,
    /// Largest error of any variant, in units in the last place of the reference element. Large if terms
    /// cancel.
    pub ulps: f64,
    /// Largest error of any variant, relative to the reference's largest element.
    pub relative: f64,
    /// The relative error allowed.
    pub tolerance: f64,
    /// Seconds spent on the case, compilation and reference included.
    pub seconds: f64,
    /// The variants that were run.
    pub variants: Vec<VariantRun>,
    /// Failures; empty if all checks passed.
    pub failures: Vec<Failure>,
    /// Kernels or gradients changed by a break.
    #[serde(skip)]
    pub damaged: usize,
}

/// One variant of a case's kernels, as run.
#[derive(Clone, Debug, Serialize)]
pub struct VariantRun {
    /// Its target.
    pub target: String,
    /// The kernels, with their variants.
    pub kernels: Vec<String>,
    /// As in [`CaseReport`].
    pub ulps: f64,
    /// As in [`CaseReport`].
    pub relative: f64,
    /// Seconds until the first results: a software adapter compiles kernels at their first run.
    pub compiling: f64,
    /// Seconds of its last run, inputs and results included.
    pub seconds: f64,
}

/// A failed check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Failed check: "gradient", "reference", "barrier", "value", "repeat", "order", "memory" or "refused".
    pub check: &'static str,
    /// Its target; empty for gradients, which need none.
    pub target: String,
    /// The kernels in question.
    pub kernels: Vec<String>,
    /// Found and expected values.
    pub why: String,
}

impl CaseReport {
    /// True if nothing failed.
    pub fn is_sound(&self) -> bool {
        self.failures.is_empty()
    }

    /// The failures in words, a line each.
    pub fn complaints(&self) -> Vec<String> {
        let one = |f: &Failure| {
            let kernels =
                if f.kernels.is_empty() { String::new() } else { format!(" by {}", f.kernels.join(", ")) };
            let target = if f.target.is_empty() { String::new() } else { format!(" on {}", f.target) };
            format!("{}: {}{target}{kernels}: {}", self.name, f.check, f.why)
        };
        self.failures.iter().map(one).collect()
    }
}

/// Results on a device.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The program's version.
    pub version: &'static str,
    /// The device.
    pub machine: Machine,
    /// The targets examined.
    pub targets: Vec<String>,
    /// The breakage in force, if any.
    pub broken: Option<&'static str>,
    /// True if every check passed.
    pub sound: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// The cases, in order.
    pub cases: Vec<CaseReport>,
}
