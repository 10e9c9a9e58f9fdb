//! Products of packed panels: eight rows of one matrix, tap by tap, times forty-eight columns of the other. Packing
//! makes both contiguous whatever their strides, so transposed operands cost the same and none is copied whole.

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
    let (tall, wide) = (a.rows.next_multiple_of(PANEL), b.cols.next_multiple_of(WIDE));
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
        for first in (0..k).step_by(DEPTH) {
            let depth = DEPTH.min(k - first);
            let rows = &mut rows[..m.next_multiple_of(PANEL) * depth];
            let columns = &mut columns[..n.next_multiple_of(WIDE) * depth];
            pack_rows(Mat { offset: a.offset + first * a.col_stride, cols: depth, ..a }, rows);
            pack_columns(Mat { offset: b.offset + first * b.row_stride, rows: depth, ..b }, columns);
            Block { rows, columns, depth, out, at, stride, m, n, begin: first == 0 }.multiply(simd);
        }
    }
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
        // Eight columns at a time, so that what is written is whole pieces of a line.
        for c in (0..count).step_by(8) {
            let some = 8.min(count - c);
            if some == 8 && b.row_stride == 1 {
                let columns: [&[f32]; 8] = std::array::from_fn(|i| &from[(c + i) * b.col_stride..][..b.rows]);
                for (k, line) in lines.iter_mut().enumerate() {
                    let piece: [f32; 8] = std::array::from_fn(|i| columns[i][k]);
                    line[c..c + 8].copy_from_slice(&piece);
                }
                continue;
            }
            for (k, line) in lines.iter_mut().enumerate() {
                for i in 0..some {
                    line[c + i] = from[k * b.row_stride + (c + i) * b.col_stride];
                }
            }
        }
    }
}

/// All panels of a block of depth, added to the output unless it is the first.
struct Block<'a> {
    rows: &'a [f32],
    columns: &'a [f32],
    depth: usize,
    out: Shared,
    at: usize,
    stride: usize,
    m: usize,
    n: usize,
    begin: bool,
}

impl Block<'_> {
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S) {
        for (q, columns) in self.columns.chunks_exact(WIDE * self.depth).enumerate() {
            for (p, rows) in self.rows.chunks_exact(PANEL * self.depth).enumerate() {
                for part in (0..WIDE).step_by(VECTORS * S::F32_LANES) {
                    if S::REGISTER_COUNT >= 32 {
                        self.tile::<S, PANEL, 0>(simd, rows, columns, (p, q, part));
                    } else {
                        self.tile::<S, 4, 0>(simd, rows, columns, (p, q, part));
                        self.tile::<S, 4, 4>(simd, rows, columns, (p, q, part));
                    }
                }
            }
        }
    }

    /// `ROWS` rows from `FROM` on of row panel `p` times a part of column panel `q`.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const FROM: usize>(
        &self,
        simd: S,
        rows: &[f32],
        columns: &[f32],
        (p, q, part): (usize, usize, usize),
    ) {
        let width = VECTORS * S::F32_LANES;
        let mut acc = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (a, b) in rows.as_chunks::<PANEL>().0.iter().zip(columns.as_chunks::<WIDE>().0) {
            let b = &S::as_simd_f32s(&b[part..part + width]).0[..VECTORS];
            for (i, row) in acc.iter_mut().enumerate() {
                let a = simd.splat_f32s(a[FROM + i]);
                for (sum, b) in row.iter_mut().zip(b) {
                    *sum = simd.mul_add_e_f32s(a, *b, *sum);
                }
            }
        }
        let (i, j) = (p * PANEL + FROM, q * WIDE + part);
        let count = width.min(self.n.saturating_sub(j));
        // As many turns as there are rows, each on a copy: a loop of unknown length would keep the sums in memory.
        for (r, &row) in acc.iter().enumerate() {
            if count == 0 || i + r >= self.m {
                continue;
            }
            #[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
            // SAFETY: the row lies in the tile, which is this task's alone.
            let out = unsafe { self.out.row(self.at + (i + r) * self.stride + j, count) };
            let out: &mut [f32] = bytemuck::cast_slice_mut(out);
            if count == width {
                let out = &mut S::as_mut_simd_f32s(out).0[..VECTORS];
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
}
