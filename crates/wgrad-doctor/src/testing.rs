//! Devices for tests of cases. A missing adapter is a failure, never a skip.

use crate::{Case, Options, Target, examine};
use std::sync::OnceLock;
use wgrad_device::{Device, Request, adapters};
use wgrad_types::AdapterClass;

/// The native CPU device.
pub fn cpu() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| open("cpu", false)).clone()
}

/// The best adapter: a real GPU if there is one, else the software adapter.
pub fn gpu() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| open(best(), false)).clone()
}

/// The same adapter with nothing but WebGPU's default limits.
pub fn gpu_baseline() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| open(best(), true)).clone()
}

/// As [`gpu`], opened anew.
pub fn own_gpu() -> Device {
    open(best(), false)
}

/// Like [`gpu`], with the shader compiler's run-time checks: for kernels broken on purpose.
pub fn checked_gpu() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE
        .get_or_init(|| {
            let mut request = request(best());
            request.shader_checks = true;
            opened(&request)
        })
        .clone()
}

/// Targets of every case: the CPU, the adapter, the adapter under WebGPU's default limits, and the adapter
/// with the kernels of a discrete GPU, never chosen by a software adapter itself.
pub fn targets() -> Vec<Target> {
    vec![
        Target::own("cpu", cpu()),
        Target::own("gpu", gpu()),
        Target::own("webgpu-baseline", gpu_baseline()),
        Target::posing(gpu(), AdapterClass::Discrete),
    ]
}

/// Everything one case proves.
///
/// # Panics
/// If a check fails.
pub fn check(case: &Case) {
    let report = examine("", case, &targets(), &Options::each());
    assert!(report.is_sound(), "{}", report.complaints().join("\n"));
}

fn best() -> &'static str {
    let real = adapters().iter().any(|a| a.class != AdapterClass::Software);
    if real { "gpu" } else { "software" }
}

fn request(name: &str) -> Request {
    name.parse().expect("a device's name")
}

fn open(name: &str, baseline: bool) -> Device {
    let mut request = request(name);
    request.baseline_limits = baseline;
    opened(&request)
}

fn opened(request: &Request) -> Device {
    match Device::open(request) {
        Ok((device, _)) => device,
        Err(e) => panic!("tests need a Vulkan adapter (`cargo xtask setup` installs one): {e}"),
    }
}
