//! The device: an adapter of a graphics API or this machine's processor, behind one set of methods.

use crate::program::{MemoryKind, ProgramKind};
use crate::{AdapterReport, DeviceError, Memory, Program, cpu, gpu, workers};
use std::path::PathBuf;
use std::sync::Arc;
use wgrad_kernels::Launch;
use wgrad_plan::{Choices, ParamLayout, Plan};
use wgrad_types::Caps;

/// Something that runs plans. Cheap to clone; clones are the same device.
///
/// ```
/// use wgrad_device::Device;
/// let device = Device::cpu();
/// assert!(device.adapter().is_none() && device.name().starts_with("native CPU"));
/// ```
#[derive(Clone)]
pub struct Device {
    pub(crate) kind: Kind,
    pub(crate) reason: Arc<str>,
}

#[derive(Clone)]
pub(crate) enum Kind {
    /// An adapter of a graphics API: a GPU, or one in software.
    Gpu(gpu::Gpu),
    /// This machine's processor.
    Cpu(cpu::Cpu),
}

impl Device {
    /// This machine's processor; always available. Its widest vector instructions, whatever `WGRAD_VECTORS` says:
    /// [`Device::open`] heeds variables.
    pub fn cpu() -> Self {
        let cpu = cpu::Cpu::new();
        let reason = format!("cpu: {}, as asked", cpu.name()).into();
        Self { kind: Kind::Cpu(cpu), reason }
    }

    /// Capabilities for the planner.
    pub fn caps(&self) -> &Caps {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.caps(),
            Kind::Cpu(cpu) => cpu.caps(),
        }
    }

    /// The device's own name and kind, as shown to people: "llvmpipe (software adapter, Vulkan)".
    pub fn name(&self) -> String {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.name(),
            Kind::Cpu(cpu) => cpu.name(),
        }
    }

    /// Facts about the adapter; `None` for the CPU.
    pub fn adapter(&self) -> Option<&AdapterReport> {
        match &self.kind {
            Kind::Gpu(gpu) => Some(gpu.report()),
            Kind::Cpu(_) => None,
        }
    }

    /// The tuned kernel variants of this device; none for the CPU.
    pub fn choices(&self) -> Arc<Choices> {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.choices(),
            Kind::Cpu(_) => Arc::default(),
        }
    }

    /// Adds tuned variants: plans made from now on use them, in later runs, too. Returns the path of the
    /// cache file; `None` if nothing is kept between runs.
    ///
    /// # Errors
    /// If the file cannot be written; the old one stays.
    pub fn keep(&self, choices: &Choices) -> std::io::Result<Option<PathBuf>> {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.keep(choices),
            Kind::Cpu(_) => Ok(None),
        }
    }

    /// The same device opened anew, after it was lost or beside it.
    ///
    /// # Errors
    /// If it is gone, or the driver refuses.
    pub fn reopened(&self) -> Result<Self, DeviceError> {
        match &self.kind {
            Kind::Gpu(gpu) => Ok(Self { kind: Kind::Gpu(gpu.reopened()?), reason: self.reason.clone() }),
            Kind::Cpu(_) => Ok(self.clone()),
        }
    }

    /// Runs `work` on one of the CPU device's own threads; on an adapter, in the calling thread. Inside, a
    /// step is not handed over to another thread and back, which takes up to 50 µs: use this around a loop of
    /// short steps. Rayon's parallelism in `work` stays among those threads, with subnormal numbers flushed
    /// to zero. Steps of other threads wait for a free one of these threads, so `work` must not wait for
    /// them.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.kind {
            Kind::Gpu(_) => work(),
            Kind::Cpu(_) => workers::run(work),
        }
    }

    /// Checks if the adapter accepts a kernel's text, before its driver compiles it; the CPU accepts all.
    ///
    /// # Errors
    /// If the text is invalid or needs a feature the device was opened without.
    pub fn validate(&self, launch: &Launch) -> Result<(), DeviceError> {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.validate(launch),
            Kind::Cpu(_) => Ok(()),
        }
    }

    /// Zeroed memory for persistent tensors.
    ///
    /// # Errors
    /// If the device has too little memory.
    pub fn memory(&self, layout: &ParamLayout) -> Result<Memory, DeviceError> {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.memory(layout).map(MemoryKind::Gpu).map(Memory),
            Kind::Cpu(_) => cpu::Memory::new(layout).map(MemoryKind::Cpu).map(Memory),
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
        match (&self.kind, &memory.0) {
            (Kind::Gpu(gpu), MemoryKind::Gpu(memory)) => {
                gpu.program(plan, memory).map(ProgramKind::Gpu).map(Program)
            }
            (Kind::Cpu(_), MemoryKind::Cpu(_)) => cpu::Program::new(plan).map(ProgramKind::Cpu).map(Program),
            _ => panic!("program: the memory belongs to another device"),
        }
    }

    /// One line on the choice: what was asked for, what was taken, and why.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Gives an adapter up, as a reset or an unplugged card would: every later call on it, its memories and programs is a
    /// [`DeviceError::Lost`]. The CPU stays. For tests of programs that must survive that.
    pub fn destroy(&self) {
        match &self.kind {
            Kind::Gpu(gpu) => gpu.destroy(),
            Kind::Cpu(_) => {}
        }
    }
}
