//! Targets of an examination: the device, the capabilities to plan for, and a description of both.

use serde::Serialize;
use wgrad_device::{Device, DeviceError, Request, Selected};
use wgrad_types::{AdapterClass, Caps};

/// A device and the capabilities its kernels are chosen by.
#[derive(Clone)]
pub struct Target {
    /// Name of the target within an examination: "own limits", "webgpu-baseline", "as a discrete GPU".
    pub label: String,
    /// The device to run on.
    pub device: Device,
    /// Capabilities to plan for: the device's own, or those of another class of adapter.
    pub caps: Caps,
    /// True if a quick examination runs only kernels with a tree reduction in workgroup memory here.
    pub lanes_only: bool,
}

impl Target {
    /// The device as it is.
    pub fn own(label: &str, device: Device) -> Self {
        let caps = device.caps().clone();
        Self { label: label.to_owned(), device, caps, lanes_only: false }
    }

    /// The device with the kernels of another class of adapter: right everywhere, fast elsewhere.
    pub fn posing(device: Device, class: AdapterClass) -> Self {
        let caps = Caps { class, ..device.caps().clone() };
        Self { label: format!("as a {class}"), device, caps, lanes_only: false }
    }

    /// A target for a quick examination, limited to kernels with a tree reduction in workgroup memory: a
    /// software adapter's own kernels never have one, and each takes it a second to compile.
    fn lanes(device: Device, class: AdapterClass) -> Self {
        Self { lanes_only: true, ..Self::posing(device, class) }
    }
}

/// Opens the device asked for; a software adapter also for the reductions of a GPU. `full` adds WebGPU's default limits and the
/// kernels of another class of adapter; the CPU
/// has neither.
///
/// # Errors
/// If nothing fits the request, or the driver refuses.
pub fn targets(request: &Request, full: bool) -> Result<(Vec<Target>, Selected), DeviceError> {
    let (device, selected) = Device::open(request)?;
    let class = device.caps().class;
    let mut targets = vec![Target::own("own limits", device.clone())];
    if full && class != AdapterClass::Cpu {
        let (baseline, _) = Device::open(&request.clone().with_baseline_limits())?;
        targets.push(Target::own("webgpu-baseline", baseline));
        let other = match class {
            AdapterClass::Discrete => AdapterClass::Integrated,
            _ => AdapterClass::Discrete,
        };
        targets.push(Target::posing(device, other));
    } else if class == AdapterClass::Software {
        targets.push(Target::lanes(device, AdapterClass::Discrete));
    }
    Ok((targets, selected))
}

/// A device in words and figures, for a bug report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// The device's own name.
    pub name: String,
    /// Kind of hardware.
    pub class: String,
    /// Graphics API; empty for the CPU, like the fields up to the limits.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// The vendor's number.
    pub vendor: u32,
    /// The device's number.
    pub device: u32,
    /// Optional features relevant to kernels.
    pub features: Vec<String>,
    /// Smallest and largest subgroup, as the adapter tells.
    pub subgroup: [u32; 2],
    /// Limits in force; `None` for the CPU.
    pub limits: Option<InForce>,
}

/// Limits in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InForce {
    /// Bytes in one binding.
    pub binding_bytes: usize,
    /// Bytes in one buffer.
    pub buffer_bytes: usize,
    /// Maximum number of storage buffers per kernel.
    pub storage_buffers: usize,
    /// Bytes of workgroup memory.
    pub workgroup_bytes: usize,
    /// Maximum invocations per workgroup.
    pub workgroup_size: usize,
    /// Workgroups along one dimension of a dispatch.
    pub groups: u32,
    /// The guaranteed subgroup size; `None` if it varies or subgroups are absent.
    pub subgroup: Option<u32>,
}

impl Machine {
    /// Describes a device.
    pub fn of(device: &Device) -> Self {
        let caps = device.caps();
        let mut machine = Self {
            name: device.name(),
            class: caps.class.to_string(),
            backend: String::new(),
            driver: String::new(),
            vendor: 0,
            device: 0,
            features: Vec::new(),
            subgroup: [0; 2],
            limits: None,
        };
        if let Some(adapter) = device.adapter() {
            let limits = caps.limits;
            machine = Self {
                name: adapter.name.clone(),
                backend: adapter.backend.clone(),
                driver: adapter.driver.clone(),
                vendor: adapter.vendor,
                device: adapter.device,
                features: adapter.features.clone(),
                subgroup: [adapter.subgroup_min, adapter.subgroup_max],
                limits: Some(InForce {
                    binding_bytes: limits.binding_bytes,
                    buffer_bytes: limits.buffer_bytes,
                    storage_buffers: limits.storage_buffers,
                    workgroup_bytes: limits.workgroup_bytes,
                    workgroup_size: limits.workgroup_size,
                    groups: limits.groups,
                    subgroup: caps.subgroup,
                }),
                ..machine
            };
        }
        machine
    }
}
