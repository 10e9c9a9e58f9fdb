//! Products of panels: eight rows of one matrix times forty-eight columns of the other. Columns are packed, and so are
//! rows whose elements do not lie side by side or that lie a power of two apart, so that transposed operands cost little more and none is copied whole.

use super::gemm::{Mat, Shared};
use super::scratch::with_floats;
use super::tile::{PANEL, dispatch};
use pulp::{Simd, WithSimd};

/// Columns packed together: three of the widest vectors.
const WIDE: usize = 48;
/// Depth of a block: a packed column panel of it stays in the first-level cache while all rows pass.
const DEPTH: usize = 192;
/// Vectors of a register tile.
const VECTORS: usize = 3;

/// Whether packing pays: each packed element must be used often enough.
pub(super) fn pays(m: usize, n: usize, k: usize) -> bool {
    m >= 32 && n >= WIDE && k >= 8
}

/// `out[at + i * stride + j] = sum_k a[i, k] b[k, j]`.
///
/// # Safety
/// No other task touches this tile meanwhile.
#[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
pub(super) unsafe fn product(out: Shared, at: usize, stride: usize, a: Mat<'_>, b: Mat<'_>) {
    let depth = DEPTH.min(a.cols);
    let (tall, wide) = ((a.rows - direct(&a)).next_multiple_of(PANEL), b.cols.next_multiple_of(WIDE));
    with_floats([tall * depth, wide * depth], |rows, columns| {
        dispatch(Product { a, b, rows, columns, out, at, stride });
    });
}

/// A product with room for a block's panels; packing is vector code, too.
struct Product<'a> {
    a: Mat<'a>,
    b: Mat<'a>,
    rows: &'a mut [f32],
    columns: &'a mut [f32],
    out: Shared,
    at: usize,
    stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, rows, columns, out, at, stride } = self;
        let (m, n, k) = (a.rows, b.cols, a.cols);
        let direct = direct(&a);
        for first in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - first);
            let rows = &mut rows[..(m - direct).next_multiple_of(PANEL) * depth];
            let columns = &mut columns[..n.next_multiple_of(WIDE) * depth];
            let a = Mat { offset: a.offset + first * a.col_stride, cols: depth, ..a };
            pack_rows(a.below(direct), rows);
            pack_columns(Mat { offset: b.offset + first * b.row_stride, rows: depth, ..b }, columns);
            Block { a, direct, rows, columns, depth, out, at, stride, n, begin: first == 0 }.multiply(simd);
        }
    }
}

/// Rows read where they are, in whole panels: those whose elements lie side by side, unless rows a power of two apart
/// would drive each other, and the columns, out of the first-level cache (2048 x 2048: 45 for 100 GFLOP/s).
fn direct(a: &Mat<'_>) -> usize {
    if a.col_stride == 1 && !a.row_stride.is_multiple_of(256) { a.rows / PANEL * PANEL } else { 0 }
}

/// `[panel][k][PANEL]`; missing rows are zeros.
#[inline(always)]
fn pack_rows(a: Mat<'_>, to: &mut [f32]) {
    for (p, panel) in to.chunks_exact_mut(PANEL * a.cols).enumerate() {
        let count = PANEL.min(a.rows - p * PANEL);
        let from = |i: usize| &a.data[a.offset + (p * PANEL + i) * a.row_stride..];
        if count == PANEL && a.col_stride == 1 {
            let rows: [&[f32]; PANEL] = std::array::from_fn(|i| &from(i)[..a.cols]);
            for (k, line) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                *line = std::array::from_fn(|i| rows[i][k]);
            }
            continue;
        }
        if count == PANEL && a.row_stride == 1 {
            let from = from(0);
            for (k, line) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                line.copy_from_slice(&from[k * a.col_stride..][..PANEL]);
            }
            continue;
        }
        panel.fill(0.0);
        for i in 0..count {
            let from = from(i);
            for (k, line) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                line[i] = from[k * a.col_stride];
            }
        }
    }
}

/// `[panel][k][WIDE]`; missing columns are zeros.
#[inline(always)]
fn pack_columns(b: Mat<'_>, to: &mut [f32]) {
    for (p, panel) in to.chunks_exact_mut(WIDE * b.rows).enumerate() {
        let count = WIDE.min(b.cols - p * WIDE);
        let from = &b.data[b.offset + p * WIDE * b.col_stride..];
        let lines = panel.as_chunks_mut::<WIDE>().0;
        if count < WIDE {
            lines.iter_mut().for_each(|line| line.fill(0.0));
        }
        if b.col_stride == 1 {
            for (k, line) in lines.iter_mut().enumerate() {
                line[..count].copy_from_slice(&from[k * b.row_stride..][..count]);
            }
            continue;
        }
        // Squares of eight by eight, so that both sides are read and written in whole pieces.
        for c in (0..count).step_by(8) {
            let some = 8.min(count - c);
            let mut k = 0;
            if some == 8 && b.row_stride == 1 {
                let columns: [&[f32]; 8] = std::array::from_fn(|i| &from[(c + i) * b.col_stride..][..b.rows]);
                while k + 8 <= b.rows {
                    let square: [&[f32; 8]; 8] =
                        std::array::from_fn(|i| columns[i][k..].first_chunk().expect("eight are left"));
                    for (d, line) in lines[k..k + 8].iter_mut().enumerate() {
                        let piece: [f32; 8] = std::array::from_fn(|i| square[i][d]);
                        line[c..c + 8].copy_from_slice(&piece);
                    }
                    k += 8;
                }
            }
            for (k, line) in lines.iter_mut().enumerate().skip(k) {
                for i in 0..some {
                    line[c + i] = from[k * b.row_stride + (c + i) * b.col_stride];
                }
            }
        }
    }
}

/// All panels of a block of depth, added to the output unless it is the first.
struct Block<'a> {
    a: Mat<'a>,
    /// The first rows, read where they are; the others are packed.
    direct: usize,
    rows: &'a [f32],
    columns: &'a [f32],
    depth: usize,
    out: Shared,
    at: usize,
    stride: usize,
    n: usize,
    begin: bool,
}

/// Sums of a register tile.
type Sums<S, const ROWS: usize, const NV: usize> = [[<S as Simd>::f32s; NV]; ROWS];

impl Block<'_> {
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S) {
        for (q, columns) in self.columns.chunks_exact(WIDE * self.depth).enumerate() {
            for i in (0..self.a.rows).step_by(PANEL) {
                for part in (0..WIDE.min(self.n - q * WIDE)).step_by(VECTORS * S::F32_LANES) {
                    let vectors = (self.n - q * WIDE - part).div_ceil(S::F32_LANES);
                    match vectors {
                        1 => self.rows::<S, 1>(simd, columns, (i, q, part)),
                        2 => self.rows::<S, 2>(simd, columns, (i, q, part)),
                        _ => self.rows::<S, VECTORS>(simd, columns, (i, q, part)),
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const NV: usize>(&self, simd: S, columns: &[f32], at: (usize, usize, usize)) {
        if S::REGISTER_COUNT >= 32 {
            self.tile::<S, PANEL, 0, NV>(simd, columns, at);
        } else {
            self.tile::<S, 4, 0, NV>(simd, columns, at);
            self.tile::<S, 4, 4, NV>(simd, columns, at);
        }
    }

    /// `ROWS` rows from `i + FROM` on times a part of column panel `q`.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const FROM: usize, const NV: usize>(
        &self,
        simd: S,
        columns: &[f32],
        (i, q, part): (usize, usize, usize),
    ) {
        let width = NV * S::F32_LANES;
        let acc: Sums<S, ROWS, NV> = if i < self.direct {
            self.sums_direct::<S, ROWS, NV>(simd, columns, i + FROM, part)
        } else {
            let rows = &self.rows[(i - self.direct) * self.depth..][..PANEL * self.depth];
            sums_packed::<S, ROWS, FROM, NV>(simd, rows, columns, part)
        };
        let (i, j) = (i + FROM, q * WIDE + part);
        let count = width.min(self.n.saturating_sub(j));
        // As many turns as there are rows, each on a copy: a loop of unknown length would keep the sums in memory.
        for (r, &row) in acc.iter().enumerate() {
            if count == 0 || i + r >= self.a.rows {
                continue;
            }
            #[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
            // SAFETY: the row lies in the tile, which is this task's alone.
            let out = unsafe { self.out.row(self.at + (i + r) * self.stride + j, count) };
            let out: &mut [f32] = bytemuck::cast_slice_mut(out);
            if count == width {
                let out = &mut S::as_mut_simd_f32s(out).0[..NV];
                for (o, sum) in out.iter_mut().zip(&row) {
                    *o = if self.begin { *sum } else { simd.add_f32s(*o, *sum) };
                }
            } else {
                let sums: &[f32] = bytemuck::cast_slice(row.as_slice());
                for (o, sum) in out.iter_mut().zip(sums) {
                    *o = if self.begin { *sum } else { *o + *sum };
                }
            }
        }
    }

    #[inline(always)]
    fn sums_direct<S: Simd, const ROWS: usize, const NV: usize>(
        &self,
        simd: S,
        columns: &[f32],
        i: usize,
        part: usize,
    ) -> Sums<S, ROWS, NV> {
        let a = &self.a;
        let rows: [&[f32]; ROWS] =
            std::array::from_fn(|r| &a.data[a.offset + (i + r) * a.row_stride..][..self.depth]);
        let mut acc = [[simd.splat_f32s(0.0); NV]; ROWS];
        for (k, b) in columns.as_chunks::<WIDE>().0.iter().enumerate().take(self.depth) {
            let b = &S::as_simd_f32s(&b[part..part + NV * S::F32_LANES]).0[..NV];
            for (sums, row) in acc.iter_mut().zip(&rows) {
                let a = simd.splat_f32s(row[k]);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = simd.mul_add_e_f32s(a, *b, *sum);
                }
            }
        }
        acc
    }
}

#[inline(always)]
fn sums_packed<S: Simd, const ROWS: usize, const FROM: usize, const NV: usize>(
    simd: S,
    rows: &[f32],
    columns: &[f32],
    part: usize,
) -> Sums<S, ROWS, NV> {
    let mut acc = [[simd.splat_f32s(0.0); NV]; ROWS];
    for (a, b) in rows.as_chunks::<PANEL>().0.iter().zip(columns.as_chunks::<WIDE>().0) {
        let b = &S::as_simd_f32s(&b[part..part + NV * S::F32_LANES]).0[..NV];
        for (i, sums) in acc.iter_mut().enumerate() {
            let a = simd.splat_f32s(a[FROM + i]);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a, *b, *sum);
            }
        }
    }
    acc
}
