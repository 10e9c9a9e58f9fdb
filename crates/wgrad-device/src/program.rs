//! Memory of persistent tensors, and plans ready to run over it, on whichever device.

use crate::{Counters, DeviceError, Profile, Traced, cpu, gpu};
use std::sync::Arc;
use wgrad_plan::{Place, Plan};

/// Memory of persistent tensors, shared by the programs of a session.
pub struct Memory(pub(crate) MemoryKind);

pub(crate) enum MemoryKind {
    Gpu(gpu::Memory),
    Cpu(cpu::Memory),
}

/// A plan ready to run.
pub struct Program(pub(crate) ProgramKind);

pub(crate) enum ProgramKind {
    Gpu(gpu::Program),
    Cpu(cpu::Program),
}

impl Memory {
    /// Overwrites a range.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn write(&mut self, place: Place, words: &[u32]) -> Result<(), DeviceError> {
        match &mut self.0 {
            MemoryKind::Gpu(memory) => memory.write(place, words),
            MemoryKind::Cpu(memory) => {
                memory.write(place, words);
                Ok(())
            }
        }
    }

    /// A range's words; waits for work under way.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn read(&self, place: Place) -> Result<Vec<u32>, DeviceError> {
        match &self.0 {
            MemoryKind::Gpu(memory) => memory.read(place),
            MemoryKind::Cpu(memory) => Ok(memory.read(place)),
        }
    }
}

impl Program {
    /// Runs the plan once: `inputs` in the order of `Plan::inputs`, `scalars` from word 0 (seed, step, then
    /// `Plan::scalars`). Returns as soon as the work is submitted; results queue up for [`Program::wait`] and
    /// [`Program::ready`]. Only a few steps may be in flight; further ones wait for the oldest.
    ///
    /// # Errors
    /// If the device is lost or rejects the work.
    ///
    /// # Panics
    /// If inputs or scalars differ from the plan's in number or size, or `memory` belongs to another device.
    pub fn step(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<(), DeviceError> {
        match (&mut self.0, &mut memory.0) {
            (ProgramKind::Gpu(program), MemoryKind::Gpu(memory)) => program.step(memory, inputs, scalars),
            (ProgramKind::Cpu(program), MemoryKind::Cpu(memory)) => program.step(memory, inputs, scalars),
            _ => panic!("step: the memory belongs to another device"),
        }
    }

    /// Runs the plan once, kernel by kernel, and shows each one's operands and results; ends early, in the
    /// middle of the step, if `visit` returns `false`. The same kernels in the same memory as
    /// [`Program::step`], so the same bits; slow. Leaves no results to wait for.
    ///
    /// # Errors
    /// If the device is lost or rejects the work.
    ///
    /// # Panics
    /// As [`Program::step`].
    pub fn trace(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
        visit: &mut dyn FnMut(&Traced<'_>) -> bool,
    ) -> Result<(), DeviceError> {
        match (&mut self.0, &mut memory.0) {
            (ProgramKind::Gpu(program), MemoryKind::Gpu(memory)) => {
                program.trace(memory, inputs, scalars, visit)
            }
            (ProgramKind::Cpu(program), MemoryKind::Cpu(memory)) => {
                program.trace(memory, inputs, scalars, visit)
            }
            _ => panic!("trace: the memory belongs to another device"),
        }
    }

    /// Runs the plan once, kernel by kernel, with a clock at each. Leaves no results to wait for.
    ///
    /// # Errors
    /// If the device is lost or rejects the work.
    ///
    /// # Panics
    /// As [`Program::step`].
    pub fn profile(
        &mut self,
        memory: &mut Memory,
        inputs: &[&[u32]],
        scalars: &[u32],
    ) -> Result<Profile, DeviceError> {
        match (&mut self.0, &mut memory.0) {
            (ProgramKind::Gpu(program), MemoryKind::Gpu(memory)) => program.profile(memory, inputs, scalars),
            (ProgramKind::Cpu(program), MemoryKind::Cpu(memory)) => program.profile(memory, inputs, scalars),
            _ => panic!("profile: the memory belongs to another device"),
        }
    }

    /// The oldest step's results (in the order of `Plan::outputs`) if it has finished; does not block.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn ready(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        match &mut self.0 {
            ProgramKind::Gpu(program) => program.ready(),
            ProgramKind::Cpu(program) => Ok(program.take()),
        }
    }

    /// The oldest uncollected step's results, waiting for it; `None` if none is in flight.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn wait(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        match &mut self.0 {
            ProgramKind::Gpu(program) => program.wait(),
            ProgramKind::Cpu(program) => Ok(program.take()),
        }
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        match &self.0 {
            ProgramKind::Gpu(program) => program.counters(),
            ProgramKind::Cpu(program) => program.counters(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        match &self.0 {
            ProgramKind::Gpu(program) => program.plan(),
            ProgramKind::Cpu(program) => program.plan(),
        }
    }
}
