//! The CPU device: one slice per slot, kernels run by their CPU twins, no transfers.

use crate::{Clock, Counters, DeviceError, Profile, Traced, host, workers};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use wgrad_kernels::cpu::{AlignedVec, scratch_words};
use wgrad_kernels::{CpuBuffers, Failed, Kernel, Prepared, SmallList, run_cpu};
use wgrad_plan::{ParamLayout, Place, Plan};
use wgrad_types::{Caps, numel};

/// This machine's processor.
#[derive(Clone)]
pub(crate) struct Cpu {
    caps: Caps,
}

impl Cpu {
    pub(crate) fn new() -> Self {
        Self { caps: Caps::cpu() }
    }

    pub(crate) fn caps(&self) -> &Caps {
        &self.caps
    }

    pub(crate) fn name(&self) -> String {
        let threads = workers::count();
        format!("native CPU ({threads} thread{})", if threads == 1 { "" } else { "s" })
    }
}

type Slots = Vec<AlignedVec<u32>>;

/// Persistent tensors.
pub(crate) struct Memory {
    slots: Slots,
    /// Number of writes to each slot.
    writes: Vec<u64>,
}

impl Memory {
    pub(crate) fn new(layout: &ParamLayout) -> Result<Self, DeviceError> {
        Ok(Self { slots: host::slots(&layout.slots)?, writes: vec![0; layout.slots.len()] })
    }

    pub(crate) fn write(&mut self, place: Place, words: &[u32]) {
        self.slots[place.slot][words_of(place)].copy_from_slice(words);
        self.writes[place.slot] += 1;
    }

    pub(crate) fn read(&self, place: Place) -> Vec<u32> {
        self.slots[place.slot][words_of(place)].to_vec()
    }
}

fn words_of(place: Place) -> std::ops::Range<usize> {
    place.offset / 4..(place.offset + place.bytes) / 4
}

/// A plan with the memory of everything that does not persist.
pub(crate) struct Program {
    plan: Arc<Plan>,
    slots: Slots,
    /// Element-wise code per kernel, and the number of writes at the time its operand was packed.
    prepared: Vec<Prepared>,
    packed: Vec<Option<u64>>,
    /// Results of steps, in order, until they are asked for; and empty lists for reuse.
    done: VecDeque<Vec<u32>>,
    spent: Vec<Vec<u32>>,
}

impl Program {
    pub(crate) fn new(plan: Arc<Plan>) -> Result<Self, DeviceError> {
        let shared = plan.layout.slots.len();
        let mut slots: Slots = host::slots(&plan.slots[shared..])?;
        for (place, tensor) in &plan.literals {
            slots[place.slot - shared][words_of(*place)].copy_from_slice(&tensor.words);
        }
        let (prepared, packed) =
            (plan.kernels.iter().map(|s| Prepared::new(&s.kernel)).collect(), vec![None; plan.kernels.len()]);
        Ok(Self { plan, slots, prepared, packed, done: VecDeque::new(), spent: Vec::new() })
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn step(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<(), DeviceError> {
        let plan = self.plan.clone();
        let mut all = All::fed(&plan, memory, (&mut self.slots, &self.prepared, &mut self.packed), inputs);
        workers::run(|| (0..plan.kernels.len()).try_for_each(|i| all.run(&plan, i, scalars)))?;
        let mut results = self.spent.pop().unwrap_or_default();
        for output in &plan.outputs {
            results.extend_from_slice(&all.read(output.place.slot)[words_of(output.place)]);
        }
        self.done.push_back(results);
        Ok(())
    }

    /// Like [`Program::step`], with a clock at every kernel.
    pub(crate) fn profile(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<Profile, DeviceError> {
        let plan = self.plan.clone();
        let mut all = All::fed(&plan, memory, (&mut self.slots, &self.prepared, &mut self.packed), inputs);
        let mut timed = |i: usize| {
            let start = Instant::now();
            all.run(&plan, i, scalars)?;
            Ok(start.elapsed().as_secs_f64())
        };
        let seconds: Result<_, DeviceError> =
            workers::run(|| (0..plan.kernels.len()).map(&mut timed).collect());
        Ok(Profile { clock: Clock::Host, seconds: seconds? })
    }

    /// Like [`Program::step`], showing `visit` every kernel's operands and results; ends early if it returns
    /// false.
    pub(crate) fn trace(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
        visit: &mut dyn FnMut(&Traced<'_>) -> bool,
    ) -> Result<(), DeviceError> {
        let plan = self.plan.clone();
        let mut all = All::fed(&plan, memory, (&mut self.slots, &self.prepared, &mut self.packed), inputs);
        for (i, kernel) in plan.kernels.iter().enumerate() {
            let look = |all: &All<'_>, places: &[Place]| {
                places.iter().map(|p| all.read(p.slot)[words_of(*p)].to_vec()).collect::<Vec<_>>()
            };
            let operands = look(&all, &kernel.operands);
            workers::run(|| all.run(&plan, i, scalars))?;
            let outputs = look(&all, &kernel.outputs);
            if !visit(&Traced { kernel, operands, outputs }) {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn take(&mut self) -> Option<Vec<Vec<u32>>> {
        let mut done = self.done.pop_front()?;
        let mut rest = &done[..];
        let words = self.plan.outputs.iter().map(|output| {
            let (words, after) = rest.split_at(output.place.bytes / 4);
            rest = after;
            words.to_vec()
        });
        let results = words.collect();
        done.clear();
        self.spent.push(done);
        Some(results)
    }

    pub(crate) fn counters(&self) -> Counters {
        let shared: usize = self.plan.layout.slots.iter().map(|s| s.bytes).sum();
        let own: usize = self.slots.iter().map(|s| s.len() * 4).sum();
        Counters { submissions: 0, allocations: 0, bytes: (shared + own) as u64 }
    }
}

/// Slots by the plan's numbering: the persistent ones first.
struct All<'a> {
    shared: &'a mut Slots,
    writes: &'a mut [u64],
    own: &'a mut Slots,
    prepared: &'a [Prepared],
    packed: &'a mut [Option<u64>],
}

impl<'a> All<'a> {
    /// Copies a step's inputs to their places.
    fn fed(
        plan: &Plan,
        memory: &'a mut Memory,
        (own, prepared, packed): (&'a mut Slots, &'a [Prepared], &'a mut [Option<u64>]),
        inputs: &[&[u32]],
    ) -> Self {
        assert_eq!(inputs.len(), plan.inputs.len(), "step: number of inputs");
        let mut all = Self { shared: &mut memory.slots, writes: &mut memory.writes, own, prepared, packed };
        for (named, words) in plan.inputs.iter().zip(inputs) {
            all.slot(named.place.slot)[words_of(named.place)].copy_from_slice(words);
        }
        all
    }

    fn slot(&mut self, slot: usize) -> &mut AlignedVec<u32> {
        let shared = self.shared.len();
        if slot < shared { &mut self.shared[slot] } else { &mut self.own[slot - shared] }
    }

    fn read(&self, slot: usize) -> &[u32] {
        let shared = self.shared.len();
        if slot < shared { &self.shared[slot] } else { &self.own[slot - shared] }
    }

    /// Runs one kernel.
    fn run(&mut self, plan: &Plan, i: usize, scalars: &[u32]) -> Result<(), DeviceError> {
        let s = &plan.kernels[i];
        let writes_of = |j: usize| self.writes[s.operands[j].slot];
        let current = s.packed.map(writes_of);
        let packed = current.is_some() && self.packed[i] == current;
        let writes = || s.outputs.iter().chain(&s.scratch);
        let mut taken: SmallList<AlignedVec<u32>> =
            writes().map(|p| std::mem::take(self.slot(p.slot))).collect();
        let operand = |(j, place): (usize, &Place)| match s.kernel.in_place.contains(&Some(j)) {
            true => &[] as &[u32],
            false => &self.read(place.slot)[words_of(*place)],
        };
        let operands = s.operands.iter().enumerate().map(operand).collect();
        let mut slices = taken.iter_mut().zip(writes()).map(|(slot, place)| &mut slot[words_of(*place)]);
        let outputs: SmallList<&mut [u32]> = slices.by_ref().take(s.outputs.len()).collect();
        let scratch = slices.next().unwrap_or_default();
        let prepared = &self.prepared[i];
        let done = run_cpu(&s.kernel, prepared, CpuBuffers { operands, outputs, scalars, scratch, packed });
        for (place, words) in writes().zip(taken) {
            *self.slot(place.slot) = words;
        }
        self.packed[i] = current;
        for place in &s.outputs {
            // Persistent slots come first.
            self.writes.get_mut(place.slot).into_iter().for_each(|n| *n += 1);
        }
        done.map_err(|Failed(why)| DeviceError::Failed { kernel: s.label(), why })
    }
}

/// One kernel's results from these operands by its CPU twin, whatever the operands' device: one word per
/// element, f16 as f32.
///
/// # Errors
/// If it is a user's operation and fails.
pub fn on_the_cpu(
    kernel: &Kernel,
    operands: &[Vec<u32>],
    scalars: &[u32],
) -> Result<Vec<Vec<u32>>, DeviceError> {
    let kernel = &kernel.widened();
    let taken_over = |o: usize| kernel.in_place.get(o).copied().flatten();
    let fresh =
        |o| taken_over(o).map_or_else(|| vec![0; numel(&kernel.output_shape(o))], |j| operands[j].clone());
    let mut outputs: Vec<Vec<u32>> = (0..kernel.outputs.len()).map(fresh).collect();
    let given = |(j, words): (usize, &'_ Vec<u32>)| match kernel.in_place.contains(&Some(j)) {
        true => Vec::new(),
        false => words.clone(),
    };
    let operands: Vec<Vec<u32>> = operands.iter().enumerate().map(given).collect();
    let mut scratch = vec![0; scratch_words(kernel)];
    let buffers = CpuBuffers {
        operands: operands.iter().map(Vec::as_slice).collect(),
        outputs: outputs.iter_mut().map(Vec::as_mut_slice).collect(),
        scalars,
        scratch: &mut scratch,
        packed: false,
    };
    let done = workers::run(|| run_cpu(kernel, &Prepared::new(kernel), buffers));
    done.map_err(|Failed(why)| DeviceError::Failed { kernel: kernel.name().to_owned(), why })?;
    Ok(outputs)
}
