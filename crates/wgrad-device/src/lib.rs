//! Runs plans: on a GPU (or a software adapter) through wgpu, or on the CPU. Only `gpu/` knows wgpu.
//!
//! [`Device::open`] selects a device, [`Device::memory`] allocates the persistent tensors,
//! [`Device::program`] compiles a plan, [`Program::step`] runs it once. A lost device, exhausted memory or a
//! rejected kernel is a [`DeviceError`], never a panic.

mod cache;
mod cpu;
mod error;
mod gpu;
mod host;
mod open;
mod quiet;
mod tuned;
mod workers;

pub use cpu::on_the_cpu;
pub use error::DeviceError;
pub use gpu::AdapterReport;
pub use open::{Request, Selected, adapters};
pub use quiet::quiet_drivers;
pub use workers::count as cpu_threads;

use std::path::PathBuf;
use std::sync::Arc;
use wgrad_kernels::Launch;
use wgrad_plan::{Choices, ParamLayout, Place, Plan, PlannedKernel};
use wgrad_types::Caps;

/// A device for running plans. Cheap to clone; clones are the same device.
#[derive(Clone)]
pub enum Device {
    /// An adapter of a graphics API: a GPU, or one in software.
    Gpu(gpu::Gpu),
    /// This machine's processor.
    Cpu(cpu::Cpu),
}

/// The memory of persistent tensors, shared by the programs of a session.
pub enum Memory {
    /// On an adapter.
    Gpu(gpu::Memory),
    /// On the host.
    Cpu(cpu::Memory),
}

/// A plan ready to run.
pub enum Program {
    /// On an adapter.
    Gpu(gpu::Program),
    /// On the host.
    Cpu(cpu::Program),
}

/// Counts since a program was made, for tests and profiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Command buffers handed to the queue.
    pub submissions: u64,
    /// Buffers made on the device.
    pub allocations: u64,
    /// Bytes of the buffers the program and its memory hold on the device, those between host and device included.
    pub bytes: u64,
}

/// One kernel as it ran, with its operands and results.
pub struct Traced<'a> {
    /// The kernel.
    pub kernel: &'a PlannedKernel,
    /// Its operands, as they were before: one word per element, f16 as f32.
    pub operands: Vec<Vec<u32>>,
    /// Its results.
    pub outputs: Vec<Vec<u32>>,
}

/// Clock of a [`Profile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The adapter's timestamps: the kernels' own time.
    Adapter,
    /// This machine's clock around each kernel: on an adapter with the way there and back.
    Host,
}

/// Time per kernel of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The clock.
    pub clock: Clock,
    /// Seconds of each of `Plan::kernels`.
    pub seconds: Vec<f64>,
}

impl Device {
    /// This machine's processor; always available.
    pub fn cpu() -> Self {
        Self::Cpu(cpu::Cpu::new())
    }

    /// Capabilities for the planner.
    pub fn caps(&self) -> &Caps {
        match self {
            Self::Gpu(gpu) => gpu.caps(),
            Self::Cpu(cpu) => cpu.caps(),
        }
    }

    /// The device's own name and kind, as shown to people: "llvmpipe (software adapter, Vulkan)".
    pub fn name(&self) -> String {
        match self {
            Self::Gpu(gpu) => gpu.name(),
            Self::Cpu(cpu) => cpu.name(),
        }
    }

    /// Facts about the adapter; `None` for the CPU.
    pub fn adapter(&self) -> Option<&AdapterReport> {
        match self {
            Self::Gpu(gpu) => Some(gpu.report()),
            Self::Cpu(_) => None,
        }
    }

    /// The tuned kernel variants of this device; none for the CPU.
    pub fn choices(&self) -> Arc<Choices> {
        match self {
            Self::Gpu(gpu) => gpu.tuned().choices(),
            Self::Cpu(_) => Arc::default(),
        }
    }

    /// Adds tuned variants: plans made from now on use them, in later runs, too. Returns the path of the
    /// cache file; `None` if nothing is kept between runs.
    ///
    /// # Errors
    /// If the file cannot be written; the old one stays.
    pub fn keep(&self, choices: &Choices) -> std::io::Result<Option<PathBuf>> {
        match self {
            Self::Gpu(gpu) => gpu.tuned().keep(choices),
            Self::Cpu(_) => Ok(None),
        }
    }

    /// The same device opened anew, after it was lost or beside it.
    ///
    /// # Errors
    /// If it is gone, or the driver refuses.
    pub fn reopened(&self) -> Result<Self, DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.reopened().map(Self::Gpu),
            Self::Cpu(_) => Ok(self.clone()),
        }
    }

    /// Runs `work` on one of the CPU device's own threads; on an adapter, in the calling thread. Inside, a
    /// step is not handed over to another thread and back, which takes up to 50 µs: use this around a loop of
    /// short steps. Rayon's parallelism in `work` stays among those threads, with subnormal numbers flushed
    /// to zero. Steps of other threads wait for a free one of these threads, so `work` must not wait for
    /// them.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::Gpu(_) => work(),
            Self::Cpu(_) => workers::run(work),
        }
    }

    /// Checks if the adapter accepts a kernel's text, before its driver compiles it; the CPU accepts all.
    ///
    /// # Errors
    /// If the text is invalid or needs a feature the device was opened without.
    pub fn validate(&self, launch: &Launch) -> Result<(), DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.validate(launch),
            Self::Cpu(_) => Ok(()),
        }
    }

    /// Zeroed memory for persistent tensors.
    ///
    /// # Errors
    /// If the device has too little memory.
    pub fn memory(&self, layout: &ParamLayout) -> Result<Memory, DeviceError> {
        match self {
            Self::Gpu(gpu) => gpu.memory(layout).map(Memory::Gpu),
            Self::Cpu(_) => cpu::Memory::new(layout).map(Memory::Cpu),
        }
    }

    /// Readies a plan made for this device's `caps`, with `memory` of its layout.
    ///
    /// # Errors
    /// If a kernel does not compile (the error names kernel and layer) or memory is exhausted.
    ///
    /// # Panics
    /// If `memory` belongs to another device: a caller's bug.
    pub fn program(&self, plan: Arc<Plan>, memory: &Memory) -> Result<Program, DeviceError> {
        match (self, memory) {
            (Self::Gpu(gpu), Memory::Gpu(memory)) => gpu.program(plan, memory).map(Program::Gpu),
            (Self::Cpu(_), Memory::Cpu(_)) => cpu::Program::new(plan).map(Program::Cpu),
            _ => panic!("program: the memory belongs to another device"),
        }
    }
}

impl Memory {
    /// Overwrites a range.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn write(&mut self, place: Place, words: &[u32]) -> Result<(), DeviceError> {
        match self {
            Self::Gpu(memory) => memory.write(place, words),
            Self::Cpu(memory) => {
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
        match self {
            Self::Gpu(memory) => memory.read(place),
            Self::Cpu(memory) => Ok(memory.read(place)),
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
        match (self, memory) {
            (Self::Gpu(program), Memory::Gpu(memory)) => program.step(memory, inputs, scalars),
            (Self::Cpu(program), Memory::Cpu(memory)) => program.step(memory, inputs, scalars),
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
        match (self, memory) {
            (Self::Gpu(program), Memory::Gpu(memory)) => program.trace(memory, inputs, scalars, visit),
            (Self::Cpu(program), Memory::Cpu(memory)) => program.trace(memory, inputs, scalars, visit),
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
        match (self, memory) {
            (Self::Gpu(program), Memory::Gpu(memory)) => program.profile(memory, inputs, scalars),
            (Self::Cpu(program), Memory::Cpu(memory)) => program.profile(memory, inputs, scalars),
            _ => panic!("profile: the memory belongs to another device"),
        }
    }

    /// The oldest step's results (in the order of `Plan::outputs`) if it has finished; does not block.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn ready(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        match self {
            Self::Gpu(program) => program.ready(),
            Self::Cpu(program) => Ok(program.take()),
        }
    }

    /// The oldest uncollected step's results, waiting for it; `None` if none is in flight.
    ///
    /// # Errors
    /// If the device is lost.
    pub fn wait(&mut self) -> Result<Option<Vec<Vec<u32>>>, DeviceError> {
        match self {
            Self::Gpu(program) => program.wait(),
            Self::Cpu(program) => Ok(program.take()),
        }
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        match self {
            Self::Gpu(program) => program.counters(),
            Self::Cpu(program) => program.counters(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        match self {
            Self::Gpu(program) => program.plan(),
            Self::Cpu(program) => program.plan(),
        }
    }
}
