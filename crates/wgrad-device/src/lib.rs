//! Runs plans: on a GPU (or a software adapter) through wgpu, or on the CPU. Only `gpu/` knows wgpu.
//!
//! [`Device::open`] selects a device, [`Device::memory`] allocates the persistent tensors,
//! [`Device::program`] compiles a plan, [`Program::step`] runs it once. A lost device, exhausted memory or a
//! rejected kernel is a [`DeviceError`], never a panic.

mod adapter;
#[cfg(feature = "gpu")]
mod cache;
mod cpu;
mod device;
mod error;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
mod gpu;
mod host;
mod open;
mod program;
mod quiet;
#[cfg(feature = "gpu")]
mod tuned;
pub mod variables;
mod workers;

pub use adapter::AdapterReport;
pub use cpu::on_the_cpu;
pub use device::Device;
pub use error::{DEVICES, DeviceError};
pub use open::{Request, Selected, adapters};
pub use program::{Memory, Program};
pub use quiet::quiet_drivers;
pub use workers::count as cpu_threads;

use wgrad_plan::PlannedKernel;

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
