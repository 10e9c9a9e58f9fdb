//! The examination of one case, and of all cases.

use crate::barriers::check_barriers;
use crate::breaks::{Break, Damage};
use crate::case::{Built, Case, build};
use crate::machine::{Machine, Target};
use crate::order::Order;
use crate::reference::{finite, judged, references};
use crate::report::{CaseReport, Failure, Report, VariantRun};
use crate::run::{Selection, TRIED_VARIANTS, planned_as, run, texts};
use crate::variants::Known;
use crate::{cases, coverage, gradient, variants};
use std::cell::LazyCell;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use wgrad_plan::{Plan, verify};
use wgrad_types::{AdapterClass, Array, HostTensor};

/// Scope and thoroughness of an examination.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of draws of arguments.
    pub draws: u64,
    /// Runs per variant; from the second run on its memory holds leftovers of the run before.
    pub runs: usize,
    /// Orders of workgroups expected to give the same bits as the usual one.
    pub orders: &'static [Order],
    /// Leave out kernels that differ from others in their sizes only.
    pub sparse: bool,
    /// Only cases with this text in their name or family.
    pub only: Option<String>,
    /// Damage to apply first; unaffected kernels are left out.
    pub broken: Option<&'static Break>,
}

impl Options {
    /// Every kernel once, run twice.
    pub fn quick() -> Self {
        Self { sparse: true, ..Self::each() }
    }

    /// Every variant of every case, run twice.
    pub fn each() -> Self {
        Self { draws: 1, runs: 2, orders: &[], sparse: false, only: None, broken: None }
    }

    /// More arguments, more runs, all orders of workgroups.
    pub fn full() -> Self {
        Self { draws: 3, runs: 8, orders: &Order::ALL, ..Self::each() }
    }
}

/// Examines all cases, several at a time; `seen` gets each report as soon as those before it are there.
pub fn examine_all(
    targets: &[Target],
    options: &Options,
    seen: &mut (dyn FnMut(&CaseReport) + Send),
) -> Report {
    let start = Instant::now();
    let wanted = |family: &str, case: &Case| match &options.only {
        Some(part) => family.contains(part.as_str()) || case.name.contains(part.as_str()),
        None => true,
    };
    let chosen: Vec<(&'static str, &'static Case)> = cases::FAMILIES
        .iter()
        .flat_map(|(family, cases)| cases.iter().map(|case| (*family, case)))
        .filter(|(family, case)| wanted(family, case))
        .collect();
    let sparse = options.sparse.then(|| {
        let cases: Vec<&Case> = chosen.iter().map(|c| c.1).collect();
        coverage::choose(&cases, targets)
    });
    let known = Known::default();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(InOrder { reports: chosen.iter().map(|_| None).collect(), told: 0, seen });
    let work = |targets: &[Target]| {
        while let Some((i, (family, case))) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, *chosen.get(i)?)))
        {
            let quick = sparse.as_ref().map(|s| Quick { selections: &s[i], known: &known });
            let report = examine_some(family, case, targets, options, quick);
            done.lock().unwrap_or_else(PoisonError::into_inner).put(i, report);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(chosen.len()) {
            scope.spawn(|| work(&thread_targets(targets)));
        }
        work(targets);
    });
    let cases: Vec<CaseReport> =
        done.into_inner().unwrap_or_else(PoisonError::into_inner).reports.into_iter().flatten().collect();
    Report {
        version: env!("CARGO_PKG_VERSION"),
        machine: Machine::of(&targets[0].device),
        targets: targets.iter().map(|t| t.label.clone()).collect(),
        broken: options.broken.map(|b| b.name),
        sound: cases.iter().all(CaseReport::is_sound),
        seconds: start.elapsed().as_secs_f64(),
        cases,
    }
}

/// The targets for another thread. A software adapter compiles kernels at their first run, in the single
/// thread of its queue: there each thread gets a device of its own. If no more can be opened, the first one
/// serves all.
fn thread_targets(targets: &[Target]) -> Vec<Target> {
    let other = |target: &Target| match target.device.caps().class {
        AdapterClass::Software => target.device.reopened().unwrap_or_else(|_| target.device.clone()),
        _ => target.device.clone(),
    };
    targets.iter().map(|target| Target { device: other(target), ..target.clone() }).collect()
}

/// Reports as they come, told in order.
struct InOrder<'a> {
    reports: Vec<Option<CaseReport>>,
    told: usize,
    seen: &'a mut (dyn FnMut(&CaseReport) + Send),
}

impl InOrder<'_> {
    fn put(&mut self, at: usize, report: CaseReport) {
        self.reports[at] = Some(report);
        while let Some(Some(report)) = self.reports.get(self.told) {
            (self.seen)(report);
            self.told += 1;
        }
    }
}

/// Examines one case on all targets.
///
/// # Panics
/// If the case's shapes do not fit.
pub fn examine(family: &'static str, case: &Case, targets: &[Target], options: &Options) -> CaseReport {
    examine_some(family, case, targets, options, None)
}

/// A quick examination of a case: variants to run per target, and the checked texts of all others.
#[derive(Clone, Copy)]
struct Quick<'a> {
    selections: &'a [Vec<Selection>],
    known: &'a Known,
}

/// Like [`examine`]; a quick one runs the selected variants per target and checks the others by reading.
fn examine_some(
    family: &'static str,
    case: &Case,
    targets: &[Target],
    options: &Options,
    quick: Option<Quick<'_>>,
) -> CaseReport {
    let start = Instant::now();
    let mut report = CaseReport {
        name: case.name,
        family,
        ulps: 0.0,
        relative: 0.0,
        tolerance: case.tolerance,
        seconds: 0.0,
        variants: Vec::new(),
        failures: Vec::new(),
        damaged: 0,
    };
    for draw in 0..options.draws {
        let mut built = build(case, draw);
        if let Some(Break { damage: Damage::Gradient(damage), .. }) = options.broken {
            report.damaged += usize::from(damage(&mut built.graph, built.loss));
        }
        let mathematics = options.broken.is_none() || report.damaged > 0;
        if draw == 0
            && mathematics
            && let Err(why) = gradient::check(case, &built)
        {
            report.fail("gradient", "", Vec::new(), why);
        }
        if mathematics
            && case.peaked()
            && let Err(why) = finite(case, &built)
        {
            report.fail("reference", "", Vec::new(), why);
        }
        if let Some(Break { damage: Damage::Gradient(_), .. }) = options.broken {
            // Kernels compute the damaged graph.
            break;
        }
        let want = LazyCell::new(|| references(case, &built));
        for (t, target) in targets.iter().enumerate() {
            let variants = Variants { case, built: &built, want: &want, target, options, draw };
            match quick {
                Some(quick) => {
                    for &selection in &quick.selections[t] {
                        variants.run_one(selection, &mut Vec::new(), &mut report);
                    }
                }
                None => variants.run_all(&mut report),
            }
        }
    }
    if let Some(quick) = quick {
        report.failures.extend(variants::check(
            &build(case, 0),
            &targets[0].device,
            options.broken,
            quick.known,
        ));
    }
    report.seconds = start.elapsed().as_secs_f64();
    report
}

impl CaseReport {
    fn fail(&mut self, check: &'static str, target: &str, kernels: Vec<String>, why: String) {
        let failure = Failure { check, target: target.to_owned(), kernels, why };
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }
}

/// The variants of one draw of a case on one target.
struct Variants<'a> {
    case: &'a Case,
    built: &'a Built,
    want: &'a dyn Deref<Target = Vec<Vec<Array>>>,
    target: &'a Target,
    options: &'a Options,
    draw: u64,
}

impl Variants<'_> {
    /// Runs every variant once; variants with equal kernels count as one.
    fn run_all(&self, report: &mut CaseReport) {
        if self.target.lanes_only {
            return;
        }
        let mut known = Vec::new();
        let count = if self.target.caps.class == AdapterClass::Cpu { 1 } else { TRIED_VARIANTS };
        for variant in 0..count {
            if !self.run_one(Selection { variant, only: None }, &mut known, report) {
                return;
            }
        }
    }

    /// Runs one variant. Returns false if planning fails or the kernels equal `known`, which it then
    /// replaces.
    fn run_one(&self, selection: Selection, known: &mut Vec<Arc<str>>, report: &mut CaseReport) -> bool {
        let mut plan = match planned_as(&self.built.graph, self.target, selection) {
            Ok(plan) => plan,
            Err(why) => {
                report.fail("refused", &self.target.label, Vec::new(), why);
                return false;
            }
        };
        let kernels = texts(&plan);
        if selection.variant > 0 && *known == kernels {
            // No kernel has this variant.
            return false;
        }
        *known = kernels;
        if let Some(broken) = self.options.broken {
            let damaged = broken.apply(&mut plan, &self.target.caps);
            report.damaged += damaged;
            if damaged == 0 {
                return true;
            }
            if let Err(why) = verify(&plan) {
                report.fail("memory", &self.target.label, Vec::new(), why);
                return true;
            }
        }
        self.run_plan(plan, report);
        true
    }

    /// Runs a plan several times, and with its workgroups in other orders.
    fn run_plan(&self, plan: Plan, report: &mut CaseReport) {
        let kernels: Vec<String> = plan.kernels.iter().map(|s| s.label()).collect();
        let label = &self.target.label;
        for launch in plan.kernels.iter().flat_map(|s| &s.variant.launches) {
            if let Err(why) = check_barriers(&launch.source) {
                report.fail("barrier", label, vec![launch.name.clone()], why);
            }
        }
        let plan = Arc::new(plan);
        let times = self.options.runs;
        let runs = match run(&self.target.device, &plan, &self.built.env, times) {
            Ok(runs) => runs,
            Err(e) => return report.fail("refused", label, kernels, e.to_string()),
        };
        let first = &runs.results[0];
        for (n, again) in runs.results.iter().enumerate().skip(1) {
            if let Some(what) = unlike(&plan, first, again) {
                report.fail(
                    "repeat",
                    label,
                    kernels.clone(),
                    format!("run {} differs from run 1: {what}", n + 1),
                );
                break;
            }
        }
        let (mut ulps, mut relative) = (0.0f64, 0.0f64);
        for (o, (named, got)) in plan.outputs.iter().zip(runs.results.last().unwrap_or(first)).enumerate() {
            let (found, verdict) = judged(self.case, self.want.deref(), o, &named.name, got);
            if let Err(why) = verdict {
                report.fail("value", label, kernels.clone(), why);
            }
            (ulps, relative) = (ulps.max(found.ulps), relative.max(found.relative));
        }
        if self.draw == 0
            && let Err(why) = self.orders(&plan, first)
        {
            report.fail("order", label, kernels.clone(), why);
        }
        (report.ulps, report.relative) = (report.ulps.max(ulps), report.relative.max(relative));
        if self.draw == 0 {
            let (compiling, seconds) = (runs.compiling, runs.seconds);
            report.variants.push(VariantRun {
                target: label.clone(),
                kernels,
                ulps,
                relative,
                compiling,
                seconds,
            });
        }
    }

    /// The same bits whatever order workgroups come in.
    fn orders(&self, plan: &Plan, first: &[HostTensor]) -> Result<(), String> {
        if self.target.caps.class == AdapterClass::Cpu {
            return Ok(());
        }
        for &order in self.options.orders {
            let plan = Arc::new(reordered(plan, order)?);
            let runs = run(&self.target.device, &plan, &self.built.env, 1).map_err(|e| e.to_string())?;
            if let Some(what) = unlike(&plan, first, &runs.results[0]) {
                return Err(format!("workgroups in order {order:?} give other bits: {what}"));
            }
        }
        Ok(())
    }
}

/// The plan with every launch's workgroups in another order.
fn reordered(plan: &Plan, order: Order) -> Result<Plan, String> {
    let mut plan = plan.clone();
    for launch in plan.kernels.iter_mut().flat_map(|s| &mut s.variant.launches) {
        *launch = order.apply(launch)?;
    }
    Ok(plan)
}

/// The first element with different bits, in words.
fn unlike(plan: &Plan, a: &[HostTensor], b: &[HostTensor]) -> Option<String> {
    plan.outputs.iter().zip(a.iter().zip(b)).find_map(|(named, (a, b))| {
        let at = (0..a.words.len()).find(|&i| a.words[i] != b.words[i])?;
        Some(format!("{}[{at}] is {:#010x} and {:#010x}", named.name, a.words[at], b.words[at]))
    })
}
