//! Products of panels: eight rows of one matrix times forty-eight columns of the other, both packed (rows
//! stay unpacked if the cache can hold them), in as few passes over the product as the caches allow. Goto and
//! van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.

use super::matrix::Mat;
use super::output::Shared;
use super::pack::{self, WIDE};
use super::prefetch::Prefetch;
use super::scratch::with_floats;
use super::tile::PANEL;
use super::vectors::dispatch;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Maximum depth of a block: its row panel stays in the L1 cache.
const DEPTH: usize = 512;
/// Floats of columns packed together: they stay in the L2 cache for all rows.
const GROUP: usize = 128 << 10;
/// GEMMs with at most this many rows are memory-bound: they use longer K blocks if B is row-major.
const SKINNY_ROWS: usize = 32;
/// Finished elements collected before the epilogue is called.
const ENDED: usize = 4 << 10;
/// Set-aliasing period of the L1 cache in floats, and the minimum distance of the row stride from a multiple
/// of it.
const SETS: usize = 1024;
const CLEAR: usize = 64;
/// Vectors of a register tile.
const VECTORS: usize = 3;

/// Depth of the blocks of a whole product. It fixes the order of sums, so tiles cannot choose their own.
pub(super) fn depth(rows: usize, b: &Mat<'_>) -> usize {
    depth_of(rows, b.rows, b.col_stride == 1)
}

/// The same for a depth; `in_rows` if the other matrix is row-major.
pub(super) fn depth_of(rows: usize, depth: usize, in_rows: bool) -> usize {
    let most = match (rows <= SKINNY_ROWS, in_rows) {
        (false, _) => DEPTH,
        (true, false) => 4 * DEPTH,
        (true, true) => DEPTH / 4,
    };
    depth.div_ceil(depth.div_ceil(most)).next_multiple_of(8).min(depth)
}

/// Floats of a thread's two blocks for a tile: panels of all its rows if they are packed, and of a group of
/// columns.
pub(super) fn block_floats(rows: usize, unpacked: bool, [depth, group]: [usize; 2]) -> [usize; 2] {
    [if unpacked { 0 } else { rows.next_multiple_of(PANEL) * depth }, group * depth]
}

/// Columns packed together, for tiles of up to `cols` columns: groups of equal width.
pub(super) fn group(cols: usize, depth: usize) -> usize {
    let most = (GROUP / depth / WIDE * WIDE).max(WIDE);
    cols.div_ceil(cols.div_ceil(most)).next_multiple_of(WIDE)
}

/// True if rows are read unpacked: whole panels, contiguous elements, and a row stride that lets the L1 cache
/// hold eight rows at once. The processor must have registers for a tile of eight rows.
pub(super) fn unpacked(rows: usize, row_stride: usize, col_stride: usize) -> bool {
    let apart = row_stride < CLEAR || (row_stride + CLEAR) % SETS >= 2 * CLEAR;
    col_stride == 1 && apart && rows.is_multiple_of(PANEL) && dispatch(Tall)
}

/// Vector code that tells if the processor has registers for a tile of all rows of a panel.
struct Tall;

impl WithSimd for Tall {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        tall::<S>()
    }
}

const fn tall<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

/// All of a matrix's columns as [`product`] reads them: a block of a [`depth`] after the other, panels side by side.
pub(super) fn pack_columns(b: Mat<'_>, depth: usize, to: &mut [f32]) {
    let wide = b.cols.next_multiple_of(WIDE);
    to.par_chunks_mut(depth * wide).enumerate().for_each(|(block, to)| {
        let (first, rows) = (block * depth, to.len() / wide);
        to.par_chunks_mut(rows * WIDE * 4).enumerate().for_each(|(p, to)| {
            let left = p * WIDE * 4;
            let cols = (to.len() / rows).min(b.cols - left);
            let offset = b.offset + first * b.row_stride + left * b.col_stride;
            pack::columns(Mat { offset, rows, cols, ..b }, to);
        });
    });
}

/// `out[at + i * stride + j] = sum_k a[i, k] b[k, j]`, in blocks of a [`depth`] and a [`group`] of columns.
/// `end` is called for every run of finished elements while they are in the cache. `kept` holds the panels
/// from [`pack_columns`] and the column number of `b`'s first column; if it is empty, columns are packed
/// here.
///
/// # Safety
/// No other task touches this tile meanwhile.
#[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
pub(super) unsafe fn product(
    out: Shared,
    (at, stride): (usize, usize),
    a: Mat<'_>,
    b: Mat<'_>,
    blocks: [usize; 2],
    kept: (&[f32], usize),
    end: &dyn Fn(usize, usize),
) {
    let unpacked = unpacked(a.rows, a.row_stride, a.col_stride);
    let [rows, columns] = block_floats(a.rows, unpacked, blocks);
    with_floats([rows, if kept.0.is_empty() { columns } else { 0 }], |rows, columns| {
        dispatch(Product { a, b, blocks, unpacked, rows, columns, kept, out, at, stride, end });
    });
}

/// A product with memory for a block's panels; packing is vector code too.
struct Product<'a> {
    a: Mat<'a>,
    b: Mat<'a>,
    blocks: [usize; 2],
    unpacked: bool,
    rows: &'a mut [f32],
    columns: &'a mut [f32],
    /// Columns packed before, and the number of the first.
    kept: (&'a [f32], usize),
    out: Shared,
    at: usize,
    stride: usize,
    end: &'a dyn Fn(usize, usize),
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { a, b, blocks: [depth, group], unpacked, rows, columns, kept: (kept, j), .. } = self;
        let Self { out, at, stride, end, .. } = self;
        let (m, n, k) = (a.rows, b.cols, a.cols);
        for first in (0..k).step_by(depth) {
            let depth = depth.min(k - first);
            let end = (first + depth == k).then_some(end);
            let rows = if unpacked {
                Rows::Unpacked(&a.data[a.offset + first..], a.row_stride)
            } else {
                let rows = &mut rows[..m.next_multiple_of(PANEL) * depth];
                pack::rows(Mat { offset: a.offset + first * a.col_stride, cols: depth, ..a }, rows);
                Rows::Packed(rows)
            };
            // Columns are packed just before all rows use them: more would not stay in the cache.
            for left in (0..n).step_by(group) {
                let cols = group.min(n - left);
                let size = cols.next_multiple_of(WIDE) * depth;
                let columns = if kept.is_empty() {
                    let offset = b.offset + first * b.row_stride + left * b.col_stride;
                    pack::columns(Mat { offset, rows: depth, cols, ..b }, &mut columns[..size]);
                    &columns[..size]
                } else {
                    // A block has as many floats a depth as the whole matrix has columns in panels.
                    &kept[first * (kept.len() / k) + (j + left) * depth..][..size]
                };
                let block = Block {
                    rows,
                    columns,
                    depth,
                    out,
                    at: at + left,
                    stride,
                    m,
                    n: cols,
                    begin: first == 0,
                    end,
                };
                block.multiply(simd);
            }
        }
    }
}

/// Panels of rows.
#[derive(Clone, Copy)]
enum Rows<'a> {
    /// `[panel][k][PANEL]`.
    Packed(&'a [f32]),
    /// Unpacked, with this distance between rows.
    Unpacked(&'a [f32], usize),
}

/// All row panels and a group of column panels of a block of depth; products are added to the output except
/// in the first block.
struct Block<'a> {
    rows: Rows<'a>,
    columns: &'a [f32],
    depth: usize,
    out: Shared,
    at: usize,
    stride: usize,
    m: usize,
    n: usize,
    begin: bool,
    /// In the last block: the callback for finished sums.
    end: Option<&'a dyn Fn(usize, usize)>,
}

/// Sums of a register tile.
type Sums<S, const ROWS: usize, const NV: usize> = [[<S as Simd>::f32s; NV]; ROWS];

impl Block<'_> {
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S) {
        let mut ended = 0;
        for i in (0..self.m).step_by(PANEL) {
            for (q, columns) in self.columns.chunks_exact(WIDE * self.depth).enumerate() {
                for part in (0..WIDE.min(self.n - q * WIDE)).step_by(VECTORS * S::F32_LANES) {
                    let vectors = (self.n - q * WIDE - part).div_ceil(S::F32_LANES);
                    match vectors {
                        1 => self.panel::<S, 1>(simd, columns, (i, q, part)),
                        2 => self.panel::<S, 2>(simd, columns, (i, q, part)),
                        _ => self.panel::<S, VECTORS>(simd, columns, (i, q, part)),
                    }
                }
            }
            let done = (i + PANEL).min(self.m);
            if let Some(end) = self.end
                && (done == self.m || (done - ended) * self.n >= ENDED)
            {
                if self.n == self.stride {
                    end(self.at + ended * self.stride, (done - ended) * self.stride);
                } else {
                    (ended..done).for_each(|row| end(self.at + row * self.stride, self.n));
                }
                ended = done;
            }
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const NV: usize>(&self, simd: S, columns: &[f32], at: (usize, usize, usize)) {
        if tall::<S>() {
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
        let panel = i;
        let (i, j) = (i + FROM, q * WIDE + part);
        let count = width.min(self.n.saturating_sub(j));
        if count == width && i + ROWS <= self.m {
            self.expect::<S, ROWS, NV>(self.at + i * self.stride + j);
        }
        let acc: Sums<S, ROWS, NV> = match self.rows {
            Rows::Packed(rows) => {
                let rows = &rows[panel * self.depth..][..PANEL * self.depth];
                sums::<S, ROWS, FROM, NV>(simd, rows, columns, part)
            }
            Rows::Unpacked(rows, stride) => {
                sums_unpacked::<S, ROWS, NV>(simd, &rows[i * stride..], stride, columns, part)
            }
        };
        if count == width && i + ROWS <= self.m {
            return self.whole(simd, &acc, self.at + i * self.stride + j);
        }
        // As many iterations as there are rows, each on a copy: a loop of unknown length would keep the sums
        // in memory.
        for (r, &row) in acc.iter().enumerate() {
            if count == 0 || i + r >= self.m {
                continue;
            }
            #[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
            // SAFETY: the row lies in the tile, owned by this task alone.
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

    /// Asks for the memory of a whole tile while its sums are made.
    #[inline(always)]
    fn expect<S: Simd, const ROWS: usize, const NV: usize>(&self, at: usize) {
        let tile = Prefetch::read(self.out.place(at, (ROWS - 1) * self.stride + NV * S::F32_LANES), 0);
        for r in 0..ROWS {
            for v in 0..NV {
                tile.fetch(r * self.stride + v * S::F32_LANES);
            }
        }
    }

    /// Stores, or adds, the sums of a whole tile, straight from registers.
    #[inline(always)]
    #[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
    fn whole<S: Simd, const ROWS: usize, const NV: usize>(
        &self,
        simd: S,
        acc: &Sums<S, ROWS, NV>,
        at: usize,
    ) {
        let to = self.out.place(at, (ROWS - 1) * self.stride + NV * S::F32_LANES).cast::<f32>();
        for (r, row) in acc.iter().enumerate() {
            for (v, sum) in row.iter().enumerate() {
                // SAFETY: the tile's last element is in the output by `place`, and the tile is this task's alone.
                unsafe {
                    let to = to.add(r * self.stride + v * S::F32_LANES).cast::<S::f32s>();
                    *to = if self.begin { *sum } else { simd.add_f32s(*to, *sum) };
                }
            }
        }
    }
}

#[inline(always)]
fn sums<S: Simd, const ROWS: usize, const FROM: usize, const NV: usize>(
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

/// The same for unpacked rows, `stride` elements apart.
#[inline(always)]
#[expect(unsafe_code, reason = "eight checks at every step of the innermost loop")]
fn sums_unpacked<S: Simd, const ROWS: usize, const NV: usize>(
    simd: S,
    rows: &[f32],
    stride: usize,
    columns: &[f32],
    part: usize,
) -> Sums<S, ROWS, NV> {
    let mut acc = [[simd.splat_f32s(0.0); NV]; ROWS];
    let columns = columns.as_chunks::<WIDE>().0;
    assert!((ROWS - 1) * stride + columns.len() <= rows.len(), "all rows lie in memory");
    for (k, b) in columns.iter().enumerate() {
        let b = &S::as_simd_f32s(&b[part..part + NV * S::F32_LANES]).0[..NV];
        for (i, sums) in acc.iter_mut().enumerate() {
            // SAFETY: `i < ROWS` and `k` is less than there are lines of columns.
            let a = simd.splat_f32s(unsafe { *rows.get_unchecked(i * stride + k) });
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = simd.mul_add_e_f32s(a, *b, *sum);
            }
        }
    }
    acc
}
