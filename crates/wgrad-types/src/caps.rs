//! Capabilities of an adapter, as plain data for the planner and the choice of kernels.

use std::fmt;

/// Kind of hardware behind a device. Decides the default variants, and the order of devices for `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdapterClass {
    /// A GPU with its own memory.
    Discrete,
    /// A GPU sharing the processor's memory.
    Integrated,
    /// A GPU of unknown kind (virtual machines, browsers).
    OtherGpu,
    /// A graphics API implemented on the processor (lavapipe, SwiftShader, WARP). Never called a GPU.
    Software,
    /// wgrad's own processor device.
    Cpu,
}

impl fmt::Display for AdapterClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete GPU",
            Self::Integrated => "integrated GPU",
            Self::OtherGpu => "GPU",
            Self::Software => "software adapter",
            Self::Cpu => "CPU",
        })
    }
}

/// Limits for a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Maximum number of storage buffers per kernel.
    pub storage_buffers: usize,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Maximum invocations per workgroup.
    pub workgroup_size: usize,
    /// Bytes in one binding.
    pub binding_bytes: usize,
    /// Bytes in one buffer.
    pub buffer_bytes: usize,
    /// Alignment of a binding's offset, in bytes.
    pub offset_alignment: usize,
    /// Workgroups along one dimension of a dispatch.
    pub groups: u32,
}

impl Limits {
    /// Default limits of every WebGPU implementation.
    pub const WEBGPU_BASELINE: Self = Self {
        storage_buffers: 8,
        workgroup_bytes: 16 << 10,
        workgroup_size: 256,
        binding_bytes: 128 << 20,
        buffer_bytes: 256 << 20,
        offset_alignment: 256,
        groups: 65_535,
    };
}

/// Hardware vendor, as far as kernels depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// AMD.
    Amd,
    /// Apple.
    Apple,
    /// Intel.
    Intel,
    /// NVIDIA.
    Nvidia,
    /// Any other, or unknown.
    Other,
}

impl Vendor {
    /// Vendor of a PCI vendor id, which Metal's adapters have, too.
    pub fn of(id: u32) -> Self {
        match id {
            0x1002 => Self::Amd,
            0x106b => Self::Apple,
            0x8086 => Self::Intel,
            0x10de => Self::Nvidia,
            _ => Self::Other,
        }
    }
}

/// Capabilities of an adapter: class, limits and the optional features kernels may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Kind of hardware.
    pub class: AdapterClass,
    /// Hardware vendor.
    pub vendor: Vendor,
    /// Limits in force.
    pub limits: Limits,
    /// Shaders may load and store f16.
    pub f16: bool,
    /// The subgroup size if subgroup operations exist and the size is fixed.
    pub subgroup: Option<u32>,
}

impl Caps {
    /// The lowest common denominator: a GPU with nothing but WebGPU's default limits, no subgroups.
    pub fn webgpu_baseline() -> Self {
        Self {
            class: AdapterClass::OtherGpu,
            vendor: Vendor::Other,
            limits: Limits::WEBGPU_BASELINE,
            f16: false,
            subgroup: None,
        }
    }

    /// The native CPU device: no limits worth the name.
    pub fn cpu() -> Self {
        let limits = Limits {
            storage_buffers: usize::MAX,
            workgroup_bytes: usize::MAX,
            workgroup_size: usize::MAX,
            binding_bytes: usize::MAX,
            buffer_bytes: usize::MAX,
            offset_alignment: 256,
            groups: u32::MAX,
        };
        Self { class: AdapterClass::Cpu, vendor: Vendor::Other, limits, f16: false, subgroup: None }
    }
}
