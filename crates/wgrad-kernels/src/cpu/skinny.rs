//! Products of few rows, bound by memory: every element of the other matrix is read once, in memory order,
//! and nothing is packed.

use super::matrix::Mat;
use super::output::Shared;
use super::scratch::with_floats;
use super::vectors::dispatch;
use pulp::{Simd, WithSimd};

/// From this many rows on, use the packed GEMM.
const ROWS: usize = 8;
/// Rows or columns of the other matrix read side by side.
const STREAMS: usize = 8;

/// True for products of few rows if the other matrix has contiguous rows or columns.
pub(super) fn fits(m: usize, row_stride: isize, col_stride: isize) -> bool {
    m < ROWS && (row_stride == 1 || col_stride == 1)
}

/// `out[at + i * stride + j] = sum_k a[i, k] b[k, j]`, every sum in the same order however columns are cut.
///
/// # Safety
/// No other task touches this tile meanwhile.
#[expect(unsafe_code, reason = "rows of a tile of one matrix")]
pub(super) unsafe fn product(out: Shared, at: usize, stride: usize, a: Mat<'_>, b: Mat<'_>) {
    let mut outs: [&mut [f32]; ROWS] = Default::default();
    for (i, row) in outs[..a.rows].iter_mut().enumerate() {
        // SAFETY: rows of one tile are disjoint, and the tile is this task's alone.
        *row = bytemuck::cast_slice_mut(unsafe { out.row(at + i * stride, b.cols) });
    }
    let outs = &mut outs[..a.rows];
    if a.cols == 0 {
        outs.iter_mut().for_each(|out| out.fill(0.0));
        return;
    }
    with_floats([a.rows * a.cols, 0], |rows, _| {
        for (i, row) in rows.chunks_exact_mut(a.cols).enumerate() {
            for (k, x) in row.iter_mut().enumerate() {
                *x = a.data[a.offset + i * a.row_stride + k * a.col_stride];
            }
        }
        dispatch(Thin { rows, b, outs });
    });
}

struct Thin<'a, 'o> {
    /// One after the other.
    rows: &'a [f32],
    b: Mat<'a>,
    outs: &'a mut [&'o mut [f32]],
}

impl WithSimd for Thin<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, s: S) {
        let in_rows = self.b.col_stride == 1;
        let n = if in_rows { self.b.rows } else { self.b.cols };
        let whole = n / STREAMS * STREAMS;
        for first in (0..whole).step_by(STREAMS) {
            if in_rows { self.add::<S, STREAMS>(s, first) } else { self.dot::<S, STREAMS>(s, first) }
        }
        for first in whole..n {
            if in_rows { self.add::<S, 1>(s, first) } else { self.dot::<S, 1>(s, first) }
        }
    }
}

/// `D` lines of a matrix, `pitch` apart, and their whole vectors.
#[inline(always)]
fn streams<S: Simd, const D: usize>(
    b: Mat<'_>,
    first: usize,
    pitch: usize,
    len: usize,
) -> ([&[f32]; D], [&[S::f32s]; D]) {
    let (mut lines, mut vectors) = ([&[][..]; D], [&[][..]; D]);
    for (d, (line, vectors)) in lines.iter_mut().zip(&mut vectors).enumerate() {
        *line = &b.data[b.offset + first + d * pitch..][..len];
        *vectors = S::as_simd_f32s(line).0;
    }
    (lines, vectors)
}

impl Thin<'_, '_> {
    /// Adds the contribution of `D` rows of the other matrix, from `k` on.
    #[inline(always)]
    fn add<S: Simd, const D: usize>(&mut self, s: S, k: usize) {
        let (b, depth) = (self.b, self.b.rows);
        let (lines, vectors) = streams::<S, D>(b, k * b.row_stride, b.row_stride, b.cols);
        // One row of the product after the other: the cache lines stay in the cache.
        for (out, row) in self.outs.iter_mut().zip(self.rows.chunks_exact(depth)) {
            let (out, tail) = S::as_mut_simd_f32s(out);
            let done = out.len() * S::F32_LANES;
            let mut factors = [s.splat_f32s(0.0); D];
            for (f, x) in factors.iter_mut().zip(&row[k..]) {
                *f = s.splat_f32s(*x);
            }
            for (v, out) in out.iter_mut().enumerate() {
                let mut sum = if k == 0 { s.splat_f32s(0.0) } else { *out };
                for (f, line) in factors.iter().zip(&vectors) {
                    sum = s.mul_add_e_f32s(*f, line[v], sum);
                }
                *out = sum;
            }
            for (j, out) in tail.iter_mut().enumerate() {
                let mut sum = if k == 0 { 0.0 } else { *out };
                for (x, line) in row[k..].iter().zip(&lines) {
                    sum += x * line[done + j];
                }
                *out = sum;
            }
        }
    }

    /// The products with `D` columns of the other matrix from `j` on.
    #[inline(always)]
    fn dot<S: Simd, const D: usize>(&mut self, s: S, j: usize) {
        let (b, depth) = (self.b, self.b.rows);
        let (lines, vectors) = streams::<S, D>(b, j * b.col_stride, b.col_stride, depth);
        for (out, row) in self.outs.iter_mut().zip(self.rows.chunks_exact(depth)) {
            let (row, tail) = S::as_simd_f32s(row);
            let mut sums = [s.splat_f32s(0.0); D];
            for (v, x) in row.iter().enumerate() {
                for (sum, line) in sums.iter_mut().zip(&vectors) {
                    *sum = s.mul_add_e_f32s(*x, line[v], *sum);
                }
            }
            for ((out, sum), line) in out[j..].iter_mut().zip(&sums).zip(&lines) {
                let rest = &line[depth - tail.len()..];
                *out = s.reduce_sum_f32s(*sum) + tail.iter().zip(rest).map(|(x, y)| x * y).sum::<f32>();
            }
        }
    }
}
