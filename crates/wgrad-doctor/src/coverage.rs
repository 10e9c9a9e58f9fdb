//! Which forms a quick examination runs: each kernel once, sizes apart, with as little to compile as may be.
//!
//! Kernels of one name whose texts call the same functions are one kernel of different sizes.
//! Every one of them is in some form that is chosen.

use crate::Target;
use crate::row::{Row, build};
use crate::run::{MOST_CANDIDATES, planned, texts};
use std::collections::BTreeSet;
use wgrad_kernels::Launch;
use wgrad_types::AdapterClass;

/// The forms to run: numbers of row, target and candidate.
pub(crate) type Chosen = BTreeSet<(usize, usize, usize)>;

/// A form that could be run: the kernels it has, and what they cost to compile.
struct Form {
    at: (usize, usize, usize),
    kernels: BTreeSet<String>,
    cost: usize,
}

/// Chooses among the forms of these rows: step by step the one with most kernels not met before for its cost. What
/// cannot be planned is chosen, so that its refusal is told.
pub(crate) fn choose(rows: &[&Row], targets: &[Target]) -> Chosen {
    let mut chosen = Chosen::new();
    let mut forms = Vec::new();
    for (r, row) in rows.iter().enumerate() {
        let built = build(row, 0);
        for (t, target) in targets.iter().enumerate() {
            if target.caps.class == AdapterClass::Cpu {
                // There is nothing to compile, and one form a row.
                chosen.insert((r, t, 0));
                continue;
            }
            let mut last = Vec::new();
            for candidate in 0..MOST_CANDIDATES {
                let Ok(plan) = planned(&built.graph, target, candidate) else {
                    chosen.insert((r, t, candidate));
                    break;
                };
                let kernels = texts(&plan);
                if candidate > 0 && kernels == last {
                    break;
                }
                let launches = plan.steps.iter().flat_map(|s| &s.candidate.launches);
                let software = target.caps.class == AdapterClass::Software;
                let met = launches.map(|l| format!("{t} {}", structure(l, software))).collect();
                let cost = kernels.iter().map(|k| cost(k, software)).sum();
                forms.push(Form { at: (r, t, candidate), kernels: met, cost });
                last = kernels;
            }
        }
    }
    let mut met: BTreeSet<String> = BTreeSet::new();
    loop {
        let worth = |f: &Form| f.kernels.difference(&met).count() as f64 / f.cost.max(1) as f64;
        let Some(best) = forms.iter().max_by(|a, b| worth(a).total_cmp(&worth(b))) else { return chosen };
        if worth(best) == 0.0 {
            return chosen;
        }
        chosen.insert(best.at);
        met.extend(best.kernels.iter().cloned());
    }
}

const BARRIER: &str = "workgroupBarrier";

/// How long a text takes to compile, roughly: Mesa splits kernels at barriers, with all that is live.
fn cost(text: &str, software: bool) -> usize {
    text.len() * if software && text.contains(BARRIER) { 10 } else { 1 }
}

/// What a product's text may differ by, apart from its sizes and what is fused into it: padding, split parts, results in
/// fours; edges and single steps, which few products are without.
const OF_PRODUCTS: [&str; 5] = ["select", "epilogue", "epilogue4", "min", "for"];
/// As many of these count on a software adapter, where each kernel more is a second of compiling.
const ON_SOFTWARE: usize = 3;

/// A kernel's name and the functions and statements its text is made of, figures apart. Of products, which take longest
/// to compile, only those that make another kernel: what is fused into them is met in other kernels too.
/// A software adapter never chooses what has barriers and compiles it for seconds: there the name is enough.
fn structure(launch: &Launch, software: bool) -> String {
    let name: String = launch.name.chars().filter(|c| !c.is_ascii_digit()).collect();
    if software && launch.source.contains(BARRIER) {
        return name;
    }
    let product = ["subgroupShuffle(", "block_a["].iter().any(|mark| launch.source.contains(mark));
    let marks = &OF_PRODUCTS[..if software { ON_SOFTWARE } else { OF_PRODUCTS.len() }];
    let mut calls = BTreeSet::new();
    for line in launch.source.lines() {
        for (at, _) in line.match_indices('(') {
            let head = line[..at].trim_end();
            let from = head.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
            if !product || marks.contains(&&head[from..]) {
                calls.insert(&head[from..]);
            }
        }
    }
    calls.into_iter().fold(name, |text, call| format!("{text} {call}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_repetitions_are_set_apart() {
        let kernel = |name: &str, source: &str| {
            let launch = Launch {
                name: name.into(),
                source: source.into(),
                bindings: Vec::new(),
                groups: [1; 3],
                checked: false,
            };
            structure(&launch, false)
        };
        let two = "let a0 = x[12u]; let a1 = x[13u];";
        assert_eq!(kernel("tile8", two), kernel("tile16", "let a7 = x[1u];"));
        assert_ne!(kernel("tile8", two), kernel("tile8", "let a7 = min(x[1u], 2u);"));
        assert_ne!(kernel("tile8", two), kernel("column", two));
    }
}
