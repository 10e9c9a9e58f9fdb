//! Kernels of other adapters, checked without running them: every variant of every kernel, for each class of
//! adapter and size of subgroups. Barriers are read, workgroup numbers must allow another order, and the
//! adapter at hand must accept the text.

use crate::Order;
use crate::barriers::check_barriers;
use crate::breaks::{Break, Damage};
use crate::case::Built;
use crate::coverage::structure;
use crate::report::Failure;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use wgrad_device::Device;
use wgrad_kernels::{Launch, variants};
use wgrad_plan::{PlanOptions, plan};
use wgrad_types::{AdapterClass, Caps, Vendor};

/// Texts checked, and structures of kernels accepted by the adapter, one text each.
#[derive(Default)]
pub(crate) struct Known {
    texts: Mutex<BTreeSet<Arc<str>>>,
    taken: Mutex<BTreeSet<String>>,
}

/// Capabilities of other adapters, one per way to choose kernels, with these limits.
fn poses(own: &Caps) -> Vec<(String, Caps)> {
    let gpu = |class: AdapterClass, vendor| Caps { class, vendor, subgroup: None, ..own.clone() };
    let gpus = [
        (AdapterClass::Discrete, Vendor::Nvidia),
        (AdapterClass::Discrete, Vendor::Intel),
        (AdapterClass::Integrated, Vendor::Other),
    ];
    let software = own.subgroup.iter().flat_map(|_| [4, 32]);
    let software =
        software.map(|size| Caps { class: AdapterClass::Software, subgroup: Some(size), ..own.clone() });
    let named = |caps: Caps| {
        let size = caps.subgroup.map(|n| format!(", subgroups of {n}")).unwrap_or_default();
        (format!("as a {}{size}", caps.class), caps)
    };
    gpus.into_iter().map(|(class, vendor)| gpu(class, vendor)).chain(software).map(named).collect()
}

/// Failures of the variants of a case's kernels; each text is checked once per examination.
pub(crate) fn check(built: &Built, device: &Device, broken: Option<&Break>, known: &Known) -> Vec<Failure> {
    let mut failures = Vec::new();
    if device.caps().class == AdapterClass::Cpu {
        return failures;
    }
    let mut kernels = Vec::new();
    for (target, caps) in poses(device.caps()) {
        let fail = |check, kernels, why| Failure { check, target: target.clone(), kernels, why };
        let plan = match plan(&built.graph, &caps, &PlanOptions::default()) {
            Ok(plan) => plan,
            Err(e) => {
                failures.push(fail("refused", Vec::new(), e.to_string()));
                continue;
            }
        };
        for planned in plan.kernels {
            let key = (planned.kernel, caps.class, caps.vendor, caps.subgroup);
            if kernels.contains(&key) {
                continue;
            }
            for mut launch in variants(&key.0, &caps).unwrap_or_default().into_iter().flat_map(|c| c.launches)
            {
                if let Some(Break { damage: Damage::Text(damage), .. }) = broken
                    && let Some(source) = damage(&launch)
                {
                    launch.source = source.into();
                }
                if known.texts.lock().unwrap_or_else(PoisonError::into_inner).insert(launch.source.clone())
                    && let Err((check, why)) = look(&launch, device, known)
                {
                    failures.push(fail(check, vec![launch.name], why));
                }
            }
            kernels.push(key);
        }
    }
    failures
}

fn look(launch: &Launch, device: &Device, known: &Known) -> Result<(), (&'static str, String)> {
    check_barriers(&launch.source).map_err(|why| ("barrier", why))?;
    for order in Order::ALL {
        order.apply(launch).map_err(|why| ("order", why))?;
    }
    // By the rule for software adapters: subgroups, widths and barriers are in the name or among the calls.
    let fresh = known.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(structure(launch, false));
    if fresh {
        device.validate(launch).map_err(|e| ("refused", e.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaks::named;
    use crate::{build, cases, testing};

    fn found(case: &str, broken: Option<&Break>) -> Vec<String> {
        let case = cases::all().into_iter().find(|r| r.name == case).expect("a case");
        let failures = check(&build(case, 0), &testing::gpu(), broken, &Known::default());
        failures.iter().map(|f| format!("{} {}", f.check, f.target)).collect()
    }

    #[test]
    fn variants_of_other_adapters_show_missing_barriers() {
        for case in ["sum_long_row", "matmul_small", "conv2d_depthwise_long"] {
            assert_eq!(found(case, None), Vec::<String>::new(), "{case}");
        }
        for (case, name) in [
            ("sum_long_row", "barrier-in-tree"),
            ("sum_long_row", "shared-slot"),
            ("argmax_ties", "shared-slot"),
            ("matmul_small", "barrier-after-load"),
            ("matmul_small", "barrier-before-load"),
            ("conv2d_depthwise_long", "barrier-in-tree"),
        ] {
            let broken = named(name).expect("a mistake");
            let all = found(case, Some(broken));
            let seen = all.iter().any(|f| f == "barrier as a discrete GPU");
            assert_eq!(seen, case != "argmax_ties", "{case}, {name}: {all:?}");
        }
    }

    #[test]
    fn variants_invalid_text_is_reported() {
        let broken = Break {
            kind: "text",
            name: "text",
            what: "a name that is not there",
            damage: Damage::Text(|l| {
                Some(l.source.replace("fn main(", "fn other(a: u32) -> u32 { return nothing; }\nfn main("))
            }),
        };
        assert!(found("sum_long_row", Some(&broken)).iter().any(|f| f == "refused as a discrete GPU"));
    }
}
