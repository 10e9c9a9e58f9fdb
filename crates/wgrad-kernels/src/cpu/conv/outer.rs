//! Weight gradients as outer products: at every pixel eight output channels times up to three vectors of
//! input channels, accumulated in registers over rows of pixels. With enough images and few weights, each
//! task has its own images and sums, so that threads share nothing; otherwise each has its own output
//! channels.

use super::interleaved::Interleaved;
use super::{Geometry, TASKS};
use crate::Kernel;
use crate::cpu::matrix::Mat;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::PANEL;
use crate::cpu::vectors::dispatch;
use crate::cpu::{Reads, map, pack};
use pulp::{Simd, WithSimd};
use rayon::iter::once;
use rayon::prelude::*;
use std::ops::Range;

/// Floats of images and gradients prepared together.
const TOGETHER: usize = 512 << 10;
/// Ranges of images with sums of their own, and floats of each's sums at most.
const PARTS: usize = 8;
const SUMS: usize = 512 << 10;
/// Pixels summed over before sums leave the registers: their gradients stay in the first-level cache.
const PIXELS: usize = 384;
/// Input channels come in whole vectors of any width.
const VECTOR: usize = 16;
/// Vectors of a register tile.
const VECTORS: usize = 3;

/// True if register tiles are full enough.
pub(super) fn pays(g: &Geometry) -> bool {
    g.c.is_multiple_of(VECTOR) && 4 * g.o >= 3 * g.o.next_multiple_of(PANEL)
}

/// Floats of an image's gradients in panels.
fn gradients(g: &Geometry) -> usize {
    g.o.next_multiple_of(PANEL) * g.oh * g.ow
}

/// Images made ready together.
fn together(g: &Geometry, images: usize) -> usize {
    (TOGETHER / (Interleaved::of_input(g).len() + gradients(g)).max(1)).clamp(1, images.max(1))
}

/// Ranges of images with sums of their own.
fn parts(g: &Geometry, images: usize) -> usize {
    // Each thread has its own copies, so an image's must be small.
    let image = Interleaved::of_input(g).len() + gradients(g);
    if images >= PARTS && weights(g) <= SUMS && image <= TOGETHER { PARTS } else { 1 }
}

fn weights(g: &Geometry) -> usize {
    g.spec.groups * g.o * g.taps()
}

/// Floats of the copies of images and gradients made ready together.
fn copies(g: &Geometry, images: usize) -> [usize; 2] {
    let n = together(g, images.div_ceil(parts(g, images)));
    [n * Interleaved::of_input(g).len(), n * gradients(g)]
}

/// Words of scratch for [`Outers::run`]: partial sums of all ranges but the first, or copies shared by tasks.
pub(super) fn scratch(g: &Geometry, images: usize) -> usize {
    match parts(g, images) {
        1 => copies(g, images).iter().sum(),
        parts => (parts - 1) * weights(g),
    }
}

/// The weights' gradient by outer products, made ready.
#[derive(Debug)]
pub(crate) struct Outers {
    g: Geometry,
    images: usize,
    /// [`parts`] and [`copies`].
    parts: usize,
    copies: [usize; 2],
    source: Interleaved,
    /// Offset of each row of pixels in the copies of the images prepared together, and of each tap.
    lines: Vec<usize>,
    taps: Vec<usize>,
}

impl Outers {
    pub(super) fn new(g: Geometry, images: usize) -> Self {
        let source = Interleaved::of_input(&g);
        let line = |r: usize| r / g.oh * source.len() + r % g.oh * g.spec.stride[0] * source.row();
        let (parts, copies) = (parts(&g, images), copies(&g, images));
        let most = together(&g, images.div_ceil(parts));
        let lines = (0..most * g.oh).map(line).collect();
        let taps = source.taps(&g).collect();
        Self { g, images, parts, copies, source, lines, taps }
    }

    /// Floats of a thread's two blocks: an output channel's sums, and the thread's own copies.
    pub(super) fn block_floats(&self) -> [usize; 2] {
        let sums = if self.g.kh * self.g.kw == 1 { 0 } else { self.g.taps() };
        let [xs, dys] = if self.parts == 1 { [0, 0] } else { self.copies };
        [xs.max(sums), dys]
    }

    pub(super) fn run(&self, kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], scratch: &mut [u32]) {
        let &Self { ref g, images, parts, copies: [xs, dys], .. } = self;
        let (images, size) = (if g.oh * g.ow == 0 { 0 } else { images }, out.len());
        let scratch = &mut scratch[..self::scratch(g, self.images)];
        let first: &mut [f32] = bytemuck::cast_slice_mut(&mut *out);
        let floats: &mut [f32] = bytemuck::cast_slice_mut(&mut *scratch);
        if images == 0 {
            first.fill(0.0);
            floats.fill(0.0);
        } else if parts == 1 {
            let (xs, rest) = floats.split_at_mut(xs);
            self.range::<true>(0..images, reads, (xs, &mut rest[..dys]), first);
        } else {
            let sums = once(first).chain(floats.par_chunks_exact_mut(size)).enumerate().with_max_len(1);
            sums.for_each(|(p, sums)| {
                let images = p * images / parts..(p + 1) * images / parts;
                with_floats([xs, dys], |xs, dys| self.range::<false>(images, reads, (xs, dys), sums));
            });
        }
        let others: &[f32] = if parts == 1 { &[] } else { bytemuck::cast_slice(scratch) };
        out.par_chunks_mut(g.taps()).enumerate().with_min_len(4).for_each(|(o, words)| {
            let own: &mut [f32] = bytemuck::cast_slice_mut(words);
            for part in others.chunks_exact(size) {
                own.iter_mut().zip(&part[o * g.taps()..]).for_each(|(sum, more)| *sum += more);
            }
            in_order(g, own);
            map::epilogue(kernel, reads, o * g.taps(), words);
        });
    }

    /// Sums over some images, in the order `[output channel][tap][input channel]`; if `SHARED`, tasks have
    /// output channels each.
    fn range<const SHARED: bool>(
        &self,
        images: Range<usize>,
        reads: Reads<'_>,
        (xs, dys): (&mut [f32], &mut [f32]),
        sums: &mut [f32],
    ) {
        let Self { g, source, lines, taps, .. } = self;
        let (x, dy, groups) = (reads.f32(0), reads.f32(1), g.spec.groups);
        let (x_group, y_group, w_group) = g.sizes();
        let (most, pixels) = (lines.len() / g.oh, g.oh * g.ow);
        // A range of output channels each: whole panels.
        let block = g.o.div_ceil(PANEL).div_ceil(TASKS) * PANEL;
        for (group, sums) in sums.chunks_exact_mut(w_group).enumerate() {
            for first in images.clone().step_by(most) {
                let n = most.min(images.end - first);
                let (xs, dys) = (&mut xs[..n * source.len()], &mut dys[..n * gradients(g)]);
                let at = |i: usize| (first + i) * groups + group;
                let row = |(r, line): (usize, &mut [f32])| {
                    let image = &x[at(r / source.rows) * x_group..][..x_group];
                    source.fill_row(r % source.rows, image, line);
                };
                let panel = |(p, panel): (usize, &mut [f32])| {
                    gradient_panel(g, dy, p, |i| at(i) * y_group, panel);
                };
                let outer = |x: &[f32], (out, dy): (&mut [f32], &[f32])| {
                    dispatch(Outer {
                        x,
                        dy,
                        lines: &lines[..n * g.oh],
                        taps,
                        cols: g.ow,
                        pitch: g.spec.stride[1] * g.c,
                        channels: g.c,
                        out,
                        begin: first == images.start,
                    });
                };
                if SHARED {
                    let rows = xs.par_chunks_exact_mut(source.row()).enumerate().with_min_len(8);
                    let panels = dys.par_chunks_exact_mut(n * PANEL * pixels).enumerate();
                    rayon::join(|| rows.for_each(row), || panels.for_each(panel));
                    let tasks = sums.par_chunks_mut(block * g.taps()).zip(dys.par_chunks(block * n * pixels));
                    tasks.with_max_len(1).for_each(|task| outer(xs, task));
                } else {
                    xs.chunks_exact_mut(source.row()).enumerate().for_each(row);
                    dys.chunks_exact_mut(n * PANEL * pixels).enumerate().for_each(panel);
                    outer(xs, (&mut *sums, dys));
                }
            }
        }
    }
}

/// Gradients of eight channels of all images side by side, pixel by pixel; `at` gives the offset of an image.
fn gradient_panel(g: &Geometry, dy: &[f32], p: usize, at: impl Fn(usize) -> usize, to: &mut [f32]) {
    let pixels = g.oh * g.ow;
    for (i, to) in to.chunks_exact_mut(PANEL * pixels).enumerate() {
        let m = Mat {
            data: dy,
            offset: at(i) + p * PANEL * pixels,
            rows: PANEL.min(g.o - p * PANEL),
            cols: pixels,
            row_stride: pixels,
            col_stride: 1,
        };
        pack::rows(m, to);
    }
}

/// Turns an output channel's sums from `[tap][input channel]` to the order of weights.
fn in_order(g: &Geometry, sums: &mut [f32]) {
    let positions = g.kh * g.kw;
    if positions == 1 {
        return;
    }
    with_floats([sums.len(), 0], |copy, _| {
        copy.copy_from_slice(sums);
        for (c, to) in sums.chunks_exact_mut(positions).enumerate() {
            for (w, sum) in to.iter_mut().zip(copy[c..].iter().step_by(g.c)) {
                *w = *sum;
            }
        }
    });
}

/// Adds to `out[o][tap][c]` the products of gradients and input over some images.
struct Outer<'a> {
    x: &'a [f32],
    /// `[panel][line][pixel][PANEL]`.
    dy: &'a [f32],
    /// Offset of each row of pixels in `x`.
    lines: &'a [usize],
    taps: &'a [usize],
    /// Pixels per row, and their distance in `x` in floats.
    cols: usize,
    pitch: usize,
    channels: usize,
    out: &'a mut [f32],
    begin: bool,
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let together = (PIXELS / self.cols).max(1);
        let vectors = self.channels / S::F32_LANES;
        let tiles = vectors.div_ceil(VECTORS);
        let mut first = 0;
        while first < self.lines.len() {
            let last = (first + together).min(self.lines.len());
            for p in 0..self.out.len().div_ceil(PANEL * self.taps.len() * self.channels) {
                for t in 0..self.taps.len() {
                    for tile in 0..tiles {
                        let (from, to) = (tile * vectors / tiles, (tile + 1) * vectors / tiles);
                        let at = (p, t, from * S::F32_LANES);
                        match to - from {
                            1 => self.panel::<S, 1>(simd, at, first..last),
                            2 => self.panel::<S, 2>(simd, at, first..last),
                            _ => self.panel::<S, VECTORS>(simd, at, first..last),
                        }
                    }
                }
            }
            first = last;
        }
    }
}

impl Outer<'_> {
    #[inline(always)]
    fn panel<S: Simd, const NV: usize>(&mut self, simd: S, at: (usize, usize, usize), lines: Range<usize>) {
        if S::REGISTER_COUNT >= 32 {
            self.tile::<S, PANEL, 0, NV>(simd, at, lines);
        } else {
            self.tile::<S, 4, 0, NV>(simd, at, lines.clone());
            self.tile::<S, 4, 4, NV>(simd, at, lines);
        }
    }

    /// `ROWS` output channels of panel `p` from `FROM` on times `NV` vectors of input channels from `c` on, at tap `t`.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const FROM: usize, const NV: usize>(
        &mut self,
        simd: S,
        (p, t, c): (usize, usize, usize),
        lines: Range<usize>,
    ) {
        let width = NV * S::F32_LANES;
        let (row, begin) = (self.taps.len() * self.channels, self.begin && lines.start == 0);
        let at = |i: usize| (p * PANEL + FROM + i) * row + t * self.channels + c;
        let mut acc = [[simd.splat_f32s(0.0); NV]; ROWS];
        for (i, sums) in acc.iter_mut().enumerate() {
            if let Some(out) = self.out.get(at(i)..).filter(|out| !begin && !out.is_empty()) {
                sums.copy_from_slice(&S::as_simd_f32s(&out[..width]).0[..NV]);
            }
        }
        let line = PANEL * self.cols;
        let dy = &self.dy[p * self.lines.len() * line..][lines.start * line..lines.end * line];
        for (&from, dy) in self.lines[lines].iter().zip(dy.chunks_exact(line)) {
            let x = &self.x[from + self.taps[t] + c..][..(self.cols - 1) * self.pitch + width];
            for (q, dy) in dy.as_chunks::<PANEL>().0.iter().enumerate() {
                let x = &S::as_simd_f32s(&x[q * self.pitch..][..width]).0[..NV];
                for (i, sums) in acc.iter_mut().enumerate() {
                    let dy = simd.splat_f32s(dy[FROM + i]);
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = simd.mul_add_e_f32s(dy, *x, *sum);
                    }
                }
            }
        }
        for (i, sums) in acc.iter().enumerate() {
            if let Some(out) = self.out.get_mut(at(i)..).filter(|out| !out.is_empty()) {
                S::as_mut_simd_f32s(&mut out[..width]).0[..NV].copy_from_slice(sums);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Core, Expr};
    use wgrad_graph::ops::ConvSpec;
    use wgrad_types::{DType, Type};

    #[test]
    fn weight_grad_image_ranges_are_all_added() {
        // Tasks with images of their own, and with output channels.
        holds(150, 30, PARTS);
        holds(7, 300, 1);
    }

    /// Covers several copies, several blocks of pixels, partly filled panels: compared with sums in f64, with
    /// the same bits on any number of threads.
    fn holds(images: usize, height: usize, wanted: usize) {
        let (xs, ws, ys) = ([images, 32, height, 21], [13, 32, 3, 2], [images, 13, height, 11]);
        let spec = ConvSpec { stride: [1, 2], padding: [1, 1], ..ConvSpec::default() };
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 65536.0 - 0.5;
        let x: Vec<f32> = (0..xs.iter().product()).map(value).collect();
        let dy: Vec<f32> = (5..ys.iter().product::<usize>() + 5).map(value).collect();
        let kernel = Kernel {
            core: Core::Conv2dWeightGrad(spec),
            operands: vec![Type::f32(&xs), Type::f32(&ys)],
            shape: ws.to_vec(),
            epilogue: Expr::identity(),
            outputs: vec![DType::F32],
            sums: None,
            in_place: vec![None],
        };
        let g = Geometry::new(&spec, &xs, &ws, &ys);
        assert!(pays(&g) && parts(&g, images) == wanted);
        assert!(together(&g, images) < images.div_ceil(wanted), "several copies");
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut out = vec![7; ws.iter().product()];
            let mut block_floats = vec![7; scratch(&g, xs[0])];
            let operands: [&[u32]; 2] = [bytemuck::cast_slice(&x), bytemuck::cast_slice(&dy)];
            let prepared = crate::cpu::Prepared::new(&kernel);
            let reads = Reads { operands: &operands, scalars: &[], prepared: &prepared };
            pool.install(|| Outers::new(g, xs[0]).run(&kernel, reads, &mut out, &mut block_floats));
            out
        };
        let got = run(1);
        assert!([2, 3, 5].iter().all(|&threads| run(threads) == got));
        for (i, word) in got.iter().enumerate().step_by(7) {
            let (o, c, r, s) = (i / (32 * 6), i / 6 % 32, i / 2 % 3, i % 2);
            let mut want = 0.0;
            for n in 0..xs[0] {
                for (y, z) in (0..height).flat_map(|y| (0..11).map(move |z| (y, z))) {
                    let (row, col) = (y + r, z * 2 + s);
                    if (1..=height).contains(&row) && (1..22).contains(&col) {
                        let at = |n: usize, c: usize| ((n * 32 + c) * height + row - 1) * 21 + col - 1;
                        want += f64::from(x[at(n, c)]) * f64::from(dy[((n * 13 + o) * height + y) * 11 + z]);
                    }
                }
            }
            let got = f64::from(f32::from_bits(*word));
            assert!((got - want).abs() < 2e-3, "{o} {c} {r} {s}: {got} for {want}");
        }
    }
}
