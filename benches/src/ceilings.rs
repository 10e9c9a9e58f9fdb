//! What this machine's processor can do at most, measured: multiply-adds in registers, and bytes read from memory.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Independent sums, enough to keep every multiply-add unit busy.
const CHAINS: usize = 12;
const ROUNDS: usize = 2_000_000;

struct Peak;

impl WithSimd for Peak {
    type Output = f64;

    /// Operations done.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (a, b) = (simd.splat_f32s(black_box(0.999_9)), simd.splat_f32s(black_box(1e-4)));
        let mut sums = [simd.splat_f32s(1.0); CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, a, b);
            }
        }
        black_box(sums);
        (2 * CHAINS * ROUNDS * S::F32_LANES) as f64
    }
}

/// Best of five: units a second of what `work` says it did, on all threads together.
fn best(work: impl Fn() -> f64 + Sync) -> f64 {
    let threads = rayon::current_num_threads();
    let round = |_| {
        let begun = Instant::now();
        let done: f64 = (0..threads).into_par_iter().with_max_len(1).map(|_| work()).sum();
        done / begun.elapsed().as_secs_f64()
    };
    (0..5).map(round).fold(0.0, f64::max)
}

/// Floating point operations a second in registers, all threads.
pub fn multiply_adds() -> f64 {
    best(|| Arch::new().dispatch(Peak))
}

/// Bytes a second read from memory, all threads.
pub fn bandwidth() -> f64 {
    const BYTES: usize = 256 << 20;
    let words: Vec<u64> = (0..BYTES as u64 / 8).collect();
    let threads = rayon::current_num_threads();
    let round = |_| {
        let begun = Instant::now();
        let part = words.len().div_ceil(threads);
        black_box(
            words.par_chunks(part).map(|w| w.iter().fold(0u64, |a, b| a ^ b)).reduce(|| 0, |a, b| a ^ b),
        );
        BYTES as f64 / begun.elapsed().as_secs_f64()
    };
    (0..5).map(round).fold(0.0, f64::max)
}
