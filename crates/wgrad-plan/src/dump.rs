//! A plan as text, for people and snapshot tests: one line per kernel, then the totals.

use crate::plan::{Plan, SlotKind};
use std::fmt::Write;
use wgrad_graph::Role;

/// A plan's totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Dispatches per training step.
    pub dispatches: usize,
    /// Floating-point operations per step.
    pub flops: u64,
    /// Bytes read and written per step if every operand is touched once.
    pub bytes: u64,
    /// Bytes of all buffers, staging and threads' own blocks included.
    pub peak_bytes: usize,
    /// Of these, weights and buffers, including their packed copies.
    pub weight_bytes: usize,
    /// Optimizer state.
    pub state_bytes: usize,
    /// Gradients.
    pub gradient_bytes: usize,
    /// Activations and scratch.
    pub activation_bytes: usize,
    /// Staging buffers between host and adapter.
    pub staging_bytes: usize,
    /// Scratch memory of the CPU's threads; see [`Plan::thread_bytes`].
    pub thread_bytes: usize,
}

impl Summary {
    /// Totals of a plan, without thread scratch.
    pub fn of(plan: &Plan) -> Self {
        Self::on(plan, 0)
    }

    /// Totals with the scratch of this many CPU threads, if the plan runs on the CPU.
    pub fn on(plan: &Plan, threads: usize) -> Self {
        let held = |f: fn(SlotKind) -> bool| plan.slots.iter().filter(|s| f(s.kind)).map(|s| s.bytes).sum();
        Self {
            dispatches: plan.dispatches(),
            flops: plan.kernels.iter().map(|s| s.cost.flops).sum(),
            bytes: plan.kernels.iter().map(|s| s.cost.bytes).sum(),
            peak_bytes: plan.peak_bytes() + plan.staging_bytes() + plan.thread_bytes(threads),
            weight_bytes: held(|k| {
                matches!(k, SlotKind::Param(Role::Weight | Role::Buffer) | SlotKind::Packed)
            }),
            state_bytes: held(|k| k == SlotKind::Param(Role::State)),
            gradient_bytes: held(|k| k == SlotKind::Gradient),
            activation_bytes: held(|k| k == SlotKind::Activation),
            staging_bytes: plan.staging_bytes(),
            thread_bytes: plan.thread_bytes(threads),
        }
    }
}

/// One line per kernel: number, name, layer, output shape, buffers, work.
pub fn dump(plan: &Plan) -> String {
    let mut text = String::new();
    for (i, s) in plan.kernels.iter().enumerate() {
        let slots = |places: &[crate::Place]| {
            let names: Vec<String> =
                places
                    .iter()
                    .map(|p| {
                        if p.offset == 0 {
                            format!("s{}", p.slot)
                        } else {
                            format!("s{}+{}", p.slot, p.offset)
                        }
                    })
                    .collect();
            names.join(" ")
        };
        let _ = writeln!(
            text,
            "{i:4}  {:<44} {:<18} {} -> {}  {} flop",
            s.label(),
            format!("{:?}", s.kernel.shape),
            slots(&s.operands),
            slots(&s.outputs),
            s.cost.flops
        );
    }
    text
}
