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
