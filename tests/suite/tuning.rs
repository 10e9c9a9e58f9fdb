//! The tuner: measurements decide the plan, and wrong variants are never taken.

use std::collections::BTreeMap;
use wgrad_device::Device;
use wgrad_doctor::breaks::{Damage, named};
use wgrad_graph::{Builder, Graph, Role};
use wgrad_kernels::{Variant, variants};
use wgrad_plan::{Choices, Plan, PlanOptions, key, plan, verify};
use wgrad_session::{Session, tune, tune_kernel};
use wgrad_tests::{checked_gpu, cpu, own_gpu};
use wgrad_types::Type;

/// A product, with an element-wise operation after it.
fn product() -> Graph {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32(&[96, 200])), b.param("w", &[200, 80], Role::Weight));
    b.output("y", &(x.matmul(&w) + 1.0).relu());
    b.graph()
}

fn planned(graph: &Graph, device: &Device, choices: &Choices) -> Plan {
    let options = PlanOptions::default().choices(choices);
    let plan = plan(graph, device.caps(), &options).expect("a plan");
    verify(&plan).expect("sound memory");
    plan
}

fn variants_of(plan: &Plan, device: &Device) -> Vec<Variant> {
    variants(&plan.kernels[0].kernel, device.caps()).expect("variants")
}

#[test]
fn tuner_choices_alone_change_plan() {
    let (device, graph) = (own_gpu(), product());
    let guessed = planned(&graph, &device, &Choices::default());
    let variants = variants_of(&guessed, &device);
    assert!(variants.len() > 1);
    for variant in &variants {
        let choices = Choices([(key(&variants), variant.name.clone())].into());
        let chosen = planned(&graph, &device, &choices);
        assert_eq!(chosen.kernels[0].variant, *variant);
        assert_eq!(chosen, planned(&graph, &device, &choices));
    }
    let others = Choices(BTreeMap::from([(key(&variants) ^ 1, variants[1].name.clone())]));
    assert_eq!(planned(&graph, &device, &others), guessed);
}

#[test]
fn tuner_broken_variant_is_named_and_never_taken() {
    let (mut device, graph) = (checked_gpu(), product());
    let plan = planned(&graph, &device, &Choices::default());
    let sound = variants_of(&plan, &device);
    let mut tried = 0;
    for mistake in ["depth-loop", "depth-tail", "edge-store-row", "quad-order", "wrong-lane"] {
        let broken = named(mistake).expect("a mistake of the list");
        let Damage::Text(damage) = broken.damage else { panic!("{mistake} is not made in a text") };
        for at in 0..sound.len() {
            let mut variants = sound.clone();
            let Some(text) = damage(&variants[at].launches[0]) else { continue };
            variants[at].launches[0].source = text.into();
            let tuned =
                tune_kernel(&mut device, &plan, &plan.kernels[0], &variants).expect("the device lasts");
            let why = tuned.trials[at].seconds.as_ref().expect_err(mistake);
            assert!(why.starts_with("wrong: element "), "{mistake}: {why}");
            assert!(tuned.winner.is_some_and(|w| w != at), "{mistake}");
            tried += 1;
        }
    }
    assert!(tried >= 4, "{tried} mistakes fit");
    let mut variants = sound.clone();
    variants[0].launches[0].source = "fn main() { no text }".into();
    let tuned = tune_kernel(&mut device, &plan, &plan.kernels[0], &variants).expect("the device lasts");
    assert!(tuned.trials[0].seconds.as_ref().is_err_and(|why| why.contains("was rejected")), "{tuned:?}");
    assert!(tuned.winner.is_some_and(|w| w > 0));
}

#[test]
fn tuner_without_valid_variant_makes_no_choice() {
    let (mut device, graph) = (checked_gpu(), product());
    let plan = planned(&graph, &device, &Choices::default());
    let mut variants = variants_of(&plan, &device);
    variants.iter_mut().for_each(|f| f.launches[0].source = "".into());
    let tuned = tune_kernel(&mut device, &plan, &plan.kernels[0], &variants).expect("the device lasts");
    assert_eq!((tuned.winner, tuned.seconds()), (None, None));
}

#[test]
fn tuner_reopens_lost_device() {
    let (mut device, graph) = (own_gpu(), product());
    device.destroy();
    let mut seen = 0;
    let tuning = tune(&mut device, &[&graph, &graph], true, &mut |_| seen += 1).expect("opened anew");
    let [tuned] = &tuning.kernels[..] else { panic!("{tuning:?}") };
    assert_eq!((seen, tuned.count), (1, 2));
    assert!(tuned.trials[0].seconds.as_ref().is_err_and(|why| why.starts_with("the device was lost")));
    let winner = tuned.winner.expect("another variant is right");
    assert!(winner > 0);
    let (_, runner) = Session::new(&device, &graph, &Vec::new(), 0).expect("a session");
    assert_eq!(runner.plan().kernels[0].variant.name, tuned.trials[winner].variant);
    // Known kernels are not timed again, except on request.
    let again = |device: &mut Device, again| {
        tune(device, &[&graph], again, &mut |_| {}).expect("tuned").kernels.len()
    };
    assert_eq!((again(&mut device, false), again(&mut device, true)), (0, 1));
}

#[test]
fn tuner_has_nothing_to_do_on_cpu() {
    let tuning = tune(&mut cpu(), &[&product()], true, &mut |_| {}).expect("no failure");
    assert!(tuning.kernels.is_empty() && tuning.kept.is_none());
}
