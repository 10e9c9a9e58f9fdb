//! The CPU device's threads: made once, and set to take numbers too small to be normal for zero, as GPUs do. Such
//! numbers carry no training signal and cost a hundred times a normal operation.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::LazyLock;

/// `None` if the system gives no threads; the caller's own do the work then.
static WORKERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let name = |i| format!("wgrad-{i}");
    // As much as a main thread has: whole training loops run on them.
    let workers = ThreadPoolBuilder::new().thread_name(name).stack_size(8 << 20);
    workers.start_handler(|_| flush_denormals()).build().ok()
});

/// Threads of the CPU device: `RAYON_NUM_THREADS`, or one per processor core.
pub fn count() -> usize {
    WORKERS.as_ref().map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads)
}

/// Runs `work` on one of the workers; its parallel parts stay among them.
pub(crate) fn run<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match &*WORKERS {
        Some(workers) => workers.install(work),
        None => work(),
    }
}

/// Results and operands below the normal numbers count as zero on this thread from here on.
#[expect(unsafe_code, reason = "the floating-point control register")]
fn flush_denormals() {
    // SAFETY: reads and writes this thread's control register through memory of its own. Both bits only
    // change the treatment of subnormal numbers; neither kernels nor code run by `Device::install` rely on
    // it.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        let mut word = 0u32;
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack));
        // Flush to zero, and denormals are zero.
        word |= 1 << 15 | 1 << 6;
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack));
    }
    // SAFETY: as above; flush to zero is bit 24 of FPCR.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        let mut word: u64;
        std::arch::asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack));
        word |= 1 << 24;
        std::arch::asm!("msr fpcr, {}", in(reg) word, options(nomem, nostack));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn workers_keep_nested_work() {
        let here = || std::thread::current().id();
        let (outer, inner) = run(|| (here(), run(here)));
        assert!(outer == inner && outer != here(), "no handing over inside");
    }

    #[test]
    fn workers_flush_subnormals_and_others_do_not() {
        let tiny = || black_box(1e-30f32) * black_box(1e-10f32);
        assert!(tiny() > 0.0, "this thread keeps them");
        if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            assert_eq!(run(tiny), 0.0);
            assert_eq!(run(|| black_box(f32::from_bits(1)) * black_box(2f32.powi(100))), 0.0);
        }
        assert!(count() > 0);
    }
}
