//! Coverage of the cases: every operation, every shader file, and every kernel variant is reached by some
//! case.

use std::collections::BTreeSet;
use wgrad_graph::Op;
use wgrad_plan::{PlanOptions, plan};
use wgrad_tests::{TRIED_VARIANTS, build, cases, targets};

#[test]
fn cases_cover_every_operation() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        let graph = build(case, 0).graph;
        let live = graph.live();
        seen.extend(graph.nodes.iter().zip(live).filter(|(_, live)| *live).map(|(n, _)| n.op.variant()));
    }
    let missing: Vec<_> = Op::ALL.iter().filter(|op| !seen.contains(*op)).collect();
    assert!(missing.is_empty(), "no case reaches {missing:?}");
}

#[test]
fn cases_cover_every_table_function() {
    let mut seen = BTreeSet::new();
    for case in cases::all() {
        for node in build(case, 0).graph.nodes {
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
    assert!(missing.is_empty(), "no case reaches {missing:?}");
}

#[test]
fn cases_have_unique_names() {
    let names: Vec<_> = cases::all().iter().map(|r| r.name).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), distinct.len());
}

/// A kernel's text names the files that it is made of.
#[test]
fn cases_reach_every_shader_file() {
    let caps: Vec<_> = targets().into_iter().map(|t| t.caps).collect();
    let mut files = BTreeSet::new();
    for (case, caps) in cases::all().into_iter().flat_map(|case| caps.iter().map(move |c| (case, c))) {
        let plan =
            plan(&build(case, 0).graph, caps, &PlanOptions::default()).expect("cases fit every device");
        for kernel in &plan.kernels {
            let variants = wgrad_kernels::variants(&kernel.kernel, caps).expect("a planned kernel");
            for launch in variants.iter().flat_map(|v| &v.launches) {
                files.extend(
                    launch.source.lines().filter_map(|l| l.strip_prefix("// from ")).map(str::to_owned),
                );
            }
        }
    }
    for (path, _) in wgrad_shaders::SHADERS {
        let name = path.strip_suffix(".wgsl").expect("shaders are .wgsl files");
        assert!(files.contains(name), "no case reaches {path}");
    }
}

/// The harness tries variants by rank up to `TRIED_VARIANTS`; no step may have more.
#[test]
fn cases_try_every_variant() {
    for target in targets() {
        for case in cases::all() {
            let plan = plan(&build(case, 0).graph, &target.caps, &PlanOptions::default())
                .expect("cases fit every device");
            for s in &plan.kernels {
                let n = wgrad_kernels::variants(&s.kernel, &target.caps).expect("a planned step").len();
                assert!(n <= TRIED_VARIANTS, "{} has {n} variants", s.label());
            }
        }
    }
}
