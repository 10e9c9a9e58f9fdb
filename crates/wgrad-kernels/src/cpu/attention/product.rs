//! Products of small matrices already in the cache: a register tile, no packing.

use crate::cpu::vectors::dispatch;
use pulp::{Simd, WithSimd};

/// Rows of a register tile.
const ROWS: usize = 8;
/// Vectors of a register tile.
const VECTORS: usize = 3;

/// `out[i * out_pitch + j] (+)= sum_k a[i, k] b[k * b_pitch + j]` for `j < n` in whole vectors, for which
/// both pitches have space. `a[i, k]` is `a[i * pitch + k]`, or `a[k * pitch + i]` if `transposed`.
pub(super) struct Product<'a> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: &'a [f32],
    pub a_pitch: usize,
    pub transposed: bool,
    pub b: &'a [f32],
    pub b_pitch: usize,
    pub out: &'a mut [f32],
    pub out_pitch: usize,
    /// Add to the contents of `out`.
    pub add: bool,
}

impl Product<'_> {
    pub(super) fn run(self) {
        dispatch(self);
    }
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let height = if S::REGISTER_COUNT >= 32 { ROWS } else { 4 };
        let vectors = self.n.div_ceil(S::F32_LANES);
        let mut i = 0;
        while i < self.m {
            let rows = match self.m - i {
                left if left >= height => height,
                left if left >= 4 => 4,
                _ => 1,
            };
            for v in (0..vectors).step_by(VECTORS) {
                let at = (i, v * S::F32_LANES);
                match rows {
                    ROWS => self.wide::<S, ROWS>(simd, at, vectors - v),
                    4 => self.wide::<S, 4>(simd, at, vectors - v),
                    _ => self.wide::<S, 1>(simd, at, vectors - v),
                }
            }
            i += rows;
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn wide<S: Simd, const R: usize>(&mut self, simd: S, at: (usize, usize), vectors: usize) {
        match vectors {
            1 => self.tile::<S, R, 1>(simd, at),
            2 => self.tile::<S, R, 2>(simd, at),
            _ => self.tile::<S, R, VECTORS>(simd, at),
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const NV: usize>(&mut self, simd: S, (i, j): (usize, usize)) {
        let mut acc = [[simd.splat_f32s(0.0); NV]; R];
        let lines = self.b.chunks(self.b_pitch).take(self.k);
        if self.transposed {
            for (a, b) in self.a.chunks(self.a_pitch).zip(lines) {
                let a: &[f32; R] = a[i..].first_chunk().expect("the row holds the tile");
                let b = &S::as_simd_f32s(&b[j..]).0[..NV];
                for (row, &a) in acc.iter_mut().zip(a) {
                    let a = simd.splat_f32s(a);
                    for (sum, b) in row.iter_mut().zip(b) {
                        *sum = simd.mul_add_e_f32s(a, *b, *sum);
                    }
                }
            }
        } else {
            // No closure: it would not be compiled for the same vectors, and called.
            let mut a: [&[f32]; R] = [&[]; R];
            for (r, a) in a.iter_mut().enumerate() {
                *a = &self.a[(i + r) * self.a_pitch..][..self.k];
            }
            for (k, b) in lines.enumerate() {
                let b = &S::as_simd_f32s(&b[j..]).0[..NV];
                for (row, a) in acc.iter_mut().zip(&a) {
                    #[expect(unsafe_code, reason = "eight checks at every step of the innermost loop")]
                    // SAFETY: there are at most `self.k` lines, and as many elements in each of these rows.
                    let a = simd.splat_f32s(unsafe { *a.get_unchecked(k) });
                    for (sum, b) in row.iter_mut().zip(b) {
                        *sum = simd.mul_add_e_f32s(a, *b, *sum);
                    }
                }
            }
        }
        for (r, row) in acc.iter().enumerate() {
            let out = &mut S::as_mut_simd_f32s(&mut self.out[(i + r) * self.out_pitch + j..]).0[..NV];
            for (o, sum) in out.iter_mut().zip(row) {
                *o = if self.add { simd.add_f32s(*o, *sum) } else { *sum };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_product_any_extents_matches_plain_loop() {
        for (m, n, k, transposed, add) in [
            (1, 5usize, 3, false, false),
            (8, 48, 7, false, true),
            (13, 64, 9, true, false),
            (23, 33, 1, true, true),
            (6, 100, 20, false, false),
        ] {
            let (a_pitch, b_pitch, out_pitch) =
                (if transposed { m + 3 } else { k + 2 }, n.next_multiple_of(16), 112);
            let at = |i: usize, p: usize| if transposed { p * a_pitch + i } else { i * a_pitch + p };
            let value = |i: usize, j: usize| ((i * 7 + j * 3) % 11) as f32 - 5.0;
            let mut a = vec![0.0; a_pitch * m.max(k) + 8];
            (0..m).for_each(|i| (0..k).for_each(|p| a[at(i, p)] = value(i, p)));
            let mut b = vec![0.0; b_pitch * k];
            (0..k).for_each(|p| (0..n).for_each(|j| b[p * b_pitch + j] = value(p + 1, j)));
            let mut out = vec![1.0; out_pitch * m];
            let product = Product {
                m,
                n,
                k,
                a: &a,
                a_pitch,
                transposed,
                b: &b,
                b_pitch,
                out: &mut out,
                out_pitch,
                add,
            };
            product.run();
            for i in 0..m {
                for j in 0..n {
                    let sum: f32 = (0..k).map(|p| value(i, p) * value(p + 1, j)).sum();
                    let want = sum + if add { 1.0 } else { 0.0 };
                    assert_eq!(out[i * out_pitch + j], want, "{m}x{n}x{k} at {i}, {j}");
                }
            }
        }
    }
}
