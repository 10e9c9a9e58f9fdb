//! Examines one case on all devices of this machine: the way for library users to test their own operations.

use crate::case::Case;
use crate::machine::Target;
use crate::report::CaseReport;
use crate::{Options, examine};
use wgrad_device::{Device, DeviceError, adapters};
use wgrad_types::AdapterClass;

/// Examines a case on the CPU and, if there is an adapter (a GPU, else a software adapter), on it with its
/// own limits and with WebGPU's: its gradient against central differences in f64, every kernel variant
/// against the f64 reference, several runs and other orders of workgroups bit for bit.
/// [`CaseReport::complaints`] lists the failures.
///
/// # Errors
/// If an existing device does not open.
///
/// # Panics
/// If the case's shapes do not fit.
pub fn prove(case: &Case) -> Result<CaseReport, DeviceError> {
    let mut targets = vec![Target::own("cpu", Device::open(&"cpu".parse()?)?.0)];
    let found = adapters();
    if !found.is_empty() {
        let real = found.iter().any(|a| a.class != AdapterClass::Software);
        let (name, request) = if real { ("gpu", "gpu".parse()?) } else { ("software", "software".parse()?) };
        targets.push(Target::own(name, Device::open(&request)?.0));
        let baseline = Device::open(&request.with_baseline_limits())?.0;
        targets.push(Target::own("webgpu-baseline", baseline));
    }
    Ok(examine("", case, &targets, &Options::full()))
}
