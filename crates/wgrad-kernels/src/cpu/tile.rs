//! The two register tiles under the convolutions: both keep a block of sums in vector registers and read the
//! image in place, through a table of offsets, so that no patch matrix is ever made.
//!
//! `pulp` picks the widest vectors the processor has. Sums are in a fixed order for a given width.

use pulp::{Simd, WithSimd};

/// Rows of weights packed together; see [`pack`].
pub(crate) const PANEL: usize = 8;
/// Slack in floats after a row for reads and writes of whole vectors: three of the widest.
pub(crate) const SLACK: usize = 48;
/// Vectors of a [`Correlate`] tile.
const VECTORS: usize = 3;
/// Taps of a [`Contract`] tile at most.
const TAPS: usize = 6;
/// Floats of the image touched by a block of taps: they stay in the L1 cache for all rows.
const WINDOW: usize = 4 << 10;

/// `n` in whole vectors of any width.
pub(crate) fn whole(n: usize) -> usize {
    n.next_multiple_of(16)
}

/// Floats written by [`pack`].
pub(crate) fn packed(rows: usize, taps: usize) -> usize {
    rows.next_multiple_of(PANEL) * taps
}

/// Packs a weight matrix into panels of [`PANEL`] rows, tap by tap; missing rows are zeros.
pub(crate) fn pack(rows: usize, taps: usize, at: impl Fn(usize, usize) -> f32, to: &mut [f32]) {
    for (p, panel) in to[..packed(rows, taps)].chunks_exact_mut(PANEL * taps).enumerate() {
        for (k, line) in panel.chunks_exact_mut(PANEL).enumerate() {
            for (i, v) in line.iter_mut().enumerate() {
                let row = p * PANEL + i;
                *v = if row < rows { at(row, k) } else { 0.0 };
            }
        }
    }
}

#[inline(always)]
fn vectors<S: Simd>(x: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(x).0
}

/// `out[i * pitch + q] = sum_k w[i][k] x[taps[k] + q]` for `q < cols`, written in whole vectors and whole
/// panels.
///
/// `x` reaches [`SLACK`] beyond every element named, `out` has `pitch >= whole(cols)` and [`PANEL`]-fold rows. A tap's
/// neighbours in `taps` should be near it in `x`.
pub(crate) struct Correlate<'a> {
    /// From [`pack`].
    pub weights: &'a [f32],
    pub taps: &'a [usize],
    pub x: &'a [f32],
    pub out: &'a mut [f32],
    pub pitch: usize,
    pub cols: usize,
    /// Floats of `x` from one tap of the table to the next, on average; sets how many taps run together.
    pub spread: usize,
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if self.taps.is_empty() {
            self.out.fill(0.0);
        }
        let vectors = self.cols.div_ceil(S::F32_LANES);
        let together = (WINDOW / (self.spread + SLACK / 4)).max(64);
        for first in (0..self.taps.len()).step_by(together) {
            let block = first..(first + together).min(self.taps.len());
            let mut v = 0;
            while v < vectors {
                let left = vectors - v;
                // Four are two and two: a tile of one vector would wait for its loads.
                let n = if left == 4 { 2 } else { left.min(VECTORS) };
                match n {
                    3 => self.columns::<S, 3>(simd, block.clone(), v),
                    2 => self.columns::<S, 2>(simd, block.clone(), v),
                    _ => self.columns::<S, 1>(simd, block.clone(), v),
                }
                v += n;
            }
        }
    }
}

impl Correlate<'_> {
    #[inline(always)]
    fn columns<S: Simd, const NV: usize>(&mut self, simd: S, block: std::ops::Range<usize>, v: usize) {
        let all = self.taps.len();
        for (p, panel) in self.weights.chunks_exact(PANEL * all).enumerate() {
            let panel = &panel[block.start * PANEL..block.end * PANEL];
            let taps = &self.taps[block.clone()];
            let at = p * PANEL * self.pitch + v * S::F32_LANES;
            let (q, begin) = (v * S::F32_LANES, block.start == 0);
            let out = &mut self.out[at..];
            if S::REGISTER_COUNT >= 32 {
                tile::<S, PANEL, 0, NV>(simd, panel, taps, self.x, q, out, self.pitch, begin);
            } else {
                tile::<S, 4, 0, NV>(simd, panel, taps, self.x, q, out, self.pitch, begin);
                let below = &mut out[4 * self.pitch..];
                tile::<S, 4, 4, NV>(simd, panel, taps, self.x, q, below, self.pitch, begin);
            }
        }
    }
}

/// `ROWS` rows of a panel from row `FROM` on, times `NV` vectors.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "inlined into one caller; a struct would hide what stays in registers"
)]
fn tile<S: Simd, const ROWS: usize, const FROM: usize, const NV: usize>(
    simd: S,
    panel: &[f32],
    taps: &[usize],
    x: &[f32],
    q: usize,
    out: &mut [f32],
    pitch: usize,
    begin: bool,
) {
    let lanes = S::F32_LANES;
    let mut acc = [[simd.splat_f32s(0.0); NV]; ROWS];
    if !begin {
        for (i, row) in acc.iter_mut().enumerate() {
            row.copy_from_slice(&vectors::<S>(&out[i * pitch..][..NV * lanes])[..NV]);
        }
    }
    for (w, &tap) in panel.as_chunks::<PANEL>().0.iter().zip(taps) {
        let x = &vectors::<S>(&x[tap + q..][..NV * lanes])[..NV];
        for (i, row) in acc.iter_mut().enumerate() {
            let w = simd.splat_f32s(w[FROM + i]);
            for (sum, x) in row.iter_mut().zip(x) {
                *sum = simd.mul_add_e_f32s(w, *x, *sum);
            }
        }
    }
    for (i, row) in acc.iter().enumerate() {
        S::as_mut_simd_f32s(&mut out[i * pitch..][..NV * lanes]).0[..NV].copy_from_slice(row);
    }
}

/// `out[i * pitch + j] += sum_n sum_q dy[n][i * dy_pitch + q] x[n][taps[j] + q]` for `q < cols` in whole
/// vectors: `dy` must hold zeros beyond `cols`. A NaN or infinity in `x` spoils the taps passing over it
/// there too. `rows` rows of `dy`.
pub(crate) struct Contract<'a> {
    pub dy: &'a [f32],
    pub rows: usize,
    pub dy_pitch: usize,
    /// Floats from one image to the next.
    pub dy_image: usize,
    pub x: &'a [f32],
    pub taps: &'a [usize],
    pub x_image: usize,
    pub images: usize,
    pub cols: usize,
    pub out: &'a mut [f32],
    pub pitch: usize,
}

impl WithSimd for Contract<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let height = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let (mut i, taps) = (0, self.taps.len());
        // Tiles of nearly equal width, the widest at most.
        let tiles = taps.div_ceil(TAPS);
        while i < self.rows {
            let tall = if self.rows - i >= height { height } else { 1 };
            for t in 0..tiles {
                let (j, end) = (t * taps / tiles, (t + 1) * taps / tiles);
                match tall {
                    4 => self.wide::<S, 4>(simd, i, j, end - j),
                    2 => self.wide::<S, 2>(simd, i, j, end - j),
                    _ => self.wide::<S, 1>(simd, i, j, end - j),
                }
            }
            i += tall;
        }
    }
}

impl Contract<'_> {
    #[inline(always)]
    fn wide<S: Simd, const ROWS: usize>(&mut self, simd: S, i: usize, j: usize, taps: usize) {
        match taps {
            1 => self.tile::<S, ROWS, 1>(simd, i, j),
            2 => self.tile::<S, ROWS, 2>(simd, i, j),
            3 => self.tile::<S, ROWS, 3>(simd, i, j),
            4 => self.tile::<S, ROWS, 4>(simd, i, j),
            5 => self.tile::<S, ROWS, 5>(simd, i, j),
            _ => self.tile::<S, ROWS, TAPS>(simd, i, j),
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const NT: usize>(&mut self, simd: S, i: usize, j: usize) {
        let cols = self.cols.next_multiple_of(S::F32_LANES);
        let mut acc = [[simd.splat_f32s(0.0); NT]; ROWS];
        for n in 0..self.images {
            let dy: [&[S::f32s]; ROWS] = std::array::from_fn(|r| {
                vectors::<S>(&self.dy[n * self.dy_image + (i + r) * self.dy_pitch..][..cols])
            });
            let x: [&[S::f32s]; NT] =
                std::array::from_fn(|t| vectors::<S>(&self.x[n * self.x_image + self.taps[j + t]..][..cols]));
            for q in 0..cols / S::F32_LANES {
                let x: [S::f32s; NT] = std::array::from_fn(|t| x[t][q]);
                for (row, dy) in acc.iter_mut().zip(&dy) {
                    let dy = dy[q];
                    for (sum, x) in row.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f32s(dy, x, *sum);
                    }
                }
            }
        }
        for (r, row) in acc.iter().enumerate() {
            for (t, sum) in row.iter().enumerate() {
                self.out[(i + r) * self.pitch + j + t] += simd.reduce_sum_f32s(*sum);
            }
        }
    }
}
