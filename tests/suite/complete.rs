//! Nothing lacks a row: every operation, every shader file, and every kernel form is reached by some row.

use std::collections::BTreeSet;
use wgrad_graph::Op;
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::{MOST_CANDIDATES, build, rows, targets};

#[test]
fn every_operation_has_a_row() {
    let mut seen = BTreeSet::new();
    for row in rows::all() {
        let graph = build(row, 0).graph;
        let live = graph.live();
        seen.extend(graph.nodes.iter().zip(live).filter(|(_, live)| *live).map(|(n, _)| n.op.variant()));
    }
    let missing: Vec<_> = Op::ALL.iter().filter(|op| !seen.contains(*op)).collect();
    assert!(missing.is_empty(), "no row reaches {missing:?}");
}

#[test]
fn every_function_of_the_tables_has_a_row() {
    let mut seen = BTreeSet::new();
    for row in rows::all() {
        for node in build(row, 0).graph.nodes {
            match node.op {
                Op::Unary(u) => seen.insert(u.0.name()),
                Op::Binary(b) => seen.insert(b.0.name()),
                Op::Compare(c) => seen.insert(c.0.name()),
                _ => false,
            };
        }
    }
    use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
    let all = UnaryKind::ALL.iter().map(|k| k.name());
    let all =
        all.chain(BinaryKind::ALL.iter().map(|k| k.name())).chain(CompareKind::ALL.iter().map(|k| k.name()));
    let missing: Vec<_> = all.filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no row reaches {missing:?}");
}

#[test]
fn row_names_are_unique() {
    let names: Vec<_> = rows::all().iter().map(|r| r.name).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len());
}

/// A shader is reached by its kernel's name, or, where it is imported, by a function of it in a kernel's text.
#[test]
fn every_shader_file_is_reached_by_a_row() {
    let caps: Vec<_> = targets().into_iter().map(|t| t.caps).collect();
    let mut launches = BTreeSet::new();
    for (row, caps) in rows::all().into_iter().flat_map(|row| caps.iter().map(move |c| (row, c))) {
        let plan = plan(&build(row, 0).graph, caps, &PlanOptions::default()).expect("rows fit every device");
        let all = plan.steps.into_iter().flat_map(|s| s.candidate.launches);
        launches.extend(all.map(|l| (l.name, l.source)));
    }
    for (path, text) in wgrad_shaders::SHADERS {
        let name = path.strip_suffix(".wgsl").expect("shaders are .wgsl files");
        let function =
            text.lines().find(|l| l.starts_with("fn ") && !l.starts_with("fn main")).expect("a function");
        let imported = name.starts_with("common/");
        let reached = launches.iter().any(|(n, source)| n == name || imported && source.contains(function));
        assert!(reached, "no row reaches {path}");
    }
}

/// The harness tries candidates by rank up to `MOST_CANDIDATES`; no step may have more.
#[test]
fn every_launch_candidate_is_tried() {
    for target in targets() {
        for row in rows::all() {
            let plan = plan(&build(row, 0).graph, &target.caps, &PlanOptions::default())
                .expect("rows fit every device");
            for s in &plan.steps {
                let n = wgrad_kernels::candidates(&s.step, &target.caps).expect("a planned step").len();
                assert!(n <= MOST_CANDIDATES, "{} has {n} candidates", s.label());
            }
        }
    }
}
