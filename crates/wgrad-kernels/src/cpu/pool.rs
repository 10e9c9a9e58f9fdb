//! Planes of pooling, a task a few of them, and average pooling.

use super::{Reads, map};
use crate::Kernel;
use rayon::prelude::*;
use std::ops::Range;
use wgrad_graph::ops::Window;

/// Elements a task takes at least.
const TASK: usize = 16 << 10;

/// The part of window `i` along axis `d` inside an extent of `n`.
pub(super) fn span(w: &Window, d: usize, i: usize, n: usize) -> Range<usize> {
    let start = i * w.stride[d];
    start.saturating_sub(w.padding[d])..(start + w.kernel[d]).saturating_sub(w.padding[d]).min(n)
}

/// Runs `f(plane, output plane)` over all planes of the output, then the epilogue.
pub(super) fn planes(
    kernel: &Kernel,
    reads: Reads<'_>,
    out: &mut [u32],
    f: impl Fn(usize, &mut [f32]) + Sync,
) {
    let size = (kernel.shape[2] * kernel.shape[3]).max(1);
    let group = TASK.div_ceil(size);
    out.par_chunks_mut(size * group).enumerate().for_each(|(t, part)| {
        for (i, plane) in part.chunks_mut(size).enumerate() {
            f(t * group + i, bytemuck::cast_slice_mut(plane));
        }
        map::epilogue(kernel, reads, t * group * size, part);
    });
}

fn share(w: &Window) -> f32 {
    1.0 / (w.kernel[0] * w.kernel[1]) as f32
}

pub(crate) fn avg(kernel: &Kernel, w: &Window, reads: Reads<'_>, out: &mut [u32]) {
    let (x, [h, width]) = (reads.f32(0), [kernel.operands[0].shape[2], kernel.operands[0].shape[3]]);
    let ow = kernel.shape[3];
    planes(kernel, reads, out, |p, y| {
        let x = &x[p * h * width..][..h * width];
        for (i, row) in y.chunks_mut(ow).enumerate() {
            for (j, y) in row.iter_mut().enumerate() {
                let cols = span(w, 1, j, width);
                let rows = span(w, 0, i, h);
                *y = rows.map(|r| x[r * width..][cols.clone()].iter().sum::<f32>()).sum::<f32>() * share(w);
            }
        }
    });
}

pub(crate) fn avg_grad(kernel: &Kernel, w: &Window, reads: Reads<'_>, out: &mut [u32]) {
    let dy = reads.f32(0);
    let ([h, width], [oh, ow]) =
        ([kernel.shape[2], kernel.shape[3]], [kernel.operands[0].shape[2], kernel.operands[0].shape[3]]);
    planes(kernel, reads, out, |p, dx| {
        let dy = &dy[p * oh * ow..][..oh * ow];
        dx.fill(0.0);
        for i in 0..oh {
            for j in 0..ow {
                for r in span(w, 0, i, h) {
                    for v in &mut dx[r * width..][span(w, 1, j, width)] {
                        *v += dy[i * ow + j] * share(w);
                    }
                }
            }
        }
    });
}
