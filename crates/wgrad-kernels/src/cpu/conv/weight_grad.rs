//! Weight gradients: outer products if channels fill vectors ([`outer`]); with few channels, every weight is
//! the product of two flat ranges: the output's gradient and the input at a tap's offset. There, a task takes
//! a block of output channels and a range of images; partial sums are added in order.

use super::planes::Planes;
use super::{Geometry, outer};
use crate::Kernel;
use crate::cpu::scratch::with_floats;
use crate::cpu::tile::{Contract, SLACK, whole};
use crate::cpu::vectors::dispatch;
use crate::cpu::{Reads, map};
use rayon::prelude::*;
use wgrad_graph::ops::ConvSpec;

/// Minimum number of tasks of a large weight gradient.
const TASKS: usize = 8;
/// Minimum number of output channels per task.
const BLOCK: usize = 32;
/// Floats of images and gradients summed over before sums leave the registers.
const TOGETHER: usize = 160 << 10;

/// Numbers of ranges of images and of blocks of output channels per group.
fn split(images: usize, channels: usize) -> (usize, usize) {
    let blocks = channels.div_ceil(BLOCK).clamp(1, TASKS);
    ((TASKS / blocks).min(images).max(1), channels.div_ceil(blocks).max(1))
}

/// Words of scratch the weights' gradient needs.
pub(crate) fn scratch(kernel: &Kernel, spec: &ConvSpec) -> usize {
    let (xs, ys) = (&kernel.operands[0].shape, &kernel.operands[1].shape);
    let g = Geometry::new(spec, xs, &kernel.shape, ys);
    if outer::pays(&g) {
        return outer::scratch(&g, xs[0]);
    }
    let (parts, _) = split(xs[0], g.o);
    if parts == 1 { 0 } else { parts * kernel.numel() }
}

/// The weights' gradient by ranges of images, made ready.
#[derive(Debug)]
pub(crate) struct Ranges {
    g: Geometry,
    images: usize,
    planes: Planes,
    taps: Vec<usize>,
}

impl Ranges {
    pub(super) fn new(g: Geometry, images: usize) -> Self {
        let planes = Planes::of_input(&g);
        let taps = planes.taps(&g);
        Self { g, images, planes, taps }
    }

    /// Floats of an image's copy, and of the gradients of `rows` output channels.
    fn image(&self, rows: usize) -> [usize; 2] {
        [self.planes.len() + SLACK, rows * self.pitch()]
    }

    /// Elements per output channel of the gradients.
    fn pitch(&self) -> usize {
        whole(self.cols())
    }

    fn cols(&self) -> usize {
        (self.g.oh.max(1) - 1) * self.planes.pitch + self.g.ow
    }

    /// Maximum floats of a thread's two blocks.
    pub(super) fn most(&self) -> [usize; 2] {
        let (parts, block) = split(self.images, self.g.o);
        // Fewer channels of a last block leave block_floats for more images.
        let rows = [block.min(self.g.o), (self.g.o - 1) % block + 1];
        let of = rows.map(|rows| {
            let image = self.image(rows);
            let together = (TOGETHER / (image[0] + image[1])).max(1).min(self.images.div_ceil(parts));
            image.map(|floats| floats * together)
        });
        [of[0][0].max(of[1][0]), of[0][1].max(of[1][1])]
    }

    pub(super) fn run(&self, kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], scratch: &mut [u32]) {
        let Self { g, images, planes, taps } = self;
        let (images, groups) = (*images, g.spec.groups);
        let (x, dy) = (reads.f32(0), reads.f32(1));
        let (x_group, y_group, w_group) = g.sizes();
        let (cols, pitch) = (self.cols(), self.pitch());
        let (parts, block) = split(images, g.o);
        let size = out.len();
        let partials: &mut [f32] = match parts {
            1 => bytemuck::cast_slice_mut(&mut *out),
            _ => bytemuck::cast_slice_mut(&mut scratch[..parts * size]),
        };
        let range = |part: usize, group: usize, first: usize, dw: &mut [f32]| {
            dw.fill(0.0);
            let rows = dw.len() / taps.len();
            let [x_image, dy_image] = self.image(rows);
            let most = (TOGETHER / (x_image + dy_image)).max(1);
            let (mut n, last) = (part * images / parts, (part + 1) * images / parts);
            while n < last {
                let together = most.min(last - n);
                with_floats([together * x_image, together * dy_image], |xs, dys| {
                    for i in 0..together {
                        let at = (n + i) * groups + group;
                        planes.fill(g, &x[at * x_group..][..x_group], &mut xs[i * x_image..][..x_image]);
                        let dy = &dy[at * y_group..][first * g.oh * g.ow..][..rows * g.oh * g.ow];
                        spread(g, dy, planes.pitch, pitch, &mut dys[i * dy_image..][..dy_image]);
                    }
                    dispatch(Contract {
                        dy: dys,
                        rows,
                        dy_pitch: pitch,
                        dy_image,
                        x: xs,
                        taps,
                        x_image,
                        images: together,
                        cols,
                        out: &mut *dw,
                        pitch: taps.len(),
                    });
                });
                n += together;
            }
        };
        // Weights of all groups and ranges of images, then blocks of output channels of each.
        partials.par_chunks_exact_mut(w_group).enumerate().with_max_len(1).for_each(|(i, dw)| {
            let blocks = dw.par_chunks_mut(block * taps.len()).enumerate().with_max_len(1);
            blocks.for_each(|(b, dw)| range(i / groups, i % groups, b * block, dw));
        });
        if parts > 1 {
            let partials: &[f32] = bytemuck::cast_slice(&scratch[..parts * size]);
            for (i, o) in out.iter_mut().enumerate() {
                *o = (0..parts).map(|p| partials[p * size + i]).sum::<f32>().to_bits();
            }
        }
        map::epilogue(kernel, reads, 0, out);
    }
}

/// Gradients with the input's pitch, zeros between rows and at the end.
fn spread(g: &Geometry, dy: &[f32], row: usize, pitch: usize, to: &mut [f32]) {
    for (to, dy) in to.chunks_exact_mut(pitch).zip(dy.chunks_exact(g.oh * g.ow)) {
        let mut done = 0;
        for (to, from) in to.chunks_mut(row).zip(dy.chunks_exact(g.ow)) {
            to[..g.ow].copy_from_slice(from);
            let end = to.len();
            to[g.ow..end].fill(0.0);
            done += end;
        }
        to[done..].fill(0.0);
    }
}
