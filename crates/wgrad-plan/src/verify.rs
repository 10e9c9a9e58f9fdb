//! The planner's proof: no two live values overlap, no dispatch binds one buffer both for reading and writing,
//! or writes a place twice.

use crate::plan::{Place, Plan};

fn overlap(a: &Place, b: &Place) -> bool {
    a.slot == b.slot && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes
}

/// Checks a plan; an error names the two values or the step.
///
/// # Errors
/// Where memory of two live values overlaps, a range leaves its slot, or a step reads and writes one slot other than
/// in place.
pub fn verify(plan: &Plan) -> Result<(), String> {
    let places = plan.values.iter().map(|v| &v.place).chain(plan.layout.params.iter().map(|p| &p.place));
    for p in
        places.chain(plan.steps.iter().flat_map(|s| s.operands.iter().chain(&s.outputs).chain(&s.scratch)))
    {
        if p.offset + p.bytes > plan.slots[p.slot].bytes {
            return Err(format!("{p:?} leaves its slot of {} bytes", plan.slots[p.slot].bytes));
        }
    }
    for (i, a) in plan.values.iter().enumerate() {
        for (j, b) in plan.values.iter().enumerate().skip(i + 1) {
            let handed_over = b.takes_over == Some(i) && a.last == b.first;
            let both_live = a.first <= b.last && b.first <= a.last;
            if both_live && overlap(&a.place, &b.place) && !handed_over {
                return Err(format!("values {i} ({a:?}) and {j} ({b:?}) are live at once in one place"));
            }
        }
    }
    for (i, a) in plan.layout.params.iter().enumerate() {
        if let Some(b) = plan.layout.params[i + 1..].iter().find(|b| overlap(&a.place, &b.place)) {
            return Err(format!("parameters {} and {} overlap", a.name, b.name));
        }
    }
    for (i, s) in plan.steps.iter().enumerate() {
        let written: Vec<&Place> = s.outputs.iter().chain(&s.scratch).collect();
        for (j, a) in written.iter().enumerate() {
            if written[j + 1..].iter().any(|b| overlap(a, b)) {
                return Err(format!("step {i} ({}) writes slot {} twice", s.label(), a.slot));
            }
        }
        for (o, out) in s.outputs.iter().enumerate() {
            for (j, x) in s.operands.iter().enumerate() {
                if x.slot == out.slot && s.step.in_place[o] != Some(j) {
                    return Err(format!("step {i} ({}) reads and writes slot {}", s.label(), x.slot));
                }
            }
        }
    }
    Ok(())
}
