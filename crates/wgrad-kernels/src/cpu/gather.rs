//! Gather and its gradient. Positions are added in ascending order, so the gradient's bits are fixed.

use super::view::Runs;
use super::{Reads, map};
use crate::Step;
use wgrad_types::{View, numel};

/// Extents before, along and after an axis.
fn split(shape: &[usize], axis: usize) -> [usize; 3] {
    [numel(&shape[..axis]), shape[axis], numel(&shape[axis + 1..])]
}

/// Elements that are looked up together.
const CHUNK: usize = 1024;

pub(crate) fn gather(step: &Step, axis: usize, index: &View, reads: Reads<'_>, out: &mut [u32]) {
    let [_, extent, inner] = split(&step.operands[0].shape, axis);
    let n = index.shape[axis];
    let (x, index, mut at) = (reads.operands[0], Runs::new(index), [0; CHUNK]);
    for (first, out) in out.chunks_mut(CHUNK).enumerate().map(|(t, out)| (t * CHUNK, out)) {
        let at = &mut at[..out.len()];
        index.read(reads.operands[1], 0, first, at);
        for ((i, o), v) in (first..).zip(out).zip(at) {
            let v = v.cast_signed();
            let known = v >= 0 && (v as usize) < extent;
            *o = if known { x[(i / (n * inner) * extent + v as usize) * inner + i % inner] } else { 0 };
        }
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
    let (total, dy, index) = (dy.numel(), Runs::new(dy), Runs::new(index));
    let (mut words, mut at) = ([0; CHUNK], [0; CHUNK]);
    let dx: &mut [f32] = bytemuck::cast_slice_mut(out);
    dx.fill(0.0);
    for first in (0..total).step_by(CHUNK) {
        let len = CHUNK.min(total - first);
        let (words, at) = (&mut words[..len], &mut at[..len]);
        dy.read(reads.operands[0], 0, first, words);
        index.read(reads.operands[1], 0, first, at);
        for ((i, g), v) in (first..).zip(words).zip(at) {
            let v = v.cast_signed();
            if v >= 0 && (v as usize) < extent {
                dx[(i / (n * inner) * extent + v as usize) * inner + i % inner] += f32::from_bits(*g);
            }
        }
    }
    map::epilogue(step, &map::code(step), reads, 0, out);
}
