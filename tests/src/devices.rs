//! The devices every row runs on. A missing adapter is a failure, never a skip.

use std::sync::OnceLock;
use wgrad_device::{Device, Request};

/// The native CPU device.
pub fn cpu() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| open("cpu", false)).clone()
}

/// The best adapter: a real GPU where there is one, else the software adapter.
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

fn best() -> &'static str {
    let real = |a: &wgrad_device::AdapterReport| a.class != wgrad_types::AdapterClass::Software;
    if wgrad_device::adapters().iter().any(real) { "gpu" } else { "software" }
}

fn open(name: &str, baseline: bool) -> Device {
    let mut request: Request = name.parse().expect("a device's name");
    request.baseline_limits = baseline;
    match Device::open(&request) {
        Ok((device, _)) => device,
        Err(e) => panic!("tests need a Vulkan adapter (`cargo xtask setup` installs one): {e}"),
    }
}
