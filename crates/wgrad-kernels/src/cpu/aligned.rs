//! Memory in whole cache lines: a vector of the widest kind is read and written in one piece there, and in two
//! everywhere else.

use bytemuck::Zeroable;
use std::ops::{Deref, DerefMut};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Elements of four bytes, the first at the start of a cache line.
#[derive(Default)]
pub struct AlignedVec<T> {
    memory: Vec<T>,
    first: usize,
}

impl<T: Zeroable + Copy> AlignedVec<T> {
    /// Spare elements, so that one of them begins a cache line.
    const SPARE: usize = LINE / size_of::<T>() - 1;

    /// Allocated bytes for `len` elements.
    pub const fn bytes(len: usize) -> usize {
        if len == 0 { 0 } else { (len + Self::SPARE) * size_of::<T>() }
    }

    /// None yet.
    pub const fn new() -> Self {
        Self { memory: Vec::new(), first: 0 }
    }

    /// Zeroed memory, provided by the system at first touch; `None` if it refuses.
    pub fn try_zeroed(len: usize) -> Option<Self> {
        if len == 0 {
            return Some(Self::new());
        }
        let mut memory: Vec<T> = bytemuck::allocation::try_zeroed_vec(len.checked_add(Self::SPARE)?).ok()?;
        let first = memory.as_ptr().align_offset(LINE).min(Self::SPARE);
        memory.truncate(first + len);
        huge(&memory);
        Some(Self { memory, first })
    }

    /// The first `len` elements, with arbitrary contents; grows if too short.
    ///
    /// # Panics
    /// If the system has no more memory.
    pub(crate) fn at_least(&mut self, len: usize) -> &mut [T] {
        if self.len() < len {
            // The old ones go first.
            *self = Self::new();
            *self = Self::try_zeroed(len).expect("memory for a thread's own blocks");
        }
        &mut self[..len]
    }
}

/// Asks the system for huge pages if several fit: fewer page faults at first touch.
#[cfg(target_os = "linux")]
fn huge<T>(memory: &[T]) {
    const LEAST: usize = 4 << 20;
    const PAGE: usize = 4 << 10;
    let (from, bytes) = (memory.as_ptr(), size_of_val(memory));
    let spare = from.cast::<u8>().align_offset(PAGE);
    if bytes < LEAST || spare >= PAGE {
        return;
    }
    let whole = (bytes - spare) / PAGE * PAGE;
    #[expect(unsafe_code, reason = "a call of the system")]
    // SAFETY: whole pages of this memory; the call is advice only, and a refusal changes nothing.
    unsafe {
        let first = from.cast::<u8>().add(spare).cast_mut();
        libc::madvise(first.cast(), whole, libc::MADV_HUGEPAGE);
    }
}

#[cfg(not(target_os = "linux"))]
fn huge<T>(_: &[T]) {}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.first..]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.first..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_vec_starts_a_cache_line_zeroed() {
        for len in [0, 1, 15, 16, 17, 1 << 20] {
            let mut lines: AlignedVec<u32> = AlignedVec::try_zeroed(len).expect("little memory");
            assert_eq!(lines.len(), len);
            assert!(len == 0 || (lines.as_ptr() as usize).is_multiple_of(LINE));
            assert!(lines.iter().all(|&w| w == 0));
            lines.fill(1);
            assert_eq!(lines.at_least(len / 2).len(), len / 2);
            assert_eq!(lines.at_least(2 * len + 1), vec![0; 2 * len + 1]);
        }
        assert!(AlignedVec::<u32>::try_zeroed(usize::MAX / 8).is_none());
    }
}
