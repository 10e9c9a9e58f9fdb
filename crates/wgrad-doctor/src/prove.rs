//! One case proved on whatever this machine has: the way for a library's user to prove an operation of their own.

use crate::case::Case;
use crate::machine::Target;
use crate::report::CaseReport;
use crate::{Options, examine};
use wgrad_device::{Device, DeviceError, adapters};
use wgrad_types::AdapterClass;

/// Examines a case on the CPU and, where there is an adapter (a GPU, else one in software), on that with its own limits and
/// with WebGPU's: its gradient against central differences in f64, every kernel form against the f64 reference, several
/// runs and other orders of workgroups bit for bit. [`CaseReport::complaints`] says what does not hold.
///
/// # Errors
/// Where a device that is there does not open.
///
/// # Panics
/// Where the case's shapes do not fit.
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
