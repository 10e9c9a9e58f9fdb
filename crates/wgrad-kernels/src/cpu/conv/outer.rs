//! The weights' gradient as outer products: at every pixel eight output channels times up to three vectors of input
//! channels, added up in registers over rows of pixels. No partial sums of images are kept: a task has output channels
//! of its own.

use super::interleaved::Interleaved;
use super::{Geometry, TASKS};
use crate::Step;
use crate::cpu::gemm::Mat;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::{PANEL, dispatch};
use crate::cpu::{Reads, map, pack};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Floats of images and gradients that are made ready together.
const TOGETHER: usize = 512 << 10;
/// Pixels summed over before sums leave the registers: their gradients stay in the first-level cache.
const PIXELS: usize = 384;
/// Input channels come in whole vectors of any width.
const VECTOR: usize = 16;
/// Vectors of a register tile.
const VECTORS: usize = 3;

/// Whether register tiles are full enough.
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

/// Words of scratch [`Outers::run`] needs.
pub(super) fn scratch(g: &Geometry, images: usize) -> usize {
    together(g, images) * (Interleaved::of_input(g).len() + gradients(g))
}

/// The weights' gradient by outer products, made ready.
#[derive(Debug)]
pub(crate) struct Outers {
    g: Geometry,
    images: usize,
    source: Interleaved,
    /// Where each row of pixels begins in the copies of the images made ready together, and each tap.
    lines: Vec<usize>,
    taps: Vec<usize>,
}

impl Outers {
    pub(super) fn new(g: Geometry, images: usize) -> Self {
        let source = Interleaved::of_input(&g);
        let line = |r: usize| r / g.oh * source.len() + r % g.oh * g.spec.stride[0] * source.row();
        let lines = (0..together(&g, images) * g.oh).map(line).collect();
        let taps = source.taps(&g).collect();
        Self { g, images, source, lines, taps }
    }

    /// Floats of a thread's two blocks: an output channel's sums.
    pub(super) fn room(&self) -> [usize; 2] {
        [if self.g.kh * self.g.kw == 1 { 0 } else { self.g.taps() }, 0]
    }

    pub(super) fn run(&self, step: &Step, reads: Reads<'_>, out: &mut [u32], scratch: &mut [u32]) {
        let Self { g, images, source, lines, taps } = self;
        let (x, dy, groups) = (reads.f32(0), reads.f32(1), g.spec.groups);
        let (x_group, y_group, w_group) = g.sizes();
        let most = together(g, *images);
        let scratch: &mut [f32] = bytemuck::cast_slice_mut(scratch);
        let (xs, rest) = scratch.split_at_mut(most * source.len());
        let dys = &mut rest[..most * gradients(g)];
        let sums: &mut [f32] = bytemuck::cast_slice_mut(&mut *out);
        let images = if g.oh * g.ow == 0 { 0 } else { *images };
        if images == 0 {
            sums.fill(0.0);
        }
        // A range of output channels each: whole panels.
        let block = g.o.div_ceil(PANEL).div_ceil(TASKS) * PANEL;
        for (group, sums) in sums.chunks_exact_mut(w_group).enumerate() {
            for first in (0..images).step_by(most) {
                let n = most.min(images - first);
                let (xs, dys) = (&mut xs[..n * source.len()], &mut dys[..n * gradients(g)]);
                let at = |i: usize| (first + i) * groups + group;
                let rows = || {
                    let lines = xs.par_chunks_exact_mut(source.row()).enumerate().with_min_len(8);
                    lines.for_each(|(r, line)| {
                        let image = &x[at(r / source.rows) * x_group..][..x_group];
                        source.fill_row(r % source.rows, image, line);
                    });
                };
                let panels = || {
                    let panels = dys.par_chunks_exact_mut(n * PANEL * g.oh * g.ow).enumerate();
                    panels.for_each(|(p, panel)| gradient_panel(g, dy, p, |i| at(i) * y_group, panel));
                };
                rayon::join(rows, panels);
                let (xs, dys): (&[f32], &[f32]) = (xs, dys);
                let tasks =
                    sums.par_chunks_mut(block * g.taps()).zip(dys.par_chunks(block * n * g.oh * g.ow));
                tasks.with_max_len(1).for_each(|(out, dys)| {
                    dispatch(Outer {
                        x: xs,
                        dy: dys,
                        lines: &lines[..n * g.oh],
                        taps,
                        cols: g.ow,
                        pitch: g.spec.stride[1] * g.c,
                        channels: g.c,
                        out,
                        begin: first == 0,
                    });
                });
            }
        }
        out.par_chunks_mut(g.taps()).enumerate().with_min_len(4).for_each(|(o, words)| {
            in_order(g, bytemuck::cast_slice_mut(words));
            map::epilogue(step, reads, o * g.taps(), words);
        });
    }
}

/// Eight channels' gradients of all images side by side, pixel by pixel; `at` is where an image's begin.
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
    /// Where each row of pixels begins in `x`.
    lines: &'a [usize],
    taps: &'a [usize],
    /// Pixels of a row, and floats of `x` from one to the next.
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
    fn panel<S: Simd, const NV: usize>(
        &mut self,
        simd: S,
        at: (usize, usize, usize),
        lines: std::ops::Range<usize>,
    ) {
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
        lines: std::ops::Range<usize>,
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

    /// Several ranges of images, several blocks of pixels, panels that are not full: against sums in f64, and the same bits
    /// on any number of threads.
    #[test]
    fn all_ranges_of_images_are_added() {
        let (xs, ws, ys) = ([45, 32, 30, 21], [13, 32, 3, 2], [45, 13, 30, 11]);
        let spec = ConvSpec { stride: [1, 2], padding: [1, 1], ..ConvSpec::default() };
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 65536.0 - 0.5;
        let x: Vec<f32> = (0..xs.iter().product()).map(value).collect();
        let dy: Vec<f32> = (5..ys.iter().product::<usize>() + 5).map(value).collect();
        let step = Step {
            core: Core::Conv2dWeightGrad(spec),
            operands: vec![Type::f32(&xs), Type::f32(&ys)],
            shape: ws.to_vec(),
            epilogue: Expr::identity(),
            outputs: vec![DType::F32],
            sums: None,
            in_place: vec![None],
        };
        let g = Geometry::new(&spec, &xs, &ws, &ys);
        assert!(pays(&g) && together(&g, xs[0]) < xs[0] / 2, "several ranges");
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            let mut out = vec![7; ws.iter().product()];
            let mut room = vec![7; scratch(&g, xs[0])];
            let operands: [&[u32]; 2] = [bytemuck::cast_slice(&x), bytemuck::cast_slice(&dy)];
            let ready = crate::cpu::Ready::new(&step);
            let reads = Reads { operands: &operands, scalars: &[], ready: &ready };
            pool.install(|| Outers::new(g, xs[0]).run(&step, reads, &mut out, &mut room));
            out
        };
        let got = run(1);
        assert!([2, 3, 5].iter().all(|&threads| run(threads) == got));
        for (i, word) in got.iter().enumerate().step_by(7) {
            let (o, c, r, s) = (i / (32 * 6), i / 6 % 32, i / 2 % 3, i % 2);
            let mut want = 0.0;
            for n in 0..xs[0] {
                for (y, z) in (0..30).flat_map(|y| (0..11).map(move |z| (y, z))) {
                    let (row, col) = (y + r, z * 2 + s);
                    if (1..31).contains(&row) && (1..22).contains(&col) {
                        let at = |n: usize, c: usize| ((n * 32 + c) * 30 + row - 1) * 21 + col - 1;
                        want += f64::from(x[at(n, c)]) * f64::from(dy[((n * 13 + o) * 30 + y) * 11 + z]);
                    }
                }
            }
            let got = f64::from(f32::from_bits(*word));
            assert!((got - want).abs() < 2e-3, "{o} {c} {r} {s}: {got} for {want}");
        }
    }
}
