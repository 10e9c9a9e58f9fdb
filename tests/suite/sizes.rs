//! Kernels cut into other workgroups: if the order of additions does not depend on the size, the bits must
//! not.
//!
//! The classes of adapters choose different workgroup sizes, tiles and elements per invocation for the same
//! kernel. Sums over split or shared reductions are left out: their order is part of the variant. A software
//! adapter's compiler never contracts a product and a sum; others may, and round different texts differently,
//! by at most a case's tolerance.

use std::collections::BTreeMap;
use wgrad_doctor::{Target, planned, run};
use wgrad_kernels::Core;
use wgrad_plan::Plan;
use wgrad_tests::{TRIED_VARIANTS, build, cases, gpu};
use wgrad_types::{AdapterClass, Caps, DType, HostTensor, Limits};

/// True if no kernel's order of additions depends on its size. A row's lanes share its sums, attention's variants read
/// the keys in blocks of their own, and a depthwise gradient's lanes share a sum.
fn one_order(plan: &Plan) -> bool {
    plan.kernels.iter().all(|s| {
        let shared = match s.kernel.core {
            Core::Reduce { .. } | Core::RowChain(_) | Core::Attention(_) => true,
            Core::Conv2dWeightGrad(_) => s.variant.name.starts_with("depthwise"),
            _ => false,
        };
        s.variant.scratch.is_empty() && !shared
    })
}

/// Per result, true if it comes from a sum on the side of a product, with an order depending on the variant.
fn on_the_side(plan: &Plan) -> Vec<bool> {
    let mut sums = Vec::new();
    for kernel in &plan.kernels {
        let first = match kernel.kernel.sums {
            Some(_) => 1,
            None if kernel.operands.iter().any(|p| sums.contains(p)) => 0,
            None => continue,
        };
        sums.extend(&kernel.outputs[first..]);
    }
    plan.outputs.iter().map(|o| sums.contains(&o.place)).collect()
}

/// True if a convolution is computed directly: in another order than as a product.
fn direct(plan: &Plan) -> bool {
    plan.kernels.iter().any(|s| s.variant.name.starts_with("depthwise"))
}

/// Two elements further apart than this share of the largest; a share of 0 requires equal bits. Zeros lose
/// their sign: WGSL lets a compiler drop it, and Mesa's does at the start of sums. Nor are the bits of a NaN
/// promised.
fn unlike(a: &HostTensor, b: &HostTensor, share: f64) -> Option<(f64, f64)> {
    let exact = share == 0.0 || a.ty.dtype != DType::F32;
    let largest = a.to_array().data.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
    let (values, others) = (a.to_array().data, b.to_array().data);
    let bits = a.words.iter().zip(&b.words);
    let apart = bits.zip(values.iter().zip(&others)).find(|((i, j), (x, y))| match exact {
        true => i != j && !(**x == 0.0 && **y == 0.0) && !(x.is_nan() && y.is_nan()),
        // Not `apart > share`: that is false for NaN.
        false => {
            let near = (*x - *y).abs() <= share * largest;
            !(near || x == y || (x.is_nan() && y.is_nan()))
        }
    });
    apart.map(|(_, (x, y))| (*x, *y))
}

/// The adapter's kernels as other classes and smaller limits would choose them.
fn sizes() -> Vec<Target> {
    let device = gpu();
    let small = Limits { workgroup_size: 128, ..device.caps().limits };
    let posing = |class| Target::posing(device.clone(), class);
    let own = device.caps().clone();
    vec![
        Target::own("own", device.clone()),
        posing(AdapterClass::Discrete),
        posing(AdapterClass::Integrated),
        Target {
            label: "small workgroups".into(),
            caps: Caps { class: AdapterClass::Discrete, limits: small, ..own.clone() },
            device: device.clone(),
            lanes_only: false,
        },
        Target {
            label: "no subgroups".into(),
            caps: Caps { subgroup: None, ..own },
            device,
            lanes_only: false,
        },
    ]
}

fn compare_part(part: usize, of: usize) {
    let exact = gpu().caps().class == AdapterClass::Software;
    let mut compared = 0;
    for case in cases::all().into_iter().skip(part).step_by(of) {
        let built = build(case, 0);
        let mut ways: [BTreeMap<Vec<String>, Vec<HostTensor>>; 2] = Default::default();
        for target in sizes() {
            for variant in 0..TRIED_VARIANTS {
                let plan = planned(&built.graph, &target, variant).expect("cases fit every device");
                let texts: Vec<String> = plan
                    .kernels
                    .iter()
                    .flat_map(|s| s.variant.launches.iter().map(|l| l.source.to_string()))
                    .collect();
                let known = &mut ways[usize::from(direct(&plan))];
                if !one_order(&plan) || known.contains_key(&texts) {
                    continue;
                }
                let aside = on_the_side(&plan);
                let runs = run(&target.device, &plan.into(), &built.env, 1).expect("a run");
                let found = runs.results.into_iter().next().expect("one run");
                if let Some((_, first)) = known.first_key_value() {
                    let allowed = if exact { 0.0 } else { case.tolerance };
                    let pairs = first.iter().zip(&found).zip(&aside).filter(|(_, aside)| !**aside);
                    if let Some((a, b)) = pairs.map(|p| p.0).find_map(|(a, b)| unlike(a, b, allowed)) {
                        panic!("{} as {} (variant {variant}): {a:e} and {b:e}", case.name, target.label);
                    }
                    compared += 1;
                }
                known.insert(texts, found);
            }
        }
    }
    assert!(compared > 60, "only {compared} forms were compared");
}

#[test]
fn workgroup_sizes_change_no_bit_first_half() {
    compare_part(0, 2);
}

#[test]
fn workgroup_sizes_change_no_bit_second_half() {
    compare_part(1, 2);
}
