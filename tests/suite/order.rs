//! Workgroups in other orders: every kernel gives the same bits, with its own adapter's variants and a
//! discrete GPU's. A kernel reading another workgroup's results does not.

use wgrad_doctor::breaks::{Break, Damage};
use wgrad_doctor::{Options, Order, Target, examine, examine_all};
use wgrad_tests::{cases, gpu};
use wgrad_types::AdapterClass;

#[test]
fn workgroup_order_changes_no_bit() {
    let targets = [Target::own("gpu", gpu()), Target::posing(gpu(), AdapterClass::Discrete)];
    // The other order is `wgrad doctor --full`'s: every order compiles every kernel anew.
    let options = Options { runs: 1, orders: &[Order::Scattered], ..Options::quick() };
    let report = examine_all(&targets, &options, &mut |_| {});
    let wrong: Vec<String> = report.cases.iter().flat_map(|r| r.complaints()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let variants: usize = report.cases.iter().map(|r| r.variants.len()).sum();
    assert!(variants > 100, "only {variants} variants");
}

/// Every element takes half of the first one, written by another workgroup.
static RACE: Break = Break {
    kind: "order",
    name: "race",
    what: "a workgroup reads what another writes",
    damage: Damage::Text(|l| {
        let map = l.source.contains("y0[i] = ");
        map.then(|| l.source.replace("y0[i] = ", "y0[i] = y0[0] * 0.5f + "))
    }),
};

#[test]
fn workgroup_race_is_found() {
    let case =
        cases::elementwise::CASES.iter().find(|r| r.name == "large_map").expect("a row of many workgroups");
    let options = Options { orders: &Order::ALL, broken: Some(&RACE), ..Options::each() };
    let report = examine("", case, &[Target::own("gpu", gpu())], &options);
    let order = report.failures.iter().find(|f| f.check == "order").expect("the order shows");
    assert!(order.why.contains("give other bits"), "{}", order.why);
}
