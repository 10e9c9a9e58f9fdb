//! Features of a kernel besides its sizes: a quick examination runs each feature in each variant of each kind
//! of kernel.
//!
//! Kernels of the same structure may still be right for one and wrong for another: an exchanged axis shows only if
//! settings differ from axis to axis, a wrong stream of random numbers if there are two, a wrong head of keys if heads
//! share, a forgotten maximum if arguments are large.

use crate::Case;
use std::collections::BTreeSet;
use wgrad_graph::ops::{ConvSpec, Window};
use wgrad_kernels::{Core, Expr, Instr, Kernel};
use wgrad_plan::PlannedKernel;

/// Magnitude of arguments beyond exp's range, and of factors with sums of products beyond it.
const LARGE: f64 = 80.0;
const LARGE_FACTOR: f64 = 5.0;

/// The features of a case's kernels, each with the kind of kernel and its variant, without sizes.
pub(crate) fn features(case: &Case, kernels: &[&PlannedKernel]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for planned in kernels {
        let variant: String = planned.variant.name.chars().filter(|c| !c.is_ascii_digit()).collect();
        // Parts, and the tile's extents, are sizes.
        let variant = variant.split(['x', '.']).next().unwrap_or_default();
        let of = of(&planned.kernel, case);
        all.extend(of.into_iter().map(|feature| format!("{} {variant} {feature}", planned.kernel.name())));
    }
    let streams: BTreeSet<u32> = kernels.iter().flat_map(|s| streams(&s.kernel)).collect();
    if streams.len() > 1 {
        all.insert("streams".to_owned());
    }
    all
}

/// Features of one kernel.
fn of(kernel: &Kernel, case: &Case) -> Vec<&'static str> {
    let shape = |operand: usize| &kernel.operands[operand].shape[..];
    let mut found = Vec::new();
    match &kernel.core {
        Core::Conv2d(spec) => conv(spec, shape(0), shape(1), &mut found),
        Core::Conv2dInputGrad(spec) => conv(spec, &kernel.shape, shape(1), &mut found),
        Core::Conv2dWeightGrad(spec) => conv(spec, shape(0), &kernel.shape, &mut found),
        Core::MaxPool2d(w) | Core::AvgPool2d(w) => pool(w, shape(0), &mut found),
        Core::MaxPool2dGrad(w) | Core::AvgPool2dGrad(w) => pool(w, &kernel.shape, &mut found),
        Core::Attention(attention) => {
            let e = attention.extents();
            let large = case.reaches(LARGE_FACTOR);
            let marks = [
                (e.heads != e.groups, "heads share keys"),
                (large, "large arguments"),
                (large && case.below(), "far below zero"),
            ];
            found.extend(marks.iter().filter(|m| m.0).map(|m| m.1));
        }
        Core::Reduce { .. } | Core::RowChain(_) if case.reaches(LARGE) => {
            found.push("large arguments");
            found.extend(case.below().then_some("far below zero"));
        }
        _ => {}
    }
    found
}

fn conv(spec: &ConvSpec, image: &[usize], kernel: &[usize], found: &mut Vec<&'static str>) {
    add_if_unequal(spec.stride, "stride", found);
    add_if_unequal(spec.padding, "padding", found);
    add_if_unequal(spec.dilation, "dilation", found);
    add_if_unequal([image[2], image[3]], "image", found);
    add_if_unequal([kernel[2], kernel[3]], "kernel", found);
}

fn pool(window: &Window, image: &[usize], found: &mut Vec<&'static str>) {
    add_if_unequal(window.stride, "stride", found);
    add_if_unequal(window.padding, "padding", found);
    add_if_unequal(window.kernel, "kernel", found);
    add_if_unequal([image[2], image[3]], "image", found);
}

fn add_if_unequal(axes: [usize; 2], what: &'static str, found: &mut Vec<&'static str>) {
    if axes[0] != axes[1] {
        found.push(what);
    }
}

/// Streams of random numbers drawn by a kernel.
fn streams(kernel: &Kernel) -> Vec<u32> {
    let of = |expr: &Expr| -> Vec<u32> {
        let stream = |i: &Instr| match i {
            Instr::Random { stream, .. } => Some(*stream),
            _ => None,
        };
        expr.instrs.iter().filter_map(stream).collect()
    };
    let mut found = of(&kernel.epilogue);
    match &kernel.core {
        Core::Reduce { prologue, .. } => found.extend(of(prologue)),
        Core::RowChain(chain) => found.extend(chain.links.iter().flat_map(|link| streams(&link.kernel))),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;
    use wgrad_plan::{PlanOptions, plan};
    use wgrad_types::{AdapterClass, Caps};

    fn found(name: &str) -> BTreeSet<String> {
        let case = cases::all().into_iter().find(|r| r.name == name).expect("a case");
        let caps = Caps { class: AdapterClass::Software, subgroup: Some(8), ..Caps::webgpu_baseline() };
        let plan = plan(&crate::build(case, 0).graph, &caps, &PlanOptions::default()).expect("a plan");
        features(case, &plan.kernels.iter().collect::<Vec<_>>())
    }

    #[test]
    fn features_include_settings_unequal_per_axis() {
        let high = found("conv2d_high");
        for op in ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"] {
            for what in ["stride", "padding", "dilation", "kernel", "image"] {
                assert!(high.contains(&format!("{op} subgroup {what}")), "{op} {what}: {high:?}");
            }
        }
        let square = found("conv2d_whole_image");
        assert!(!square.iter().any(|f| f.ends_with("stride") || f.ends_with("kernel")), "{square:?}");
    }

    #[test]
    fn features_include_streams_shared_heads_and_large_arguments() {
        assert!(found("random_twice").contains("streams"));
        assert!(!found("random").contains("streams"));
        assert!(found("attention_shared_heads").iter().any(|f| f.ends_with("heads share keys")));
        let large = found("logsumexp_peaks");
        assert!(
            large.iter().any(|f| f.starts_with("row_chain") && f.ends_with("large arguments")),
            "{large:?}"
        );
        assert!(!found("softmax_rows").iter().any(|f| f.ends_with("large arguments")));
        for (name, below) in [
            ("attention_low", true),
            ("softmax_low", true),
            ("attention_high", false),
            ("softmax_peaks", false),
        ] {
            let found = found(name);
            assert!(found.iter().any(|f| f.ends_with("large arguments")), "{name}: {found:?}");
            assert_eq!(found.iter().any(|f| f.ends_with("far below zero")), below, "{name}: {found:?}");
        }
    }
}
