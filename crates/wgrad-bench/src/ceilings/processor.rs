//! The processor's ceilings, all threads together: multiply-adds in registers, and streams through memory.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Times a ceiling is measured; the best counts, since others' work can only slow one down.
const TRIES: usize = 10;

/// Multiply-adds per sum: some milliseconds.
const ROUNDS: usize = 2_000_000;

struct Peak;

/// `ROUNDS` multiply-adds on each of the sums, unrolled: sums in an array would live in memory, and a
/// processor with two multiply-adds per cycle would wait for loads and stores.
macro_rules! multiply_adds {
    ($simd:ident: $($sum:ident)*) => {{
        let (a, b) = ($simd.splat_f32s(black_box(0.999_9)), $simd.splat_f32s(black_box(1e-4)));
        $(let mut $sum = $simd.splat_f32s(black_box(1.0));)*
        for _ in 0..ROUNDS {
            $($sum = $simd.mul_add_e_f32s($sum, a, b);)*
        }
        0 $(+ { black_box($sum); 1 })*
    }};
}

impl WithSimd for Peak {
    type Output = f64;

    /// Number of operations. As many independent sums as registers hold beside the two factors, at least ten:
    /// enough for two units with a latency of four or five cycles.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let sums: usize = if S::REGISTER_COUNT >= 32 {
            multiply_adds!(simd: a b c d e f g h i j k l m n o p q r s t)
        } else {
            multiply_adds!(simd: a b c d e f g h i j k l)
        };
        (2 * sums * ROUNDS * S::F32_LANES) as f64
    }
}

/// Floating-point operations per second.
pub(super) fn multiply_adds() -> f64 {
    let threads = rayon::current_num_threads();
    let round = |_| {
        let begun = Instant::now();
        let work = |_| Arch::new().dispatch(Peak);
        let done: f64 = (0..threads).into_par_iter().with_max_len(1).map(work).sum();
        done / begun.elapsed().as_secs_f64()
    };
    (0..TRIES).map(round).fold(0.0, f64::max)
}

/// Values of each of two streams, too many for any cache: 256 MiB.
const STREAM: usize = 64 << 20;

struct Sum<'a>(&'a [f32]);

impl WithSimd for Sum<'_> {
    type Output = f32;

    /// Sums of eight vectors at a time, so no addition waits for another.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (vectors, _) = S::as_simd_f32s(self.0);
        let zero = simd.splat_f32s(0.0);
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = [zero; 8];
        for eight in vectors.chunks_exact(8) {
            a = simd.add_f32s(a, eight[0]);
            b = simd.add_f32s(b, eight[1]);
            c = simd.add_f32s(c, eight[2]);
            d = simd.add_f32s(d, eight[3]);
            e = simd.add_f32s(e, eight[4]);
            f = simd.add_f32s(f, eight[5]);
            g = simd.add_f32s(g, eight[6]);
            h = simd.add_f32s(h, eight[7]);
        }
        let sum = [b, c, d, e, f, g, h].into_iter().fold(a, |x, y| simd.add_f32s(x, y));
        simd.reduce_sum_f32s(sum)
    }
}

/// Bytes per second of the faster of two streams: values read, or copied, with a copied byte counting twice.
/// The memory is allocated and touched before the clock runs.
pub(super) fn bandwidth() -> f64 {
    let part = STREAM.div_ceil(rayon::current_num_threads());
    let (from, mut to) = (vec![1.0f32; STREAM], vec![2.0f32; STREAM]);
    let read = |_| {
        let begun = Instant::now();
        let sums: f32 = from.par_chunks(part).map(|x| Arch::new().dispatch(Sum(x))).sum();
        black_box(sums);
        (4 * STREAM) as f64 / begun.elapsed().as_secs_f64()
    };
    let most = (0..TRIES).map(read).fold(0.0, f64::max);
    let copied = |_| {
        let begun = Instant::now();
        to.par_chunks_mut(part).zip(from.par_chunks(part)).for_each(|(y, x)| y.copy_from_slice(x));
        black_box(&to);
        (8 * STREAM) as f64 / begun.elapsed().as_secs_f64()
    };
    (0..TRIES).map(copied).fold(most, f64::max)
}
