//! The CPU device's memory: zeroed, as the system has it, or an error where it has not that much.

use crate::DeviceError;
use wgrad_plan::Slot;

/// Memory for slots.
pub(crate) fn slots(slots: &[Slot]) -> Result<Vec<Vec<u32>>, DeviceError> {
    let bytes: usize = slots.iter().map(|s| s.bytes).fold(0, usize::saturating_add);
    // A system that promises more than it has would end the process later.
    if let Some(free) = available().filter(|&free| bytes > free) {
        return Err(refused(&format!("{} where {} are free", mib(bytes), mib(free))));
    }
    let one = |s: &Slot| bytemuck::allocation::try_zeroed_vec(s.bytes / 4).map_err(|()| refused(&mib(bytes)));
    slots.iter().map(one).collect()
}

fn refused(what: &str) -> DeviceError {
    DeviceError::OutOfMemory { what: what.into() }
}

fn mib(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Bytes the system could give without paging; `None` where it does not say.
fn available() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_plan::SlotKind;

    #[test]
    fn what_the_system_has_not_is_an_error() {
        let slot = |bytes| Slot { bytes, kind: SlotKind::Activation };
        assert_eq!(slots(&[slot(16), slot(0)]).map(|s| s.concat()), Ok(vec![0; 4]));
        let error = slots(&[slot(1 << 60), slot(usize::MAX - 3)]).expect_err("nobody has that");
        assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error}");
    }
}
