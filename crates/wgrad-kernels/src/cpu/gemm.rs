//! Matrix products over the `gemm` crate, single-threaded inside our own partition, which depends on shapes alone.

use super::{Reads, map};
use crate::Step;
use rayon::prelude::*;
use wgrad_types::{View, coordinates, numel};

/// A matrix in a slice: rows and columns, first element, strides.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    pub data: &'a [f32],
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: usize,
    pub col_stride: usize,
}

impl Mat<'_> {
    fn last(&self) -> usize {
        self.offset + (self.rows.max(1) - 1) * self.row_stride + (self.cols.max(1) - 1) * self.col_stride
    }
}

/// `out[i * row_stride + j] = (accumulate ? itself : 0) + sum_k a[i, k] b[k, j]`; `out` has unit column stride.
pub(crate) fn product(out: &mut [f32], row_stride: usize, a: Mat<'_>, b: Mat<'_>, accumulate: bool) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    assert_eq!(k, b.rows, "inner extents agree");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        if !accumulate {
            (0..m).for_each(|i| out[i * row_stride..i * row_stride + n].fill(0.0));
        }
        return;
    }
    assert!(a.last() < a.data.len() && b.last() < b.data.len(), "operands lie in their slices");
    assert!((m - 1) * row_stride + n <= out.len(), "the product lies in its slice");
    let alpha = f32::from(u8::from(accumulate));
    #[expect(unsafe_code, reason = "the gemm crate's interface is raw pointers")]
    // SAFETY: the assertions above bound every element the product touches: the largest index of each operand and of
    // the output lies inside its slice, strides are not negative, and `out` is borrowed mutably, so it overlaps neither.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr().add(a.offset),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr().add(b.offset),
            b.col_stride as isize,
            b.row_stride as isize,
            alpha,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

/// How a product is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cut {
    /// Blocks of so many output rows.
    Rows(usize),
    /// Blocks of so many output columns, through scratch.
    Cols(usize),
}

/// Blocks a product is cut into at most.
const BLOCKS: usize = 16;

fn cut(m: usize, n: usize, k: usize) -> Cut {
    if m * n * k <= 64 * 64 * 64 {
        return Cut::Rows(m.max(1));
    }
    if m >= 64 || n < 2 * m {
        Cut::Rows(m.div_ceil(BLOCKS).next_multiple_of(8))
    } else {
        Cut::Cols(n.div_ceil(BLOCKS).next_multiple_of(16))
    }
}

/// Words of scratch [`matmul`] needs.
pub(crate) fn matmul_scratch(a: &View, b: &View) -> usize {
    let (r, batch) = (a.shape.len(), numel(&a.shape[..a.shape.len() - 2]));
    let (m, k, n) = (a.shape[r - 2], a.shape[r - 1], b.shape[r - 1]);
    match cut(m, n, k) {
        Cut::Cols(_) if batch == 1 => m * n,
        _ => 0,
    }
}

/// Matrix `z` of a batch seen through a view.
fn matrix<'a>(data: &'a [f32], view: &View, z: usize) -> Mat<'a> {
    let r = view.shape.len();
    let at = coordinates(z, &view.shape[..r - 2]);
    let base: isize =
        view.offset + at.iter().zip(&view.strides).map(|(&i, &s)| i as isize * s).sum::<isize>();
    Mat {
        data,
        offset: base as usize,
        rows: view.shape[r - 2],
        cols: view.shape[r - 1],
        row_stride: view.strides[r - 2] as usize,
        col_stride: view.strides[r - 1] as usize,
    }
}

pub(crate) fn matmul(
    step: &Step,
    av: &View,
    bv: &View,
    reads: Reads<'_>,
    out: &mut [u32],
    scratch: &mut [u32],
) {
    let (a, b, code) = (reads.f32(0), reads.f32(1), map::code(step));
    let r = av.shape.len();
    let (m, k, n) = (av.shape[r - 2], av.shape[r - 1], bv.shape[r - 1]);
    let batch = numel(&av.shape[..r - 2]);
    if m * n == 0 {
        return;
    }
    match cut(m, n, k) {
        Cut::Cols(block) if batch == 1 => {
            let (a, b) = (matrix(a, av, 0), matrix(b, bv, 0));
            let parts: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..m * n]);
            parts.par_chunks_mut(m * block).enumerate().for_each(|(t, part)| {
                let cols = block.min(n - t * block);
                let b = Mat { offset: b.offset + t * block * b.col_stride, cols, ..b };
                product(part, cols, a, b, false);
            });
            let parts: &[f32] = parts;
            out.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
                for (t, to) in row.chunks_mut(block).enumerate() {
                    let from = t * m * block + i * to.len();
                    to.copy_from_slice(bytemuck::cast_slice(&parts[from..from + to.len()]));
                }
                map::epilogue(step, &code, reads, i * n, row);
            });
        }
        rule => {
            let rows = match rule {
                Cut::Rows(rows) => rows,
                Cut::Cols(_) => m,
            };
            let blocks = m.div_ceil(rows);
            let task = |(t, part): (usize, &mut [u32])| {
                let (z, i) = (t / blocks, t % blocks * rows);
                let a = matrix(a, av, z);
                let a = Mat { offset: a.offset + i * a.row_stride, rows: rows.min(m - i), ..a };
                product(bytemuck::cast_slice_mut(part), n, a, matrix(b, bv, z), false);
                map::epilogue(step, &code, reads, (z * m + i) * n, part);
            };
            let mut parts: Vec<&mut [u32]> = Vec::with_capacity(batch * blocks);
            out.chunks_mut(m * n).for_each(|matrix| parts.extend(matrix.chunks_mut(rows * n)));
            if parts.len() == 1 {
                parts.into_iter().enumerate().for_each(task);
            } else {
                parts.into_par_iter().enumerate().with_max_len(1).for_each(task);
            }
        }
    }
}
