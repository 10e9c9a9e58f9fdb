//! The CPU device's memory: zeroed, in whole cache lines, or an error if the system has too little.

use crate::DeviceError;
use wgrad_kernels::cpu::AlignedVec;
use wgrad_plan::Slot;

/// Memory for slots.
pub(crate) fn slots(slots: &[Slot]) -> Result<Vec<AlignedVec<u32>>, DeviceError> {
    let bytes: usize = slots.iter().map(|s| s.bytes).fold(0, usize::saturating_add);
    // A system that overcommits memory would kill the process later.
    if let Some(free) = available().filter(|&free| bytes > free) {
        return Err(refused(&format!("needs {}, {} are free", size(bytes), size(free))));
    }
    slots
        .iter()
        .map(|s| {
            AlignedVec::try_zeroed(s.bytes / 4).ok_or_else(|| refused(&format!("needs {}", size(bytes))))
        })
        .collect()
}

fn refused(what: &str) -> DeviceError {
    DeviceError::OutOfMemory { what: what.into() }
}

fn size(bytes: usize) -> String {
    let mib = bytes as f64 / 1_048_576.0;
    if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

/// Bytes available without paging, if the system tells.
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

    fn slot(bytes: usize) -> Slot {
        Slot { bytes, kind: SlotKind::Activation }
    }

    #[test]
    fn host_memory_beyond_available_is_an_error() {
        let lens: Vec<usize> =
            slots(&[slot(16), slot(0)]).expect("little memory").iter().map(|s| s.len()).collect();
        assert_eq!(lens, [4, 0]);
        let error = slots(&[slot(1 << 60), slot(usize::MAX - 3)]).map(|_| ()).expect_err("nobody has that");
        assert!(matches!(error, DeviceError::OutOfMemory { .. }), "{error}");
        assert!(error.to_string().starts_with("out of memory: needs 17179869184.0 GiB"), "{error}");
        assert_eq!((size(3 << 19), size(3 << 29)), ("1.5 MiB".into(), "1.5 GiB".into()));
    }
}
