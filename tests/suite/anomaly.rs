//! The first NaN or infinity: named with its operands and its cause.

use std::sync::Arc;
use wgrad_doctor::{Target, planned};
use wgrad_graph::{Builder, Graph};
use wgrad_plan::Plan;
use wgrad_session::{Anomaly, Fault};
use wgrad_tests::{checked_gpu, cpu};
use wgrad_types::Type;

/// Two kernels: a product, and an exponential of its rows' sums.
fn graph() -> Graph {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[3, 4]));
    b.output("y", &x.matmul(&x.t()).sum(&[1]).exp());
    b.graph()
}

/// Anomaly found in a traced step.
fn find(target: &Target, plan: Plan, x: &[f32]) -> Option<Anomaly> {
    let plan = Arc::new(plan);
    let mut memory = target.device.memory(&plan.layout).expect("memory");
    let mut program = target.device.program(plan.clone(), &memory).expect("a program");
    let words: Vec<u32> = x.iter().map(|v| v.to_bits()).collect();
    let (mut found, mut kernels) = (None, 0);
    program
        .trace(&mut memory, &[&words], &[0, 0], &mut |traced| {
            kernels += 1;
            found = Anomaly::of(traced, &plan, &[0, 0]).expect("no operation of a user's");
            found.is_none()
        })
        .expect("a step");
    assert!(found.is_some() || kernels == plan.kernels.len());
    found
}

fn targets() -> [Target; 2] {
    [Target::own("gpu", checked_gpu()), Target::own("cpu", cpu())]
}

#[test]
fn anomaly_none_in_finite_step() {
    for target in targets() {
        let plan = planned(&graph(), &target, 0).expect("a plan");
        assert_eq!(find(&target, plan, &[0.5; 12]), None);
    }
}

#[test]
fn anomaly_overflow_blames_mathematics() {
    for target in targets() {
        let plan = planned(&graph(), &target, 0).expect("a plan");
        let found = find(&target, plan, &[9.0; 12]).expect("e^972 overflows");
        assert!(matches!(found.fault, Fault::Mathematics(_)), "{found}");
        assert!(found.place.starts_with("sum"), "{found}");
        let said = found.to_string();
        assert!(said.contains("a result of matmul from 3.24e2 to 3.24e2"), "{said}");
        assert!(said.ends_with("the mathematics is at fault"), "{said}");
    }
}

#[test]
fn anomaly_broken_kernel_blames_kernel() {
    let [target, _] = targets();
    let mut plan = planned(&graph(), &target, 0).expect("a plan");
    let launch =
        plan.kernels.iter_mut().flat_map(|s| &mut s.variant.launches).find(|l| l.source.contains("= exp_("));
    let launch = launch.expect("the exponential is somewhere");
    launch.source = launch.source.replace("= exp_(", "= exp_(1e3f + ").into();
    let found = find(&target, plan, &[0.5; 12]).expect("e^1003 overflows");
    assert!(matches!(found.fault, Fault::Kernel(v) if v.is_finite()), "{found}");
}

#[test]
fn anomaly_in_input_is_named() {
    for target in targets() {
        let plan = planned(&graph(), &target, 0).expect("a plan");
        let mut x = [0.5; 12];
        x[7] = f32::NAN;
        let found = find(&target, plan, &x).expect("an operand is no number");
        assert_eq!((found.place.as_str(), found.element.0, found.fault), ("x", 7, Fault::Outside));
    }
}
