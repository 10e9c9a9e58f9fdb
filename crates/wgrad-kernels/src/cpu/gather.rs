//! Gather and its gradient. Positions are added in ascending order, so the gradient's bits are fixed.

use super::view::Runs;
use super::{Reads, map};
use crate::Step;
use wgrad_types::{View, numel};

/// Extents before, along and after an axis.
fn split(shape: &[usize], axis: usize) -> [usize; 3] {
    [numel(&shape[..axis]), shape[axis], numel(&shape[axis + 1..])]
}

fn read(view: &View, data: &[u32]) -> Vec<u32> {
    let mut words = vec![0; view.numel()];
    Runs::new(view).read(data, 0, 0, &mut words);
    words
}

pub(crate) fn gather(step: &Step, axis: usize, index: &View, reads: Reads<'_>, out: &mut [u32]) {
    let [_, extent, inner] = split(&step.operands[0].shape, axis);
    let n = index.shape[axis];
    let (x, at) = (reads.operands[0], read(index, reads.operands[1]));
    for (i, o) in out.iter_mut().enumerate() {
        let v = at[i].cast_signed();
        let known = v >= 0 && (v as usize) < extent;
        *o = if known { x[(i / (n * inner) * extent + v as usize) * inner + i % inner] } else { 0 };
    }
    map::epilogue(step, &map::code(step), reads, 0, out);
}

pub(crate) fn gather_grad(
    step: &Step,
    axis: usize,
    dy: &View,
    index: &View,
    reads: Reads<'_>,
    out: &mut [u32],
) {
    let [_, extent, inner] = split(&step.shape, axis);
    let n = index.shape[axis];
    let (dy, at) = (read(dy, reads.operands[0]), read(index, reads.operands[1]));
    let dx: &mut [f32] = bytemuck::cast_slice_mut(out);
    dx.fill(0.0);
    for (i, (&g, &v)) in dy.iter().zip(&at).enumerate() {
        let v = v.cast_signed();
        if v >= 0 && (v as usize) < extent {
            dx[(i / (n * inner) * extent + v as usize) * inner + i % inner] += f32::from_bits(g);
        }
    }
    map::epilogue(step, &map::code(step), reads, 0, out);
}
