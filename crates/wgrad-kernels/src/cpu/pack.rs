//! Packs operands of a product in the order of the register tile's reads: panels of rows and of columns, the
//! elements of each depth side by side. Transposed operands cost little more than straight ones, and none is
//! copied whole.

use super::matrix::Mat;
use super::tile::PANEL;

/// Columns packed together: three of the widest vectors.
pub(super) const WIDE: usize = 48;

/// `[panel][k][PANEL]`; missing rows are zeros.
#[inline(always)]
pub(super) fn rows(a: Mat<'_>, to: &mut [f32]) {
    let size = PANEL * a.cols;
    let sides = if a.row_stride == 1 { a.rows / (SIDE * PANEL) } else { 0 };
    for (p, panels) in to.chunks_exact_mut(SIDE * size).take(sides).enumerate() {
        side_by_side(&a.data[a.offset + p * SIDE * PANEL..], a.col_stride, panels);
    }
    for (p, panel) in to.chunks_exact_mut(size).enumerate().skip(sides * SIDE) {
        let count = PANEL.min(a.rows - p * PANEL);
        let from = &a.data[a.offset + p * PANEL * a.row_stride..];
        if count < PANEL {
            panel.fill(0.0);
        } else if a.col_stride == 1 {
            transpose(from, a.row_stride, a.cols, panel, PANEL);
            continue;
        }
        for (k, line) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            if count == PANEL && a.row_stride == 1 {
                line.copy_from_slice(&from[k * a.col_stride..][..PANEL]);
            } else {
                for (i, x) in line[..count].iter_mut().enumerate() {
                    *x = from[i * a.row_stride + k * a.col_stride];
                }
            }
        }
    }
}

/// Panels of row-major rows packed together: those of a cache line.
const SIDE: usize = 2;

/// Packs [`SIDE`] whole panels of such rows.
#[inline(always)]
fn side_by_side(from: &[f32], stride: usize, panels: &mut [f32]) {
    let (a, b) = panels.split_at_mut(panels.len() / SIDE);
    let (a, b) = (a.as_chunks_mut::<PANEL>().0, b.as_chunks_mut::<PANEL>().0);
    for (k, (a, b)) in a.iter_mut().zip(b).enumerate() {
        let line: &[f32; SIDE * PANEL] = from[k * stride..].first_chunk().expect("whole panels");
        a.copy_from_slice(&line[..PANEL]);
        b.copy_from_slice(&line[PANEL..]);
    }
}

/// `[panel][k][WIDE]`; missing columns are zeros.
#[inline(always)]
pub(super) fn columns(b: Mat<'_>, to: &mut [f32]) {
    let (whole, size) = (b.cols / WIDE, WIDE * b.rows);
    let from = &b.data[b.offset..];
    if b.col_stride == 1 {
        // A row at a time, across all panels: memory is read in order.
        for k in 0..b.rows {
            let row = &from[k * b.row_stride..][..b.cols];
            let (pieces, rest) = row.as_chunks::<WIDE>();
            for (p, piece) in pieces.iter().enumerate() {
                *to[p * size + k * WIDE..].first_chunk_mut().expect("room") = *piece;
            }
            if !rest.is_empty() {
                let line = &mut to[whole * size + k * WIDE..][..WIDE];
                line[..rest.len()].copy_from_slice(rest);
                line[rest.len()..].fill(0.0);
            }
        }
        return;
    }
    for (p, panel) in to.chunks_exact_mut(size).enumerate() {
        let count = WIDE.min(b.cols - p * WIDE);
        let from = &from[p * WIDE * b.col_stride..];
        if count < WIDE {
            panel.fill(0.0);
        }
        let eights = if b.row_stride == 1 { count / 8 * 8 } else { 0 };
        for c in (0..eights).step_by(8) {
            transpose(&from[c * b.col_stride..], b.col_stride, b.rows, &mut panel[c..], WIDE);
        }
        for (k, line) in panel.as_chunks_mut::<WIDE>().0.iter_mut().enumerate() {
            for (c, x) in line[..count].iter_mut().enumerate().skip(eights) {
                *x = from[k * b.row_stride + c * b.col_stride];
            }
        }
    }
}

/// Transposes eight rows: `to[k * pitch + i] = from[i * stride + k]` for eight `i` and every `k < n`.
pub(super) fn transpose(from: &[f32], stride: usize, n: usize, to: &mut [f32], pitch: usize) {
    let whole = squares(from, stride, n / 8 * 8, to, pitch);
    for k in whole..n {
        for (i, x) in to[k * pitch..][..8].iter_mut().enumerate() {
            *x = from[i * stride + k];
        }
    }
}

/// Transposes whole squares of eight by eight; returns the number of depths done.
#[cfg(target_arch = "x86_64")]
fn squares(from: &[f32], stride: usize, whole: usize, to: &mut [f32], pitch: usize) -> usize {
    use pulp::x86::V3;

    struct Squares<'a> {
        from: &'a [f32],
        stride: usize,
        whole: usize,
        to: &'a mut [f32],
        pitch: usize,
        v3: V3,
    }
    impl pulp::NullaryFnOnce for Squares<'_> {
        type Output = ();

        #[inline(always)]
        #[expect(unsafe_code, reason = "sixteen checks a square took longer than its arithmetic")]
        fn call(self) {
            let Self { from, stride, whole, to, pitch, v3: V3 { avx, .. } } = self;
            if whole == 0 {
                return;
            }
            assert!(7 * stride + whole <= from.len() && (whole - 1) * pitch + 8 <= to.len());
            let (from, to) = (from.as_ptr(), to.as_mut_ptr());
            // No closures: they would not be compiled for the same processor.
            macro_rules! pair {
                ($k:expr, $i:expr) => {{
                    // SAFETY: rows $i and $i + 4 have the depths up to $k + 4, since $k + 4 <= whole.
                    let (four, below) = unsafe {
                        (
                            from.add($i * stride + $k).cast::<[f32; 4]>().read(),
                            from.add(($i + 4) * stride + $k).cast::<[f32; 4]>().read(),
                        )
                    };
                    let low = avx._mm256_castps128_ps256(pulp::cast(four));
                    avx._mm256_insertf128_ps::<1>(low, pulp::cast(below))
                }};
            }
            for k in (0..whole).step_by(4) {
                // Rows i and i + 4 side by side: the following shuffles stay within halves.
                let (a, b, c, d) = (pair!(k, 0), pair!(k, 1), pair!(k, 2), pair!(k, 3));
                let (low, high) = (avx._mm256_unpacklo_ps(a, b), avx._mm256_unpackhi_ps(a, b));
                let (low2, high2) = (avx._mm256_unpacklo_ps(c, d), avx._mm256_unpackhi_ps(c, d));
                let lines = [
                    avx._mm256_shuffle_ps::<0x44>(low, low2),
                    avx._mm256_shuffle_ps::<0xee>(low, low2),
                    avx._mm256_shuffle_ps::<0x44>(high, high2),
                    avx._mm256_shuffle_ps::<0xee>(high, high2),
                ];
                for (i, line) in lines.into_iter().enumerate() {
                    let line: [f32; 8] = pulp::cast(line);
                    // SAFETY: k + i < whole, and eight elements from the last depth's first on lie in `to`.
                    unsafe { to.add((k + i) * pitch).cast::<[f32; 8]>().write(line) };
                }
            }
        }
    }
    let Some(v3) = V3::try_new() else { return 0 };
    v3.vectorize(Squares { from, stride, whole, to, pitch, v3 });
    whole
}

#[cfg(not(target_arch = "x86_64"))]
fn squares(from: &[f32], stride: usize, whole: usize, to: &mut [f32], pitch: usize) -> usize {
    for k in (0..whole).step_by(8) {
        let square: [&[f32]; 8] = std::array::from_fn(|i| &from[i * stride + k..][..8]);
        for i in 0..8 {
            to[(k + i) * pitch..][..8].copy_from_slice(&square.map(|row| row[i]));
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_any_strides_keeps_every_element() {
        let data: Vec<f32> = (0..8000).map(|i| i as f32).collect();
        for (height, cols, row_stride, col_stride) in
            [(19, 21, 40, 1), (16, 24, 24, 1), (19, 21, 1, 40), (17, 9, 60, 3), (1, 1, 1, 1), (8, 4, 5, 1)]
        {
            let m = Mat { data: &data, offset: 7, rows: height, cols, row_stride, col_stride };
            let at = |i: usize, j: usize| data[7 + i * row_stride + j * col_stride];
            let mut to = vec![-1.0; height.next_multiple_of(PANEL) * cols];
            rows(m, &mut to);
            for (x, i) in to.iter().zip(0..) {
                let (p, k, r) = (i / (PANEL * cols), i / PANEL % cols, i % PANEL);
                let row = p * PANEL + r;
                assert_eq!(*x, if row < height { at(row, k) } else { 0.0 }, "row {row}, depth {k}");
            }
            let mut to = vec![-1.0; cols.next_multiple_of(WIDE) * height];
            columns(m, &mut to);
            for (x, i) in to.iter().zip(0..) {
                let (p, k, c) = (i / (WIDE * height), i / WIDE % height, i % WIDE);
                let col = p * WIDE + c;
                assert_eq!(*x, if col < cols { at(k, col) } else { 0.0 }, "column {col}, depth {k}");
            }
        }
    }
}
