//! An output that several tasks write.

/// An output written by several tasks in disjoint tiles.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    start: *mut u32,
    len: usize,
}

#[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
// SAFETY: all writes go through unsafe functions, called with disjoint tiles.
unsafe impl Send for Shared {}
#[expect(unsafe_code, reason = "see Send")]
// SAFETY: see Send.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(out: &mut [u32]) -> Self {
        Self { start: out.as_mut_ptr(), len: out.len() }
    }

    /// Element `at`, with block_floats for `n` from it on.
    pub(super) fn place(self, at: usize, n: usize) -> *mut u32 {
        assert!(at + n <= self.len, "the place lies in the output");
        self.start.wrapping_add(at)
    }

    /// `n` elements from `at` on.
    ///
    /// # Safety
    /// The output outlives `'a`, and no other reference to these elements lives meanwhile.
    #[expect(unsafe_code, reason = "a part of a tile's row")]
    pub(super) unsafe fn row<'a>(self, at: usize, n: usize) -> &'a mut [u32] {
        // SAFETY: in range by `place`; the rest is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.place(at, n), n) }
    }
}
