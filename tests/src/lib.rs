//! Shared parts of the suite: the devices of this machine, and `wgrad-doctor`'s cases.

pub use wgrad_doctor::testing::{checked_gpu, cpu, gpu, gpu_baseline, own_gpu, targets};
pub use wgrad_doctor::{TRIED_VARIANTS, build, cases};

/// The CPU and the adapter; under `WGRAD_VECTORS`, a setting of the CPU's kernels, the CPU alone.
pub fn devices() -> Vec<(&'static str, wgrad_device::Device)> {
    let mut all = vec![("cpu", cpu())];
    if std::env::var_os("WGRAD_VECTORS").is_none() {
        all.push(("gpu", gpu()));
    }
    all
}
