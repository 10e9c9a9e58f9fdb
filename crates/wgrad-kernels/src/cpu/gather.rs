//! Gather and its gradient. Positions are added in ascending order, so the gradient's bits are fixed.

use super::scratch::with_floats;
use super::view::Runs;
use super::{Reads, map};
use crate::Kernel;
use rayon::prelude::*;
use wgrad_types::{View, numel};

/// Positions looked up together.
const CHUNK: usize = 1024;
/// Elements worth a task of their own.
const TASK: usize = 32 << 10;

/// A gather's extents and its index, with as many neighbours as share a position taken as one run.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// Positions along the axis, of the table and of the index.
    extent: usize,
    n: usize,
    /// Elements per run, and runs between neighbouring positions of the axis.
    run: usize,
    runs: usize,
    index: Runs,
}

impl Lookup {
    pub(crate) fn new(shape: &[usize], axis: usize, index: &View) -> Self {
        let shared = index.mask.is_none() && index.strides[axis + 1..].iter().all(|&s| s == 0);
        let inner = numel(&shape[axis + 1..]);
        let (run, runs) = if shared { (inner, 1) } else { (1, inner) };
        let index = match shared {
            true => View {
                shape: index.shape[..=axis].to_vec(),
                strides: index.strides[..=axis].to_vec(),
                ..index.clone()
            },
            false => index.clone(),
        };
        Self { extent: shape[axis], n: index.shape[axis], run, runs, index: Runs::new(&index) }
    }

    /// Runs of gradients read together: enough for a chunk, or one long run.
    fn together(&self) -> usize {
        (CHUNK / self.run.max(1)).max(1)
    }

    /// Floats of a thread's two blocks in [`gather_grad`].
    pub(crate) fn block_floats(&self) -> [usize; 2] {
        [self.together() * self.run, 0]
    }

    /// Calls `f` with the numbers of index runs from `first` on and the offset of their elements in the
    /// table, if any.
    fn each(&self, words: &[u32], first: usize, count: usize, mut f: impl FnMut(usize, Option<usize>)) {
        let mut at = [0; CHUNK];
        for start in (first..first + count).step_by(CHUNK) {
            let at = &mut at[..CHUNK.min(first + count - start)];
            self.index.read(words, 0, start, at);
            for (i, v) in (start..).zip(at) {
                let v = v.cast_signed();
                let known = v >= 0 && (v as usize) < self.extent;
                let row = || (i / (self.n * self.runs) * self.extent + v as usize) * self.runs;
                f(i, known.then(|| (row() + i % self.runs) * self.run));
            }
        }
    }
}

pub(crate) fn gather(kernel: &Kernel, lookup: &Lookup, reads: Reads<'_>, out: &mut [u32]) {
    let (x, run) = (reads.operands[0], lookup.run);
    let together = (TASK / run.max(1)).max(1);
    if out.is_empty() {
        return;
    }
    out.par_chunks_mut(together * run).enumerate().for_each(|(t, out)| {
        let first = t * together;
        lookup.each(reads.operands[1], first, out.len() / run, |i, from| {
            let to = &mut out[(i - first) * run..][..run];
            match from {
                Some(from) => to.copy_from_slice(&x[from..from + run]),
                None => to.fill(0),
            }
        });
        map::epilogue(kernel, reads, first * run, out);
    });
}

pub(crate) fn gather_grad(kernel: &Kernel, lookup: &Lookup, dy: &Runs, reads: Reads<'_>, out: &mut [u32]) {
    let (total, run) = (dy.len(), lookup.run);
    let dx: &mut [f32] = bytemuck::cast_slice_mut(out);
    dx.fill(0.0);
    let (count, together) = (total / run.max(1), lookup.together());
    with_floats(lookup.block_floats(), |words, _| {
        for first in (0..count).step_by(together) {
            let n = together.min(count - first);
            dy.read(reads.operands[0], 0, first * run, bytemuck::cast_slice_mut(&mut words[..n * run]));
            lookup.each(reads.operands[1], first, n, |i, to| {
                let from = &words[(i - first) * run..][..run];
                to.iter().for_each(|&to| dx[to..to + run].iter_mut().zip(from).for_each(|(x, g)| *x += g));
            });
        }
    });
    map::epilogue(kernel, reads, 0, out);
}
