//! Matrix products in tiles, one per task: packed panels, or one pass over memory if there are few rows.

use super::matrix::Mat;
use super::output::Shared;
use super::pack::WIDE;
use super::tile::PANEL;
use super::{Packed, Reads, map, panel, skinny};
use crate::Kernel;
use rayon::prelude::*;
use wgrad_types::{View, numel};

/// Multiply-adds worth a task of their own, and the maximum per task of a large product.
const TASK_WORK: usize = 2 << 20;
const MOST_WORK: usize = 2 << 30;
/// Minimum rows and columns of a tile.
const LEAST: usize = 64;
/// Columns of the widest vector: granularity of tiles that pack their own columns.
const VECTOR: usize = 16;

/// Who computes a product.
#[derive(Clone, Copy, PartialEq)]
enum Algorithm {
    Skinny,
    Panels,
}

/// Rows and columns of a tile: nearly square, since a tile packs its own operands; rows are halved first, since
/// transposing them costs more than copying columns. `unit` is the granularity of columns. A tiling by the
/// number of threads is safe: the terms of a sum are added in the same order for every tiling.
fn tile_extents([m, n, k, batch]: [usize; 4], threads: usize, unit: usize) -> (usize, usize) {
    let work = m * n * k;
    let wanted = (work / TASK_WORK).min(threads.div_ceil(batch.max(1))).max(work / MOST_WORK);
    let (mut rows, mut cols, mut tiles) = (m, n, 1);
    while tiles < wanted && (rows > LEAST || cols > LEAST) {
        if cols > rows {
            cols = cols.div_ceil(2).next_multiple_of(unit);
        } else {
            rows = rows.div_ceil(2).next_multiple_of(PANEL);
        }
        tiles *= 2;
    }
    (rows.max(1), cols.max(1))
}

/// Matrix `z` of a batch seen through a view.
fn matrix<'a>(data: &'a [f32], view: &View, z: usize) -> Mat<'a> {
    let r = view.shape.len();
    let (mut offset, mut rest) = (view.offset, z);
    for (&n, &stride) in view.shape[..r - 2].iter().zip(&view.strides[..r - 2]).rev() {
        offset += (rest % n) as isize * stride;
        rest /= n;
    }
    debug_assert!(view.strides.iter().all(|&s| s >= 0), "no view walks backwards");
    Mat {
        data,
        offset: offset as usize,
        rows: view.shape[r - 2],
        cols: view.shape[r - 1],
        row_stride: view.strides[r - 2] as usize,
        col_stride: view.strides[r - 1] as usize,
    }
}

/// Algorithm for the product of two views, and its extents: rows, columns, depth, matrices.
fn algorithm(av: &View, bv: &View) -> (Algorithm, [usize; 4]) {
    let r = av.shape.len();
    let (m, k, n) = (av.shape[r - 2], av.shape[r - 1], bv.shape[r - 1]);
    let algorithm = if skinny::fits(m, bv.strides[r - 2], bv.strides[r - 1]) {
        Algorithm::Skinny
    } else {
        Algorithm::Panels
    };
    (algorithm, [m, n, k, numel(&av.shape[..r - 2])])
}

/// Words of the second operand packed whole; 0 unless it is a single matrix read in panels.
pub(crate) fn packed(av: &View, bv: &View) -> usize {
    match algorithm(av, bv) {
        (Algorithm::Panels, [_, n, k, 1]) => n.next_multiple_of(WIDE) * k,
        _ => 0,
    }
}

/// Floats of a thread's two blocks, with `threads` threads.
pub(crate) fn block_floats(av: &View, bv: &View, threads: usize) -> [usize; 2] {
    let (algorithm, extents) = algorithm(av, bv);
    let [m, n, k, batch] = extents;
    if m * n * k * batch == 0 {
        return [0, 0];
    }
    if algorithm == Algorithm::Skinny {
        return [m * k, 0];
    }
    // With and without packed columns.
    let r = bv.shape.len();
    let depth = panel::depth_of(m, k, bv.strides[r - 1] == 1);
    let unpacked = panel::unpacked(m, av.strides[r - 2] as usize, av.strides[r - 1] as usize);
    let of = [VECTOR, WIDE].map(|unit| {
        let (rows, cols) = tile_extents(extents, threads, unit);
        panel::block_floats(rows, unpacked, [depth, panel::group(cols, depth)])
    });
    std::array::from_fn(|i| of[0][i].max(of[1][i]))
}

/// `packed` has no words if the second operand is packed tile by tile.
pub(crate) fn matmul(
    kernel: &Kernel,
    [av, bv]: [&View; 2],
    reads: Reads<'_>,
    out: &mut [u32],
    packed: Packed<'_>,
) {
    let (a, b) = (reads.f32(0), reads.f32(1));
    let (algorithm, extents) = algorithm(av, bv);
    let [m, n, k, batch] = extents;
    if m * n * batch == 0 {
        return;
    }
    if k == 0 {
        out.fill(0);
        return map::epilogue(kernel, reads, 0, out);
    }
    let first = matrix(b, bv, 0);
    let depth = panel::depth(m, &first);
    let kept: &mut [f32] = bytemuck::cast_slice_mut(packed.words);
    if !kept.is_empty() && !packed.done {
        panel::pack_columns(first, depth, kept);
    }
    let kept: &[f32] = kept;
    let unit = if kept.is_empty() { VECTOR } else { WIDE };
    let (rows, cols) = tile_extents(extents, rayon::current_num_threads(), unit);
    let (down, across) = (m.div_ceil(rows), n.div_ceil(cols));
    let blocks = [depth, panel::group(cols, depth)];
    let out = Shared::new(out);
    let task = |t: usize| {
        let (z, i, j) = (t / (down * across), t / across % down * rows, t % across * cols);
        let (a, b) = (matrix(a, av, z), matrix(b, bv, z));
        let a = Mat { offset: a.offset + i * a.row_stride, rows: rows.min(m - i), ..a };
        let b = Mat { offset: b.offset + j * b.col_stride, cols: cols.min(n - j), ..b };
        let at = (z * m + i) * n + j;
        #[expect(unsafe_code, reason = "tiles of one matrix are no slices")]
        // SAFETY: tasks have disjoint tiles of the output, borrowed for all of this function.
        unsafe {
            let end = |at: usize, len: usize| map::epilogue(kernel, reads, at, out.row(at, len));
            match algorithm {
                Algorithm::Skinny => {
                    skinny::product(out, at, n, a, b);
                    // The epilogue on rows, as one run if they are contiguous.
                    let (runs, len) = if b.cols == n { (1, a.rows * n) } else { (a.rows, b.cols) };
                    (0..runs).for_each(|run| end(at + run * n, len));
                }
                Algorithm::Panels => panel::product(out, (at, n), a, b, blocks, (kept, j), &end),
            }
        }
    };
    match batch * down * across {
        1 => task(0),
        // Several small matrices of a batch per task.
        tasks => {
            let together = (TASK_WORK / (rows * cols * k).max(1)).clamp(1, tasks.div_ceil(16));
            (0..tasks).into_par_iter().with_min_len(together).for_each(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Prepared;
    use crate::{Core, Expr};
    use wgrad_types::{DType, Type};

    /// `[m, k] x [k, n]` on `threads` threads; `transposed` is the storage of the second operand.
    fn bits(threads: usize, [m, n, k]: [usize; 3], transposed: bool) -> Vec<u32> {
        let value =
            |i: usize| ((i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 65536.0 - 0.5).to_bits();
        let (a, b): (Vec<u32>, Vec<u32>) =
            ((0..m * k).map(value).collect(), (7..n * k + 7).map(value).collect());
        let mut bv = View::contiguous(&[k, n]);
        if transposed {
            bv.strides = vec![1, k as isize];
        }
        let (av, shape) = (View::contiguous(&[m, k]), vec![m, n]);
        let kernel = Kernel {
            core: Core::MatMul { a: av.clone(), b: bv.clone() },
            operands: vec![Type::f32(&[m, k]), Type::f32(&[n * k])],
            shape,
            epilogue: Expr::identity(),
            outputs: vec![DType::F32],
            sums: None,
            in_place: vec![None],
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let prepared = Prepared::new(&kernel);
        let reads = Reads { operands: &[&a, &b], scalars: &[], prepared: &prepared };
        let product = |words: &mut [u32], done| {
            let mut out = vec![0; m * n];
            pool.install(|| matmul(&kernel, [&av, &bv], reads, &mut out, Packed { words, done }));
            out
        };
        let out = product(&mut [], false);
        // Kept panels give the same bits, packed now or before.
        let mut kept = vec![7; packed(&av, &bv)];
        assert!(product(&mut kept, false) == out && product(&mut kept, true) == out, "{m} {n} {k}");
        out
    }

    /// Also with few rows in the last tile: its sums are those of the whole product.
    #[test]
    fn gemm_tiling_changes_no_bit() {
        for shape in [
            [65, 48, 3000],
            [72, 50, 4096],
            [33, 200, 2100],
            [300, 97, 700],
            [16, 640, 1500],
            [1, 4099, 1501],
            [7, 3001, 530],
        ] {
            for transposed in [false, true] {
                let one = bits(1, shape, transposed);
                for threads in [2, 3, 5, 8] {
                    assert!(bits(threads, shape, transposed) == one, "{shape:?} on {threads} threads");
                }
            }
        }
    }

    /// Row-major rows are read unpacked if all of them fill panels, and are packed otherwise.
    #[test]
    fn gemm_unpacked_rows_give_same_bits() {
        for [n, k] in [[50, 130], [130, 512], [16, 7], [200, 1200], [48, 1024], [48, 1500]] {
            for transposed in [false, true] {
                let (whole, ragged) = (bits(1, [72, n, k], transposed), bits(1, [65, n, k], transposed));
                assert!(whole[..65 * n] == ragged, "{n} columns, depth {k}");
            }
        }
    }
}
