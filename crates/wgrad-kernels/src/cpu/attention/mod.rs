//! Attention, a block of queries at a time: scores, weights and products stay in the second-level cache, and nothing as
//! large as queries times keys is ever made. Backwards the weights are made again from the log-sum-exp.
//!
//! A task has one group of heads (forwards one head and a range of its queries). Sums over queries run in
//! query order, so the bits do not depend on the number of threads.

mod product;

use super::output::Shared;
use super::pack::transpose;
use super::real::{Exp, Real};
use super::scratch::ATTENTION_BLOCKS;
use super::tile::whole;
use super::vectors::dispatch;
use super::{AlignedVec, Reads};
use crate::SmallList;
use crate::attention::{Attention, DELTA, DY, Extents, K, LSE, Part, Q, V};
use product::Product;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use std::cell::RefCell;
use wgrad_types::View;

/// Maximum number of scores per block, and rows per block.
const BLOCK: usize = 32 << 10;
const ROWS: usize = 64;
/// Minimum number of tasks of a forward kernel, given enough queries.
const TASKS: usize = 16;

thread_local! {
    static OWN: RefCell<Own> = RefCell::new(Own::default());
}

/// A thread's matrices; all rows are zero-padded to whole vectors.
#[derive(Default)]
struct Own {
    q: AlignedVec<f32>,
    k: AlignedVec<f32>,
    k_transposed: AlignedVec<f32>,
    v: AlignedVec<f32>,
    v_transposed: AlignedVec<f32>,
    dy: AlignedVec<f32>,
    scores: AlignedVec<f32>,
    slopes: AlignedVec<f32>,
    rows: AlignedVec<f32>,
    lse: AlignedVec<f32>,
    delta: AlignedVec<f32>,
    dk: AlignedVec<f32>,
    dv: AlignedVec<f32>,
}

/// Data shared by all tasks.
struct Job<'a> {
    attention: &'a Attention,
    e: Extents,
    reads: Reads<'a>,
    outputs: SmallList<(Part, Shared)>,
    /// Queries per block, floats per row of q and k, of v, and of scores.
    block: usize,
    depth: usize,
    width: usize,
    pitch: usize,
}

/// Queries per block and floats per row of q and k, of v, and of scores.
fn extents_of(attention: &Attention) -> [usize; 4] {
    let e = attention.extents();
    // An odd number of vectors, so that a column's elements spread over all sets of the cache.
    let pitch = whole(e.keys) + if (whole(e.keys) / 16).is_multiple_of(2) { 16 } else { 0 };
    // At least two blocks for few causal queries: the first sees half of the keys.
    let most = if attention.causal { (e.queries / 2).next_multiple_of(16).clamp(16, ROWS) } else { ROWS };
    let block = (BLOCK / pitch).clamp(8, most) / 8 * 8;
    [block, whole(e.depth), whole(e.width), pitch]
}

/// Maximum floats of each of a thread's matrices, in the order of [`Own`].
pub(super) fn block_floats(attention: &Attention) -> [usize; ATTENTION_BLOCKS] {
    let (e, [block, depth, width, pitch]) = (attention.extents(), extents_of(attention));
    let rows =
        [block * depth, e.keys * depth, e.depth * pitch, e.keys * width, e.width * pitch, block * width];
    let [q, k, k_transposed, v, v_transposed, dy] = rows;
    let scores = ROWS.max(block) * pitch;
    if attention.is_gradient() {
        let slopes = block * pitch;
        [q, k, k_transposed, 0, v_transposed, dy, scores, slopes, q, e.queries, e.queries, k, v]
    } else {
        [q, 0, k_transposed, v, 0, 0, scores, 0, dy, block, 0, 0, 0]
    }
}

pub(crate) fn run(attention: &Attention, reads: Reads<'_>, outputs: SmallList<&mut [u32]>) {
    let (e, [block, depth, width, pitch]) = (attention.extents(), extents_of(attention));
    let outputs: SmallList<(Part, Shared)> =
        attention.parts.iter().copied().zip(outputs.into_iter().map(Shared::new)).collect();
    let job = Job { attention, e, reads, outputs, block, depth, width, pitch };
    if attention.is_gradient() {
        let tasks = e.batch * e.groups;
        (0..tasks).into_par_iter().with_max_len(1).for_each(|t| job.backward(t / e.groups, t % e.groups));
    } else {
        let heads = e.batch * e.heads;
        let blocks = e.queries.div_ceil(job.block);
        let parts = TASKS.div_ceil(heads.max(1)).min(blocks).max(1);
        (0..heads * parts).into_par_iter().with_max_len(1).for_each(|t| {
            let (b, h, part) = (t / (e.heads * parts), t / parts % e.heads, t % parts);
            job.forward(b, h, part * blocks / parts..(part + 1) * blocks / parts);
        });
    }
}

impl Job<'_> {
    fn scale(&self) -> f32 {
        1.0 / (self.e.depth as f32).sqrt()
    }

    /// Keys visible to a block of queries up to `last`.
    fn seen(&self, last: usize) -> usize {
        if self.attention.causal { (last + 1).min(self.e.keys) } else { self.e.keys }
    }

    fn output(&self, part: Part) -> Option<Shared> {
        self.outputs.iter().find(|o| o.0 == part).map(|o| o.1)
    }

    /// Rows of an operand's matrix `[at[0], at[1]]`, padded to `pitch`; views of dy have heads and positions exchanged.
    fn gather(
        &self,
        operand: usize,
        at: [usize; 2],
        rows: std::ops::Range<usize>,
        pitch: usize,
        to: &mut AlignedVec<f32>,
    ) {
        let (view, data) = (&self.attention.views[operand], self.reads.f32(operand));
        let (head, row) = if operand == DY { (2, 1) } else { (1, 2) };
        let cols = view.shape[3];
        let to = to.at_least(rows.len() * pitch);
        for (i, line) in rows.zip(to.chunks_exact_mut(pitch)) {
            let from = index(view, &[(0, at[0]), (head, at[1]), (row, i)]);
            copy(&data[from..], view.strides[3], &mut line[..cols]);
            line[cols..].fill(0.0);
        }
    }

    /// As [`Job::gather`] of all keys, transposed: `[column][key]`.
    fn gather_transposed(&self, operand: usize, at: [usize; 2], to: &mut AlignedVec<f32>) {
        let (view, data) = (&self.attention.views[operand], self.reads.f32(operand));
        let to = to.at_least(view.shape[3] * self.pitch);
        let (row, column) = (view.strides[2] as usize, view.strides[3] as usize);
        let from = &data[index(view, &[(0, at[0]), (1, at[1])])..];
        let squares = if column == 1 { self.e.keys / 8 * 8 } else { 0 };
        for first in (0..squares).step_by(8) {
            transpose(&from[first * row..], row, view.shape[3], &mut to[first..], self.pitch);
        }
        for key in squares..self.e.keys {
            for d in 0..view.shape[3] {
                to[d * self.pitch + key] = from[key * row + d * column];
            }
        }
        to.chunks_exact_mut(self.pitch).for_each(|line| line[self.e.keys..].fill(0.0));
    }

    /// A row of `lse` or `delta`.
    fn row(&self, operand: usize, b: usize, h: usize, to: &mut AlignedVec<f32>) {
        let (view, data) = (&self.attention.views[operand], self.reads.f32(operand));
        let from = index(view, &[(0, b), (1, h)]);
        copy(&data[from..], view.strides[2], to.at_least(self.e.queries));
    }

    /// Writes rows `first ..` of a result `[batch, row, head, cols]`.
    fn store(&self, part: Part, [b, head, first]: [usize; 3], rows: &[f32], pitch: usize) {
        let Some(out) = self.output(part) else { return };
        let shape = self.attention.shape(part);
        for (i, row) in rows.chunks_exact(pitch).enumerate() {
            let at = ((b * shape[1] + first + i) * shape[2] + head) * shape[3];
            #[expect(unsafe_code, reason = "rows of heads lie between each other")]
            // SAFETY: a task writes rows of its own batch, head and queries alone; the outputs are borrowed by `run`.
            let line = unsafe { out.row(at, shape[3]) };
            line.copy_from_slice(bytemuck::cast_slice(&row[..shape[3]]));
        }
    }

    fn forward(&self, b: usize, h: usize, blocks: std::ops::Range<usize>) {
        let e = self.e;
        let group = h / (e.heads / e.groups);
        OWN.with_borrow_mut(|own| {
            self.gather_transposed(K, [b, group], &mut own.k_transposed);
            if self.output(Part::Y).is_some() {
                self.gather(V, [b, group], 0..e.keys, self.width, &mut own.v);
            }
            for block in blocks {
                let first = block * self.block;
                let last = e.queries.min(first + self.block) - 1;
                let (m, seen) = (last + 1 - first, self.seen(last));
                self.gather(Q, [b, h], first..last + 1, self.depth, &mut own.q);
                self.scores(own, m, seen);
                let lse = own.lse.at_least(m);
                let scores = &mut own.scores[..m * self.pitch];
                let seen_by = |i: usize| self.seen(first + i);
                dispatch(Weigh {
                    scores,
                    pitch: self.pitch,
                    cols: whole(seen),
                    scale: self.scale(),
                    seen_by,
                    lse,
                });
                if let Some(out) = self.output(Part::Lse) {
                    let at = (b * e.heads + h) * e.queries + first;
                    #[expect(unsafe_code, reason = "see `store`")]
                    // SAFETY: see `store`.
                    let line = unsafe { out.row(at, m) };
                    line.copy_from_slice(bytemuck::cast_slice(lse));
                }
                if self.output(Part::Y).is_some() {
                    let y = own.rows.at_least(m * self.width);
                    self.product(
                        [m, e.width, seen],
                        (&own.scores, self.pitch, false),
                        (&own.v, self.width),
                        y,
                        false,
                    );
                    self.store(Part::Y, [b, h, first], y, self.width);
                }
            }
        });
    }

    /// Products of `m` queries with the first `seen` keys.
    fn scores(&self, own: &mut Own, m: usize, seen: usize) {
        let scores = own.scores.at_least(ROWS.max(m) * self.pitch);
        let (q, k) = ((&*own.q, self.depth, false), (&*own.k_transposed, self.pitch));
        self.pitched([m, seen, self.e.depth], q, k, scores, self.pitch, false);
    }

    fn product(
        &self,
        mnk: [usize; 3],
        a: (&[f32], usize, bool),
        b: (&[f32], usize),
        out: &mut [f32],
        add: bool,
    ) {
        self.pitched(mnk, a, b, out, b.1, add);
    }

    fn pitched(
        &self,
        [m, n, k]: [usize; 3],
        (a, a_pitch, transposed): (&[f32], usize, bool),
        (b, b_pitch): (&[f32], usize),
        out: &mut [f32],
        out_pitch: usize,
        add: bool,
    ) {
        Product { m, n, k, a, a_pitch, transposed, b, b_pitch, out, out_pitch, add }.run();
    }

    fn backward(&self, b: usize, group: usize) {
        let e = self.e;
        let wants = |part| self.output(part).is_some();
        let slopes = wants(Part::Dq) || wants(Part::Dk);
        OWN.with_borrow_mut(|own| {
            self.gather_transposed(K, [b, group], &mut own.k_transposed);
            if slopes {
                self.gather_transposed(V, [b, group], &mut own.v_transposed);
            }
            if wants(Part::Dq) {
                self.gather(K, [b, group], 0..e.keys, self.depth, &mut own.k);
            }
            own.dk.at_least(e.keys * self.depth).fill(0.0);
            own.dv.at_least(e.keys * self.width).fill(0.0);
            let share = e.heads / e.groups;
            for h in group * share..(group + 1) * share {
                self.row(LSE, b, h, &mut own.lse);
                self.row(DELTA, b, h, &mut own.delta);
                for first in (0..e.queries).step_by(self.block) {
                    self.backward_block(own, [b, h], first, e.queries.min(first + self.block) - 1);
                }
            }
            self.store(Part::Dk, [b, group, 0], &own.dk[..e.keys * self.depth], self.depth);
            self.store(Part::Dv, [b, group, 0], &own.dv[..e.keys * self.width], self.width);
        });
    }

    fn backward_block(&self, own: &mut Own, [b, h]: [usize; 2], first: usize, last: usize) {
        let e = self.e;
        let (m, seen) = (last + 1 - first, self.seen(last));
        self.gather(Q, [b, h], first..last + 1, self.depth, &mut own.q);
        self.gather(DY, [b, h], first..last + 1, self.width, &mut own.dy);
        self.scores(own, m, seen);
        let (pitch, cols) = (self.pitch, whole(seen));
        let seen_by = |i: usize| self.seen(first + i);
        let lse = &own.lse[first..last + 1];
        dispatch(Again {
            scores: &mut own.scores[..m * pitch],
            pitch,
            cols,
            scale: self.scale(),
            seen_by,
            lse,
        });
        if self.output(Part::Dv).is_some() {
            let dv = &mut own.dv[..e.keys * self.width];
            self.product([seen, e.width, m], (&own.scores, pitch, true), (&own.dy, self.width), dv, true);
        }
        if self.output(Part::Dq).is_none() && self.output(Part::Dk).is_none() {
            return;
        }
        let slopes = own.slopes.at_least(m * pitch);
        let dy = (&*own.dy, self.width, false);
        self.pitched([m, seen, e.width], dy, (&own.v_transposed, pitch), slopes, pitch, false);
        let delta = &own.delta[first..last + 1];
        dispatch(Slope {
            weights: &own.scores[..m * pitch],
            slopes,
            pitch,
            cols,
            scale: self.scale(),
            delta,
        });
        if self.output(Part::Dk).is_some() {
            let dk = &mut own.dk[..e.keys * self.depth];
            self.product([seen, e.depth, m], (&own.slopes, pitch, true), (&own.q, self.depth), dk, true);
        }
        if self.output(Part::Dq).is_some() {
            let dq = own.rows.at_least(m * self.depth);
            self.product([m, e.depth, seen], (&own.slopes, pitch, false), (&own.k, self.depth), dq, false);
            self.store(Part::Dq, [b, h, first], dq, self.depth);
        }
    }
}

/// The element at some axes' coordinates, 0 on the others.
fn index(view: &View, at: &[(usize, usize)]) -> usize {
    (view.offset + at.iter().map(|&(d, i)| i as isize * view.strides[d]).sum::<isize>()) as usize
}

fn copy(from: &[f32], stride: isize, to: &mut [f32]) {
    if stride == 1 {
        to.copy_from_slice(&from[..to.len()]);
        return;
    }
    to.iter_mut().enumerate().for_each(|(i, x)| *x = from[i * stride as usize]);
}

/// Scores become weights that sum to 1 over the keys a row sees, and 0 elsewhere; `lse` takes the log-sum-exp.
struct Weigh<'a, F> {
    scores: &'a mut [f32],
    pitch: usize,
    cols: usize,
    scale: f32,
    seen_by: F,
    lse: &'a mut [f32],
}

impl<F: Fn(usize) -> usize> WithSimd for Weigh<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        for (i, (row, lse)) in self.scores.chunks_exact_mut(self.pitch).zip(self.lse).enumerate() {
            row[(self.seen_by)(i)..self.cols].fill(f32::NEG_INFINITY);
            let row = S::as_mut_simd_f32s(&mut row[..self.cols]).0;
            let mut most = s.splat_f32s(f32::NEG_INFINITY);
            for x in row.iter() {
                most = s.max_f32s(most, *x);
            }
            let most = s.reduce_max_f32s(most);
            let (shift, scale) = (s.splat_f32s(most), s.splat_f32s(self.scale));
            let mut sum = s.splat_f32s(0.0);
            for x in row.iter_mut() {
                *x = Exp::of(s, s.mul_f32s(s.sub_f32s(*x, shift), scale));
                sum = s.add_f32s(sum, *x);
            }
            let sum = s.reduce_sum_f32s(sum);
            let share = s.splat_f32s(1.0 / sum);
            for x in row.iter_mut() {
                *x = s.mul_f32s(*x, share);
            }
            *lse = most * self.scale + sum.ln();
        }
    }
}

/// Scores become weights again, from their log-sum-exp.
struct Again<'a, F> {
    scores: &'a mut [f32],
    pitch: usize,
    cols: usize,
    scale: f32,
    seen_by: F,
    lse: &'a [f32],
}

impl<F: Fn(usize) -> usize> WithSimd for Again<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        for (i, (row, &lse)) in self.scores.chunks_exact_mut(self.pitch).zip(self.lse).enumerate() {
            row[(self.seen_by)(i)..self.cols].fill(f32::NEG_INFINITY);
            let (shift, scale) = (s.splat_f32s(-lse), s.splat_f32s(self.scale));
            for x in S::as_mut_simd_f32s(&mut row[..self.cols]).0 {
                *x = Exp::of(s, s.mul_add_e_f32s(*x, scale, shift));
            }
        }
    }
}

/// `slopes = weights * (slopes - delta) * scale`.
struct Slope<'a> {
    weights: &'a [f32],
    slopes: &'a mut [f32],
    pitch: usize,
    cols: usize,
    scale: f32,
    delta: &'a [f32],
}

impl WithSimd for Slope<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.slopes.chunks_exact_mut(self.pitch).zip(self.weights.chunks_exact(self.pitch));
        for ((slopes, weights), &delta) in rows.zip(self.delta) {
            for (s, &p) in slopes[..self.cols].iter_mut().zip(weights) {
                *s = p * (*s - delta) * self.scale;
            }
        }
    }
}
