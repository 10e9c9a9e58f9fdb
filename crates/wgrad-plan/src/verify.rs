//! The planner's proof: every kernel finds its operands in their places, and no dispatch binds one buffer
//! both for reading and writing, or writes a place twice.
//!
//! Independent of the planner's lifetimes: simulates two runs of the plan, as a device would run it, with a
//! record of the value in every place. [`Flow`](crate::Flow) numbers the values read and written per kernel,
//! from before memory was placed; any other write empties a place.

use crate::plan::{Place, Plan, PlannedKernel};
use wgrad_kernels::{Core, Instr};

/// Content of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// A value, as the kernel's readers expect it.
    Value(usize),
    /// A persistent value after its update: nobody reads it before the next run.
    Updated(usize),
    /// The packed operand of this kernel, kept from run to run.
    Packed(usize),
    /// A persistent tensor of the layout, used by other plans only.
    Other(usize),
}

/// Places in use, per slot.
struct Memory<'a> {
    plan: &'a Plan,
    slots: Vec<Vec<(Place, Held)>>,
    /// True in the second run: operands are packed already.
    again: bool,
}

fn overlap(a: &Place, b: &Place) -> bool {
    a.slot == b.slot && a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes
}

impl Memory<'_> {
    /// Writes; anything overlapping the place is lost.
    fn put(&mut self, place: Place, held: Option<Held>) {
        let slot = &mut self.slots[place.slot];
        slot.retain(|(p, _)| !overlap(p, &place));
        slot.extend(held.map(|held| (place, held)));
    }

    fn holds(&self, place: &Place, held: Held) -> bool {
        self.slots[place.slot].iter().any(|(p, h)| *h == held && p == place)
    }

    /// The value and its place, or the members of a page and theirs.
    fn parts(&self, value: usize, place: Place) -> Vec<(usize, Place)> {
        let part = |&(v, offset, bytes): &(usize, usize, usize)| {
            (v, Place { offset: place.offset + offset, bytes, ..place })
        };
        match self.plan.flow.pages.get(&value) {
            Some(members) => members.iter().map(part).collect(),
            None => vec![(value, place)],
        }
    }

    fn kernel(&mut self, i: usize, s: &PlannedKernel) -> Result<(), String> {
        let (flow, label) = (&self.plan.flow, s.label());
        for (&value, place) in flow.reads[i].iter().zip(&s.operands) {
            for (v, part) in self.parts(value, *place) {
                if !self.holds(&part, Held::Value(v)) {
                    let found = self.slots[part.slot].iter().find(|(p, _)| overlap(p, &part));
                    return Err(format!(
                        "kernel {i} ({label}) reads value {v} at {part:?}, which holds {found:?}"
                    ));
                }
            }
        }
        if s.packed.is_some() && self.again {
            let lost = s.scratch.iter().find(|place| !self.holds(place, Held::Packed(i)));
            if let Some(place) = lost {
                return Err(format!("kernel {i} ({label}) finds at {place:?} no longer what it packed"));
            }
        }
        let held = s.packed.map(|_| Held::Packed(i));
        s.scratch.iter().for_each(|&place| self.put(place, held));
        for (&value, place) in flow.writes[i].iter().zip(&s.outputs) {
            for (v, part) in self.parts(value, *place) {
                let persistent = flow.given.iter().any(|g| g.0 == v);
                self.put(part, Some(if persistent { Held::Updated(v) } else { Held::Value(v) }));
            }
        }
        Ok(())
    }

    /// One run: inputs are fed again, other values of the run before are gone.
    fn run(&mut self) -> Result<(), String> {
        let plan = self.plan;
        for slot in &mut self.slots {
            slot.retain(|(_, h)| !matches!(h, Held::Value(_)));
        }
        for (i, param) in plan.layout.params.iter().enumerate() {
            self.put(param.place, Some(Held::Other(i)));
        }
        for &(value, place) in &plan.flow.given {
            self.put(place, Some(Held::Value(value)));
        }
        for (i, s) in plan.kernels.iter().enumerate() {
            self.kernel(i, s)?;
        }
        for (&value, named) in plan.flow.results.iter().zip(&plan.outputs) {
            if !self.holds(&named.place, Held::Value(value)) {
                return Err(format!("the result {} is written over", named.name));
            }
        }
        for &(value, place) in &plan.flow.given {
            let fed = plan.inputs.iter().any(|input| input.place == place);
            if !fed && !self.holds(&place, Held::Value(value)) && !self.holds(&place, Held::Updated(value)) {
                return Err(format!("value {value} at {place:?}, which is to stay, is written over"));
            }
        }
        for (i, param) in plan.layout.params.iter().enumerate() {
            let own = plan.flow.given.iter().any(|g| g.1 == param.place);
            if !own && !self.holds(&param.place, Held::Other(i)) {
                return Err(format!("{}, which is to stay for other plans, is written over", param.name));
            }
        }
        Ok(())
    }
}

/// Checks a plan; an error names the value or the kernel.
///
/// # Errors
/// If a kernel reads a place without its operand, a result or a persistent tensor is overwritten, a range
/// leaves its slot, or a kernel reads and writes one slot other than in place.
pub fn verify(plan: &Plan) -> Result<(), String> {
    let flow = &plan.flow;
    if [flow.reads.len(), flow.writes.len()] != [plan.kernels.len(); 2]
        || flow.results.len() != plan.outputs.len()
    {
        return Err("the plan does not say which values its kernels read and write".to_owned());
    }
    let params = plan.layout.params.iter().map(|p| &p.place);
    let given =
        plan.inputs.iter().chain(&plan.outputs).map(|n| &n.place).chain(flow.given.iter().map(|g| &g.1));
    let of_steps = plan.kernels.iter().flat_map(|s| s.operands.iter().chain(&s.outputs).chain(&s.scratch));
    for p in params.chain(given).chain(of_steps) {
        if p.offset.checked_add(p.bytes).is_none_or(|end| end > plan.slots[p.slot].bytes) {
            return Err(format!("{p:?} leaves its slot of {} bytes", plan.slots[p.slot].bytes));
        }
    }
    for (i, a) in plan.layout.params.iter().enumerate() {
        if let Some(b) = plan.layout.params[i + 1..].iter().find(|b| overlap(&a.place, &b.place)) {
            return Err(format!("parameters {} and {} overlap", a.name, b.name));
        }
    }
    for (i, s) in plan.kernels.iter().enumerate() {
        bindings(i, s)?;
        let changes = |j: usize| flow.writes.iter().flatten().any(|&v| v == flow.reads[i][j]);
        if s.packed.is_some_and(changes) {
            return Err(format!("kernel {i} ({}) keeps packed what the plan changes", s.label()));
        }
    }
    let mut memory = Memory { plan, slots: vec![Vec::new(); plan.slots.len()], again: false };
    memory.run()?;
    memory.again = true;
    memory.run().map_err(|why| format!("in a second run: {why}"))
}

/// Checks the bindings of one kernel.
fn bindings(i: usize, s: &PlannedKernel) -> Result<(), String> {
    let written: Vec<&Place> = s.outputs.iter().chain(&s.scratch).collect();
    for (j, a) in written.iter().enumerate() {
        if written[j + 1..].iter().any(|b| overlap(a, b)) {
            return Err(format!("kernel {i} ({}) writes slot {} twice", s.label(), a.slot));
        }
    }
    for (j, x) in s.operands.iter().enumerate() {
        if s.scratch.iter().any(|p| p.slot == x.slot) {
            return Err(format!(
                "kernel {i} ({}) reads slot {} and has its scratch there",
                s.label(),
                x.slot
            ));
        }
        for (o, out) in s.outputs.iter().enumerate() {
            if x.slot != out.slot {
                continue;
            }
            let own = |instr: &Instr| match instr {
                Instr::Load { operand, view } => *operand != j || view.is_contiguous(),
                _ => true,
            };
            let in_order = s.kernel.core == Core::Map && s.kernel.epilogue.instrs.iter().all(own);
            let one_place = (x.offset, x.bytes) == (out.offset, out.bytes);
            if s.kernel.in_place[o] != Some(j) || !in_order || !one_place {
                return Err(format!("kernel {i} ({}) reads and writes slot {}", s.label(), x.slot));
            }
        }
    }
    Ok(())
}
