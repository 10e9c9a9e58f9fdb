//! Mistakes in a plan's memory: a place given away before its last reader, a result in another one's place.

use super::{Break, Damage};
use wgrad_plan::{Place, Plan, SlotKind};

pub(super) const BREAKS: &[Break] = &[
    memory("early-end", "a value's place is given away before its last reader", |plan| {
        let kernels = plan.kernels.len();
        for i in 0..kernels {
            let Some(last) = last_reader(plan, i) else { continue };
            let place = plan.kernels[i].outputs[0];
            if last > i + 1 && plan.slots[place.slot].kind == SlotKind::Activation {
                return put(plan, i + 1, place);
            }
        }
        false
    }),
    memory("late-beginning", "a kernel reads a value's place before it is written", |plan| {
        let Some(i) =
            (1..plan.kernels.len()).find(|&i| plan.flow.reads[i].contains(&plan.flow.writes[i - 1][0]))
        else {
            return false;
        };
        plan.kernels.swap(i - 1, i);
        plan.flow.reads.swap(i - 1, i);
        plan.flow.writes.swap(i - 1, i);
        true
    }),
];

const fn memory(name: &'static str, what: &'static str, damage: fn(&mut Plan) -> bool) -> Break {
    Break { kind: "memory", name, what, damage: Damage::Memory(damage) }
}

/// Index of the last kernel reading kernel `i`'s first result.
fn last_reader(plan: &Plan, i: usize) -> Option<usize> {
    let value = plan.flow.writes[i][0];
    (i + 1..plan.kernels.len()).rev().find(|&j| plan.flow.reads[j].contains(&value))
}

/// Moves kernel `j`'s result to a place, for its readers too; false if the caller owns the result.
fn put(plan: &mut Plan, j: usize, place: Place) -> bool {
    let value = plan.flow.writes[j][0];
    let to = Place { bytes: plan.kernels[j].outputs[0].bytes, ..place };
    if plan.slots[plan.kernels[j].outputs[0].slot].kind != SlotKind::Activation {
        return false;
    }
    plan.slots[to.slot].bytes = plan.slots[to.slot].bytes.max(to.bytes.next_multiple_of(16));
    plan.kernels[j].outputs[0] = to;
    for (kernel, reads) in plan.kernels.iter_mut().zip(&plan.flow.reads).skip(j) {
        let at = reads.iter().enumerate().filter(|r| *r.1 == value).map(|r| r.0);
        at.for_each(|o| kernel.operands[o] = to);
    }
    true
}
