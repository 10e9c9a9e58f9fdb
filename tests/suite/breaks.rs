//! Kernels broken on purpose: some case must catch each mistake of the list. `cargo test every_mistake --
//! --nocapture` prints the case and the check; `wgrad doctor --break NAME` shows the same on one's own
//! adapter.

use std::collections::BTreeSet;
use std::fmt::Write;
use wgrad_doctor::breaks::{Break, Damage, all};
use wgrad_doctor::{Options, Target, examine};
use wgrad_tests::{cases, checked_gpu, cpu};
use wgrad_types::AdapterClass;

/// The adapter with its own kernels and with those of a discrete GPU; the CPU, for mistakes outside WGSL.
fn targets() -> Vec<Target> {
    vec![
        Target::own("gpu", checked_gpu()),
        Target::posing(checked_gpu(), AdapterClass::Discrete),
        Target::own("cpu", cpu()),
    ]
}

/// The first case to catch the mistake, the checks behind it, and the number of affected cases before it.
struct Catch {
    case: &'static str,
    checks: BTreeSet<&'static str>,
    unseen: usize,
}

fn caught(broken: &'static Break, targets: &[Target]) -> Result<Catch, String> {
    let options = Options { broken: Some(broken), ..Options::each() };
    let mut unseen = 0;
    for case in cases::all() {
        let report = examine("", case, targets, &options);
        let checks: BTreeSet<_> = report.failures.iter().map(|f| f.check).collect();
        // A missing barrier must show in results too, not only in the text: not every case has lanes far enough apart.
        let shown =
            !broken.name.starts_with("barrier-") || checks.contains("value") || checks.contains("repeat");
        if !report.is_sound() && shown {
            return Ok(Catch { case: case.name, checks, unseen });
        }
        unseen += usize::from(report.damaged > 0);
    }
    match unseen {
        0 => Err(format!("{}: it touches no case", broken.name)),
        n => Err(format!("{}: it touches {n} cases, and none shows it", broken.name)),
    }
}

/// Each mistake of a kind is caught on every target it touches; prints the list.
fn each_is_caught(kind: fn(&Damage) -> bool, share: usize, of: usize) {
    let mut table = String::new();
    let mut missed = Vec::new();
    for broken in all().filter(|b| kind(&b.damage)).skip(share).step_by(of) {
        match caught(broken, &targets()) {
            Ok(Catch { case, checks, unseen }) => {
                let checks: Vec<_> = checks.into_iter().collect();
                let (kind, name, what) = (broken.kind, broken.name, broken.what);
                let _ = writeln!(
                    table,
                    "{kind:<15} {name:<26} {what:<62} {case:<24} {} ({unseen})",
                    checks.join(", ")
                );
            }
            Err(why) => missed.push(why),
        }
    }
    use std::io::Write as _;
    let _ = write!(std::io::stdout(), "{table}");
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_mistake_in_a_text_is_seen() {
    each_is_caught(|d| matches!(d, Damage::Text(_)), 0, 2);
}

#[test]
fn every_other_mistake_in_a_text_is_seen() {
    each_is_caught(|d| matches!(d, Damage::Text(_)), 1, 2);
}

#[test]
fn every_mistake_in_a_step_is_seen() {
    each_is_caught(|d| matches!(d, Damage::Kernel(_)), 0, 1);
}

#[test]
fn every_mistake_in_memory_is_seen() {
    each_is_caught(|d| matches!(d, Damage::Memory(_)), 0, 1);
}

#[test]
fn every_mistake_in_a_gradient_is_seen() {
    each_is_caught(|d| matches!(d, Damage::Gradient(_)), 0, 1);
}
