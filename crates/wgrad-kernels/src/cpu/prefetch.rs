//! Software prefetch of the next block's memory while this block is computed: the processor's own prefetcher
//! finds no stream in a loop over registers.

/// Elements of four bytes, read or written soon.
#[derive(Clone, Copy)]
pub(super) struct Prefetch {
    first: *const f32,
    /// A loop asks for one element for so many of its own, as a power of two.
    shift: u32,
    written: bool,
}

impl Prefetch {
    /// Memory read next, or read and written: goes into the L1 cache.
    #[inline(always)]
    pub(super) fn read(first: *const u32, shift: u32) -> Self {
        Self { first: first.cast(), shift, written: false }
    }

    /// Memory written next: nothing waits for it, so it goes into the L2 cache only.
    pub(super) fn written(first: *const u32, shift: u32) -> Self {
        Self { first: first.cast(), shift, written: true }
    }

    /// The same, `n` elements further on.
    pub(super) fn plus(self, n: usize) -> Self {
        Self { first: self.first.wrapping_add(n), ..self }
    }

    /// The hint for a loop starting `n` elements later.
    #[inline(always)]
    pub(super) fn after(self, n: usize) -> Self {
        self.plus(n >> self.shift)
    }

    /// Prefetches for element `i` of a loop.
    #[inline(always)]
    pub(super) fn fetch(self, i: usize) {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "an instruction that takes an address")]
        // SAFETY: a hint: it reads nothing, and no address makes it fail.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
            let from = self.first.wrapping_add(i >> self.shift).cast();
            if self.written { _mm_prefetch::<_MM_HINT_T1>(from) } else { _mm_prefetch::<_MM_HINT_T0>(from) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (self, i);
    }
}
