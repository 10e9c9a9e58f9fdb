//! A thread's own memory, kept from step to step.

use std::cell::RefCell;

thread_local! {
    static FLOATS: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// Runs `f` with two pieces of this thread's memory; their contents are arbitrary.
pub(super) fn with_floats<R>(lens: [usize; 2], f: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    FLOATS.with_borrow_mut(|[a, b]| {
        for (v, len) in [(&mut *a, lens[0]), (&mut *b, lens[1])] {
            if v.len() < len {
                v.resize(len, 0.0);
            }
        }
        f(&mut a[..lens[0]], &mut b[..lens[1]])
    })
}
