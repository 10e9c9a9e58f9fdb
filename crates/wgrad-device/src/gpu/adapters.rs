//! The adapters of this machine, described as plain data. Software adapters are recognised here.

use crate::AdapterReport;
use std::cmp::Ordering;
use wgrad_types::{AdapterClass, Limits};

/// An adapter that can be opened.
pub(crate) struct Found {
    pub(crate) instance: wgpu::Instance,
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) report: AdapterReport,
}

/// Every adapter with compute support, once each, best class first.
pub(crate) fn find() -> Vec<Found> {
    // Vulkan, Metal and DirectX 12 only: GL's adapters lack compute or are duplicates.
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty().with_env(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let mut found: Vec<Found> = Vec::new();
    for adapter in pollster::block_on(instance.enumerate_adapters(backends)) {
        let flags = adapter.get_downlevel_capabilities().flags;
        if flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
            let report = report(&adapter);
            found.push(Found { instance: instance.clone(), adapter, report });
        }
    }
    found.sort_by(|a, b| order(&a.report, &b.report));
    let reports: Vec<AdapterReport> = found.iter().map(|f| f.report.clone()).collect();
    let mut at = 0;
    found.retain(|_| {
        at += 1;
        !reports[..at - 1].iter().any(|earlier| same(earlier, &reports[at - 1]))
    });
    found
}

/// Best class first; within a class Vulkan, Metal, DirectX 12; otherwise in the system's order.
fn order(a: &AdapterReport, b: &AdapterReport) -> Ordering {
    let rank = |r: &AdapterReport| {
        let class = match r.class {
            AdapterClass::Discrete => 0,
            AdapterClass::Integrated => 1,
            AdapterClass::OtherGpu => 2,
            AdapterClass::Software | AdapterClass::Cpu => 3,
        };
        let backend = ["Vulkan", "Metal"].iter().position(|b| *b == r.backend).unwrap_or(2);
        (class, backend)
    };
    rank(a).cmp(&rank(b))
}

/// One piece of hardware seen twice: by another API, or by two drivers of one API. Two equal cards are not the same:
/// within one API only the PCI address tells.
fn same(a: &AdapterReport, b: &AdapterReport) -> bool {
    if (a.vendor, a.device) != (b.vendor, b.device) {
        return false;
    }
    match a.backend == b.backend {
        true => !a.bus.is_empty() && a.bus == b.bus,
        false => a.vendor != 0 || a.name == b.name,
    }
}

fn report(adapter: &wgpu::Adapter) -> AdapterReport {
    let info = adapter.get_info();
    let features = adapter.features();
    let named = [
        ("subgroups", wgpu::Features::SUBGROUP),
        ("f16", wgpu::Features::SHADER_F16),
        ("cooperative matrices", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
        ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
        ("pipeline cache", wgpu::Features::PIPELINE_CACHE),
        ("mappable buffers", wgpu::Features::MAPPABLE_PRIMARY_BUFFERS),
    ];
    let offered = named.iter().filter(|(_, f)| features.contains(*f)).map(|(name, _)| (*name).to_owned());
    AdapterReport {
        class: class(info.device_type, &info.name),
        backend: match info.backend {
            wgpu::Backend::Vulkan => "Vulkan".to_owned(),
            wgpu::Backend::Metal => "Metal".to_owned(),
            wgpu::Backend::Dx12 => "DirectX 12".to_owned(),
            other => other.to_string(),
        },
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        vendor: info.vendor,
        device: info.device,
        bus: info.device_pci_bus_id,
        limits: limits(&adapter.limits()),
        subgroup_min: info.subgroup_min_size,
        subgroup_max: info.subgroup_max_size,
        features: offered.collect(),
        name: info.name,
    }
}

/// Some software adapters call themselves something else, so names count too.
fn class(kind: wgpu::DeviceType, name: &str) -> AdapterClass {
    let name = name.to_lowercase();
    let software = ["llvmpipe", "lavapipe", "softpipe", "swiftshader", "basic render driver", "warp adapter"];
    if kind == wgpu::DeviceType::Cpu || software.iter().any(|s| name.contains(s)) {
        return AdapterClass::Software;
    }
    match kind {
        wgpu::DeviceType::DiscreteGpu => AdapterClass::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterClass::Integrated,
        _ => AdapterClass::OtherGpu,
    }
}

/// wgpu's limits in our words. Sizes are rounded down to whole vec4s, as buffers and bindings are made of them.
pub(super) fn limits(from: &wgpu::Limits) -> Limits {
    let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX) & !15;
    Limits {
        storage_buffers: from.max_storage_buffers_per_shader_stage as usize,
        workgroup_bytes: from.max_compute_workgroup_storage_size as usize,
        workgroup_size: from.max_compute_invocations_per_workgroup.min(from.max_compute_workgroup_size_x)
            as usize,
        binding_bytes: bytes(from.max_storage_buffer_binding_size.min(from.max_buffer_size)),
        buffer_bytes: bytes(from.max_buffer_size),
        offset_alignment: from.min_storage_buffer_offset_alignment as usize,
        groups: from.max_compute_workgroups_per_dimension,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a(name: &str, backend: &str, class: AdapterClass, ids: (u32, u32), bus: &str) -> AdapterReport {
        AdapterReport {
            name: name.into(),
            class,
            backend: backend.into(),
            driver: String::new(),
            vendor: ids.0,
            device: ids.1,
            bus: bus.into(),
            limits: Limits::WEBGPU_BASELINE,
            subgroup_min: 32,
            subgroup_max: 32,
            features: Vec::new(),
        }
    }

    #[test]
    fn software_by_type_and_by_name() {
        assert_eq!(class(wgpu::DeviceType::Cpu, "anything"), AdapterClass::Software);
        assert_eq!(class(wgpu::DeviceType::Other, "llvmpipe (LLVM 15.0.6)"), AdapterClass::Software);
        assert_eq!(class(wgpu::DeviceType::IntegratedGpu, "SwiftShader Device"), AdapterClass::Software);
        assert_eq!(
            class(wgpu::DeviceType::DiscreteGpu, "Microsoft Basic Render Driver"),
            AdapterClass::Software
        );
        assert_eq!(class(wgpu::DeviceType::VirtualGpu, "Virtio-GPU Venus"), AdapterClass::OtherGpu);
    }

    #[test]
    fn adapters_listed_once_per_card() {
        let vulkan = a("X", "Vulkan", AdapterClass::Discrete, (1, 2), "0000:01:00.0");
        let dx12 = a("X", "DirectX 12", AdapterClass::Discrete, (1, 2), "");
        let twin = a("X", "Vulkan", AdapterClass::Discrete, (1, 2), "0000:02:00.0");
        assert!(same(&vulkan, &dx12));
        assert!(!same(&vulkan, &twin));
        assert!(same(&vulkan, &vulkan.clone()));
        assert_eq!(order(&vulkan, &dx12), Ordering::Less);
    }
}
