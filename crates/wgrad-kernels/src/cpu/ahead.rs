//! Memory that the next block needs, asked for while this one is computed: a loop over registers gives the processor's
//! own prefetching nothing to follow.

/// Elements of four bytes that will be read or written soon; nothing happens where they are no memory.
#[derive(Clone, Copy)]
pub(super) struct Ahead(*const f32);

impl Ahead {
    pub(super) fn none() -> Self {
        Self(std::ptr::null())
    }

    pub(super) fn of(words: &[u32]) -> Self {
        Self::at(words.as_ptr())
    }

    pub(super) fn at(first: *const u32) -> Self {
        Self(first.cast())
    }

    /// What comes `n` elements later.
    pub(super) fn after(self, n: usize) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// Asks for the cache line of element `i`.
    #[inline(always)]
    pub(super) fn fetch(self, i: usize) {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "an instruction that takes an address")]
        // SAFETY: a hint: it reads nothing, and no address makes it fail.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.0.wrapping_add(i).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (self.0, i);
    }
}
