//! Selection of variants for a quick examination: each kernel once, apart from sizes, with little to compile.
//!
//! Kernels with the same name and the same called functions are one kernel in different sizes. Each is in
//! some selected variant, and so is every feature per kind of kernel (`features.rs`): unequal settings per
//! axis, streams of random numbers, shared key heads, large arguments.

use crate::Target;
use crate::case::{Case, build};
use crate::features::features;
use crate::run::{Selection, TRIED_VARIANTS, planned_as};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wgrad_kernels::Launch;
use wgrad_plan::{Plan, PlannedKernel};
use wgrad_types::AdapterClass;

/// The variants to run, by case and target.
pub(crate) type Chosen = Vec<Vec<Vec<Selection>>>;

/// A variant to select from: its kernels, as indices of [`Kernels`], and its features, as indices of their
/// own.
struct Variant {
    case: usize,
    target: usize,
    selection: Selection,
    kernels: Vec<usize>,
    features: BTreeSet<usize>,
}

/// Kernels found, each text once per target: a number for its structure, and the cost of compiling it.
#[derive(Default)]
struct Kernels {
    texts: BTreeMap<(usize, Arc<str>), usize>,
    structures: BTreeMap<String, usize>,
    of: Vec<(usize, usize)>,
    /// Structures exempt from coverage.
    left_out: Vec<bool>,
}

impl Kernels {
    fn number(&mut self, target: usize, launch: &Launch, (software, lanes_only): (bool, bool)) -> usize {
        let key = (target, launch.source.clone());
        if let Some(&known) = self.texts.get(&key) {
            return known;
        }
        let fresh = self.structures.len();
        let structure = format!("{target} {}", structure(launch, software));
        let structure = *self.structures.entry(structure).or_insert(fresh);
        if structure == fresh {
            self.left_out.push(lanes_only && !launch.source.contains(LANES));
        }
        self.of.push((structure, cost(&launch.source, software)));
        self.texts.insert(key, self.of.len() - 1);
        self.of.len() - 1
    }
}

/// A case's default variant.
const FIRST: Selection = Selection { variant: 0, only: None };

/// Cost of a run beyond compiling its kernels, in the unit of [`cost`].
const RUN: usize = 10_000;

/// Selects among the variants of these cases: greedily the one with most new kernels for its cost. A variant
/// is a case's default, or the default with another variant for one kernel, so that nothing else is compiled
/// for it. Unplannable cases are selected, to report their error; so are cases of NaN and infinities, on the
/// first target.
pub(crate) fn choose(cases: &[&Case], targets: &[Target]) -> Chosen {
    let mut chosen: Chosen = cases.iter().map(|_| targets.iter().map(|_| Vec::new()).collect()).collect();
    let (mut variants, mut kernels) = (Vec::new(), Kernels::default());
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (r, case) in cases.iter().enumerate() {
        let built = build(case, 0);
        for (t, target) in targets.iter().enumerate() {
            let planned = |variant| planned_as(&built.graph, target, Selection { variant, only: None });
            if target.caps.class == AdapterClass::Cpu {
                // Nothing to compile, and one variant per case.
                chosen[r][t].push(FIRST);
                continue;
            }
            let mut plans = Vec::new();
            for variant in 0..TRIED_VARIANTS {
                match planned(variant) {
                    Ok(plan) => plans.push(plan),
                    Err(_) => {
                        chosen[r][t].push(Selection { variant, only: None });
                        break;
                    }
                }
            }
            let kind = (target.device.caps().class == AdapterClass::Software, target.lanes_only);
            for (selection, planned) in selections(&plans) {
                let launches = planned.iter().flat_map(|s| &s.variant.launches);
                let kernels = launches.map(|l| kernels.number(t, l, kind)).collect();
                let mut number = |feature: String| {
                    let fresh = known.len();
                    *known.entry(format!("{t} {feature}")).or_insert(fresh)
                };
                let features = if target.lanes_only { BTreeSet::new() } else { features(case, &planned) };
                let features = features.into_iter().map(&mut number).collect();
                variants.push(Variant { case: r, target: t, selection, kernels, features });
            }
        }
    }
    let mut met = kernels.left_out.clone();
    let mut shown = vec![false; known.len()];
    // A case's variants run on one device: kernels compiled for one serve the others.
    let mut compiled: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut choose =
        |variant: &Variant, met: &mut [bool], shown: &mut [bool], compiled: &mut BTreeSet<(usize, usize)>| {
            chosen[variant.case][variant.target].push(variant.selection);
            variant.features.iter().for_each(|&f| shown[f] = true);
            for &k in &variant.kernels {
                met[kernels.of[k].0] = true;
                compiled.insert((variant.case, k));
            }
        };
    // The driver's handling of NaN shows in no other kernel of the same structure.
    let every = |case: &Case| case.each() && !case.peaked();
    for variant in variants.iter().filter(|f| every(cases[f.case]) && f.target == 0 && f.selection == FIRST) {
        choose(variant, &mut met, &mut shown, &mut compiled);
    }
    loop {
        let worth = |f: &Variant| {
            let new: BTreeSet<usize> =
                f.kernels.iter().map(|&k| kernels.of[k].0).filter(|&s| !met[s]).collect();
            let new = new.len() + f.features.iter().filter(|&&feature| !shown[feature]).count();
            if new == 0 {
                return 0.0;
            }
            let fresh: BTreeSet<usize> =
                f.kernels.iter().copied().filter(|&k| !compiled.contains(&(f.case, k))).collect();
            let cost: usize = fresh.iter().map(|&k| kernels.of[k].1).sum();
            new as f64 / (cost + RUN) as f64
        };
        let worths = variants.iter().map(|f| (worth(f), f));
        let Some((_, best)) = worths.filter(|w| w.0 > 0.0).max_by(|a, b| a.0.total_cmp(&b.0)) else {
            return chosen;
        };
        choose(best, &mut met, &mut shown, &mut compiled);
    }
}

/// A plan's kernels, one of them replaced by another plan's if given.
fn kernels<'a>(first: &'a Plan, other: Option<(usize, &'a Plan)>) -> Vec<&'a PlannedKernel> {
    let of = |s: usize| match other {
        Some((at, plan)) if at == s => &plan.kernels[s],
        _ => &first.kernels[s],
    };
    (0..first.kernels.len()).map(of).collect()
}

/// A case's default and its other variants, one kernel at a time, with their kernels; from its plans by
/// variant.
fn selections(plans: &[Plan]) -> Vec<(Selection, Vec<&PlannedKernel>)> {
    let Some(first) = plans.first() else { return Vec::new() };
    let mut selections = vec![(FIRST, kernels(first, None))];
    for (variant, pair) in plans.windows(2).enumerate() {
        for s in 0..first.kernels.len() {
            let texts = |plan: &Plan| {
                plan.kernels[s].variant.launches.iter().map(|l| l.source.clone()).collect::<Vec<_>>()
            };
            // A kernel without this variant takes its last one again.
            if texts(&pair[0]) != texts(&pair[1]) {
                selections.push((
                    Selection { variant: variant + 1, only: Some(s) },
                    kernels(first, Some((s, &pair[1]))),
                ));
            }
        }
    }
    selections
}

const BARRIER: &str = "workgroupBarrier";
/// Workgroup memory for combining lanes.
const LANES: &str = "var<workgroup> lane_values";

/// Rough compile time of a text, in microseconds. A software adapter makes a branch per lane and element of
/// every load or store, and splits kernels at barriers with all live values: figures fitted to 508 kernels on
/// Mesa 25.
fn cost(text: &str, software: bool) -> usize {
    match software {
        false => text.len(),
        true if text.contains(BARRIER) => 400 * text.len(),
        true => 40 * text.len() + 12_000 * accesses(text),
    }
}

/// Elements that a text loads and stores: each place of a buffer once, those of a function wherever it is called.
fn accesses(text: &str) -> usize {
    let bound = text.lines().filter_map(|line| {
        let (name, ty) = line.split_once("var<storage, ")?.1.split_once("> ")?.1.split_once(": ")?;
        Some((format!("{name}["), if ty.contains("vec4") { 4 } else { 1 }))
    });
    let mut known: Vec<(String, usize)> = bound.collect();
    let mut count = 0;
    // A function stands above its callers.
    for function in text.split("\nfn ").skip(1) {
        let of = |(name, each): &(String, usize)| calls(function, name) * each;
        count = known.iter().map(of).sum();
        if let Some((name, _)) = function.split_once('(')
            && count > 0
        {
            known.push((format!("{name}("), count));
        }
    }
    count
}

/// Occurrences of a name, not as the end of a longer one.
fn calls(text: &str, name: &str) -> usize {
    let longer = |at: usize| text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(name).filter(|(at, _)| !longer(*at)).count()
}

/// Traits of products and of attention by which kernels of them are told apart: padding, split parts, results in fours,
/// masks. On a software adapter, where each kernel more is a second of compiling; others by all traits.
const ON_SOFTWARE: [&str; 4] = ["PADDED", "SPLIT", "STORE_FOUR", "MASKED"];

/// A kernel's name, its traits, and the functions its text calls, figures apart. Of products, which take longest to compile,
/// only those traits that make another kernel: code fused into them is met in other kernels too. A software adapter never
/// chooses kernels with barriers and compiles them for seconds: there the name is enough.
pub(crate) fn structure(launch: &Launch, software: bool) -> String {
    let name: String = launch.name.chars().filter(|c| !c.is_ascii_digit()).collect();
    if software && launch.source.contains(BARRIER) {
        return name;
    }
    let product = ["subgroupShuffle(", "block_a["].iter().any(|mark| launch.source.contains(mark));
    if product {
        let told = |t: &&&str| !software || ON_SOFTWARE.contains(t);
        return launch.traits.iter().filter(told).fold(name, |text, t| format!("{text} {t}"));
    }
    let mut calls = BTreeSet::new();
    for line in launch.source.lines() {
        for (at, _) in line.match_indices('(') {
            let head = line[..at].trim_end();
            let from = head.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
            calls.insert(&head[from..]);
        }
    }
    calls.into_iter().fold(name, |text, call| format!("{text} {call}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_ignores_sizes_and_repetitions() {
        let kernel = |name: &str, source: &str| {
            let launch = Launch {
                name: name.into(),
                source: source.into(),
                bindings: Vec::new(),
                groups: [1; 3],
                checked: false,
                traits: Vec::new(),
            };
            structure(&launch, false)
        };
        let two = "let a0 = x[12u]; let a1 = x[13u];";
        assert_eq!(kernel("tile8", two), kernel("tile16", "let a7 = x[1u];"));
        assert_ne!(kernel("tile8", two), kernel("tile8", "let a7 = min(x[1u], 2u);"));
        assert_ne!(kernel("tile8", two), kernel("column", two));
    }

    #[test]
    fn structure_functions_count_wherever_they_are_called() {
        let text = "@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;\n\
                    @group(0) @binding(1) var<storage, read_write> y0: array<f32>;\n\
                    fn load(o: u32) -> vec4<f32> {\n    return x0[o] + x0[o + 1u];\n}\n\
                    fn main() {\n    y0[3u] = load(0u).x + reload(1u) + load(2u).y;\n}\n";
        assert_eq!(accesses(text), 8 + 8 + 1);
    }
}
