//! A thread's own memory, kept from step to step.

use super::Lines;
use std::cell::RefCell;

thread_local! {
    static FLOATS: RefCell<[Lines<f32>; 2]> = const { RefCell::new([Lines::new(), Lines::new()]) };
}

/// Runs `f` with two pieces of this thread's memory, each at the start of a cache line; their contents are arbitrary.
pub(super) fn with_floats<R>(lens: [usize; 2], f: impl FnOnce(&mut [f32], &mut [f32]) -> R) -> R {
    FLOATS.with_borrow_mut(|[a, b]| f(a.room(lens[0]), b.room(lens[1])))
}
