//! Thread scratch, kept from kernel to kernel.

use super::AlignedVec;
use std::cell::RefCell;

/// Number of matrices of an attention kernel per thread.
pub(super) const ATTENTION_BLOCKS: usize = 13;

/// Blocks per thread: two of floats, the values and the list of element-wise code, those of attention.
const BLOCKS: usize = 4 + ATTENTION_BLOCKS;

/// Words of scratch per thread for a kernel's tasks, or the maximum of several kernels by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadScratch([usize; BLOCKS]);

impl ThreadScratch {
    pub(super) fn new(floats: [usize; 2], program: [usize; 2], attention: [usize; ATTENTION_BLOCKS]) -> Self {
        let mut all = [0; BLOCKS];
        all[..2].copy_from_slice(&floats);
        all[2..4].copy_from_slice(&program);
        all[4..].copy_from_slice(&attention);
        Self(all)
    }

    /// The maximum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].max(other.0[i])))
    }

    /// Bytes per thread.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|&words| AlignedVec::<u32>::bytes(words)).sum()
    }
}

thread_local! {
    static FLOATS: RefCell<[AlignedVec<f32>; 2]> = const { RefCell::new([AlignedVec::new(), AlignedVec::new()]) };
}

/// Runs `f` with two pieces of this thread's memory, each at the start of a cache line; their contents are arbitrary.
pub(super) fn with_floats<R>(lens: [usize; 2], f: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    FLOATS.with_borrow_mut(|[a, b]| f(a.at_least(lens[0]), b.at_least(lens[1])))
}
