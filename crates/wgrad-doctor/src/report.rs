//! What an examination found, as data: shown by the command line, attached to bug reports.

use crate::machine::Machine;
use serde::Serialize;

/// What was found in one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// The case.
    pub name: &'static str,
    /// Its family.
    pub family: &'static str,
    /// Largest error of any form, in units in the last place of the reference element. Large where terms cancel.
    pub ulps: f64,
    /// Largest error of any form, as a share of the reference's largest element.
    pub relative: f64,
    /// The relative error allowed.
    pub tolerance: f64,
    /// Seconds spent on the case, compilation and reference included.
    pub seconds: f64,
    /// The forms its kernels were run in.
    pub variants: Vec<VariantRun>,
    /// What went wrong; empty where all is well.
    pub failures: Vec<Failure>,
    /// Kernels, steps or gradients that a breakage has changed.
    #[serde(skip)]
    pub damaged: usize,
}

/// One form of a row's kernels.
#[derive(Clone, Debug, Serialize)]
pub struct VariantRun {
    /// Which target it ran on.
    pub target: String,
    /// The kernels, with their forms.
    pub kernels: Vec<String>,
    /// As in [`CaseReport`].
    pub ulps: f64,
    /// As in [`CaseReport`].
    pub relative: f64,
    /// Seconds until its first results: a software adapter compiles when a kernel first runs.
    pub compiling: f64,
    /// Seconds of its last run, inputs and results included.
    pub seconds: f64,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Failed check: "gradient", "reference", "barrier", "value", "repeat", "order", "memory" or "refused".
    pub check: &'static str,
    /// On which target; empty for gradients, which need none.
    pub target: String,
    /// The kernels in question.
    pub kernels: Vec<String>,
    /// What was found, and what was wanted.
    pub why: String,
}

impl CaseReport {
    /// Whether nothing went wrong.
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

/// What was found on a device.
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
    /// Whether every check passed.
    pub sound: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// The cases, in order.
    pub cases: Vec<CaseReport>,
}
