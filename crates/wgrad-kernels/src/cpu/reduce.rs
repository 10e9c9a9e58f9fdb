//! Reductions with their fused prologue, and argmax.
//!
//! Axes merge into alternating groups of kept and reduced ones. The input is read in memory order; if the
//! outermost group is reduced, a fixed number of partial results is added in order.

use super::Reads;
use super::map;
use super::program::{CHUNK, Program, fold_rows};
use super::scratch::with_floats;
use super::vectors::dispatch;
use crate::{Core, Kernel};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use wgrad_graph::ops::ReduceKind;
use wgrad_types::{numel, strides_of};

/// Partial results if the outermost axes are reduced.
const PARTS: usize = 16;
/// Inputs smaller than this are not cut.
const SMALL: usize = 8 << 10;

/// A group of neighbouring axes, all kept or all reduced.
#[derive(Debug)]
pub(crate) struct Group {
    extent: usize,
    /// Distance between neighbouring output elements; 0 for a reduced group.
    stride: usize,
}

pub(crate) fn groups(axes: &[usize], shape: &[usize]) -> Vec<Group> {
    let kept: Vec<usize> = (0..shape.len()).map(|d| if axes.contains(&d) { 1 } else { shape[d] }).collect();
    let strides = strides_of(&kept);
    let mut groups: Vec<(Group, bool)> = Vec::new();
    for d in (0..shape.len()).filter(|&d| shape[d] != 1) {
        let reduced = axes.contains(&d);
        let stride = if reduced { 0 } else { strides[d] };
        match groups.last_mut() {
            Some((g, r)) if *r == reduced => {
                g.extent *= shape[d];
                g.stride = stride;
            }
            _ => groups.push((Group { extent: shape[d], stride }, reduced)),
        }
    }
    if groups.is_empty() {
        groups.push((Group { extent: 1, stride: 1 }, false));
    }
    groups.into_iter().map(|(g, _)| g).collect()
}

/// Number of partial results, each over a range of the outermost group.
fn parts(groups: &[Group], total: usize) -> usize {
    if groups[0].stride == 0 && total > SMALL { PARTS.min(groups[0].extent) } else { 1 }
}

/// Two words (an f64) an output element and partial result.
pub(crate) fn scratch(axes: &[usize], shape: &[usize]) -> usize {
    let outputs: usize = (0..shape.len()).filter(|d| !axes.contains(d)).map(|d| shape[d]).product();
    parts(&groups(axes, shape), numel(shape)) * outputs.max(1) * 2
}

pub(crate) fn run(kernel: &Kernel, groups: &[Group], reads: Reads<'_>, out: &mut [u32], scratch: &mut [u32]) {
    let Core::Reduce { kind, input_shape, .. } = &kernel.core else { return };
    let (n, total) = (out.len(), numel(input_shape));
    let parts = parts(groups, total);
    let partials: &mut [[u32; 2]] = bytemuck::cast_slice_mut(&mut scratch[..parts * n * 2]);
    partials.fill(to_words(kind.start()));
    let outer = groups[0].extent.max(1);
    let inner = total / outer;
    let reduce = Walk { kind: *kind, groups, code: &reads.prepared.first, reads };
    if parts > 1 {
        let range = |p: usize| p * outer / parts * inner..(p + 1) * outer / parts * inner;
        partials.par_chunks_mut(n).enumerate().for_each(|(p, acc)| reduce.accumulate(range(p), 0, acc));
    } else if groups[0].stride != 0 && total > SMALL && outer > 1 {
        // Outermost kept: ranges of it own ranges of the output.
        let own = n / outer;
        let rows = outer.div_ceil(4 * PARTS).max(1);
        partials.par_chunks_mut(rows * own).enumerate().for_each(|(t, acc)| {
            let first = t * rows;
            let last = (first + rows).min(outer);
            reduce.accumulate(first * inner..last * inner, first * own, acc);
        });
    } else {
        reduce.accumulate(0..total, 0, partials);
    }
    for (o, word) in out.iter_mut().enumerate() {
        let value = (0..parts).fold(kind.start(), |v, p| kind.combine(v, from_words(partials[p * n + o])));
        *word = (value as f32).to_bits();
    }
    map::epilogue(kernel, reads, 0, out);
}

fn to_words(v: f64) -> [u32; 2] {
    let bits = v.to_bits();
    [bits as u32, (bits >> 32) as u32]
}

fn from_words(w: [u32; 2]) -> f64 {
    f64::from_bits(u64::from(w[0]) | u64::from(w[1]) << 32)
}

struct Walk<'a> {
    kind: ReduceKind,
    groups: &'a [Group],
    code: &'a Program,
    reads: Reads<'a>,
}

impl Walk<'_> {
    /// Combines a range of the input into accumulators starting at output element `base`.
    fn accumulate(&self, range: std::ops::Range<usize>, base: usize, acc: &mut [[u32; 2]]) {
        if range.is_empty() {
            return;
        }
        let mut start = range.start;
        // Whole rows of the last group if they are short.
        let last = self.groups[self.groups.len() - 1].extent;
        let most = if last <= CHUNK { CHUNK / last * last } else { CHUNK };
        // Contiguous columns need no block of their own.
        let far = if self.groups[self.groups.len() - 1].stride == 0 { most } else { 16 * most };
        while start < range.end {
            let mut len = far.min(range.end - start);
            match self.code.plain(start, len, self.reads) {
                Some(words) => self.chunk(start, bytemuck::cast_slice(words), base, acc),
                None => {
                    len = len.min(most);
                    with_floats([len, 0], |values, _| {
                        self.code.range(start, self.reads, bytemuck::cast_slice_mut(values));
                        self.chunk(start, values, base, acc);
                    });
                }
            }
            start += len;
        }
    }

    fn chunk(&self, start: usize, values: &[f32], base: usize, acc: &mut [[u32; 2]]) {
        let last = &self.groups[self.groups.len() - 1];
        // Whole rows, one result each.
        if let [Group { stride: 1, .. }, Group { extent, stride: 0 }] = self.groups
            && start.is_multiple_of(*extent)
            && values.len().is_multiple_of(*extent)
        {
            let slots = &mut acc[start / extent - base..];
            return dispatch(Folds { kind: self.kind, rows: values, row: *extent, slots });
        }
        let (mut row, mut at, mut done) = (start / last.extent, start % last.extent, 0);
        while done < values.len() {
            let take = (last.extent - at).min(values.len() - done);
            let (mut rest, mut o) = (row, 0);
            for g in self.groups[..self.groups.len() - 1].iter().rev() {
                o += rest % g.extent * g.stride;
                rest /= g.extent;
            }
            // Neighbouring rows with the same results go together.
            let rows = match self.groups {
                [.., g, _] if g.stride == 0 && at == 0 && last.stride != 0 && take == last.extent => {
                    (g.extent - row % g.extent).min((values.len() - done) / take)
                }
                _ => 1,
            };
            let run = &values[done..done + rows * take];
            if last.stride == 0 {
                let slot = &mut acc[o - base];
                let slots = std::slice::from_mut(slot);
                dispatch(Folds { kind: self.kind, rows: run, row: take, slots });
            } else {
                let slots = &mut acc[o + at - base..o + at - base + take];
                dispatch(Columns { kind: self.kind, rows: run, slots });
            }
            done += rows * take;
            row += rows;
            at = 0;
        }
    }
}

/// Vectors of a row combined side by side.
const SIDE: usize = 4;

/// Combines rows into as many accumulators as a row has elements.
struct Columns<'a> {
    kind: ReduceKind,
    rows: &'a [f32],
    slots: &'a mut [[u32; 2]],
}

impl WithSimd for Columns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { kind, rows, slots } = self;
        let row = slots.len();
        // Several vectors of a row at once: contiguous reads are faster.
        let (mut at, one, many) = (0, S::F32_LANES, SIDE * S::F32_LANES);
        while at + many <= row {
            columns::<S, SIDE>(s, kind, rows, row, at, slots);
            at += many;
        }
        while at + one <= row {
            columns::<S, 1>(s, kind, rows, row, at, slots);
            at += one;
        }
        let whole = at;
        for (i, slot) in slots.iter_mut().enumerate().skip(whole) {
            let mut all = from_words(*slot);
            for row in rows.chunks_exact(row) {
                all = kind.combine(all, f64::from(row[i]));
            }
            *slot = to_words(all);
        }
    }
}

/// Columns `at ..` of rows, `N` vectors wide.
#[inline(always)]
fn columns<S: Simd, const N: usize>(
    s: S,
    kind: ReduceKind,
    rows: &[f32],
    row: usize,
    at: usize,
    slots: &mut [[u32; 2]],
) {
    let mut all = [s.splat_f32s(kind.start() as f32); N];
    for row in rows.chunks_exact(row) {
        let vectors = &S::as_simd_f32s(&row[at..at + N * S::F32_LANES]).0[..N];
        for (all, &v) in all.iter_mut().zip(vectors) {
            *all = match kind {
                ReduceKind::Sum => s.add_f32s(*all, v),
                // Above the one, or NaN, unless the other is NaN.
                ReduceKind::Max => unless(s, s.less_than_or_equal_f32s(v, *all), *all, v),
                ReduceKind::Min => unless(s, s.greater_than_or_equal_f32s(v, *all), *all, v),
            };
        }
    }
    let all: &[f32] = bytemuck::cast_slice(all.as_slice());
    for (slot, &v) in slots[at..at + N * S::F32_LANES].iter_mut().zip(all) {
        let (old, v) = (from_words(*slot), f64::from(v));
        *slot = to_words(if kind == ReduceKind::Sum { old + v } else { kind.combine(old, v) });
    }
}

/// `a` if it wins or is NaN, else `b`.
#[inline(always)]
fn unless<S: Simd>(s: S, a_wins: S::m32s, a: S::f32s, b: S::f32s) -> S::f32s {
    s.select_f32s(s.equal_f32s(a, a), s.select_f32s(a_wins, a, b), a)
}

/// Combines each of several rows, at most a chunk, with the content of its slot.
struct Folds<'a> {
    kind: ReduceKind,
    rows: &'a [f32],
    row: usize,
    slots: &'a mut [[u32; 2]],
}

impl WithSimd for Folds<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        const TOGETHER: usize = 64;
        let Self { kind, rows, row, slots } = self;
        let mut values = [0; TOGETHER];
        for (slots, rows) in slots.chunks_mut(TOGETHER).zip(rows.chunks(TOGETHER * row)) {
            let values = &mut values[..rows.len() / row];
            fold_rows(s, kind, bytemuck::cast_slice(rows), row, values);
            for (slot, &value) in slots.iter_mut().zip(&*values) {
                *slot = to_words(kind.combine(from_words(*slot), f64::from(f32::from_bits(value))));
            }
        }
    }
}

/// First largest along an axis, or first NaN.
pub(crate) fn argmax(kernel: &Kernel, axis: usize, reads: Reads<'_>, out: &mut [u32]) {
    let shape = &kernel.operands[0].shape;
    let (n, inner) = (shape[axis], numel(&shape[axis + 1..]));
    let x = reads.f32(0);
    for (o, word) in out.iter_mut().enumerate() {
        *word = if inner == 1 {
            first_largest(&x[o * n..][..n]) as u32
        } else {
            let at = |j: usize| x[(o / inner * n + j) * inner + o % inner];
            let beats = |v: f32, best: f32| v > best || v.is_nan() && !best.is_nan();
            (1..n).fold(0, |best, j| if beats(at(j), at(best)) { j } else { best }) as u32
        };
    }
}

/// Finds the value in vectorised lanes, then its index.
fn first_largest(row: &[f32]) -> usize {
    const LANES: usize = 16;
    let (mut most, mut magnitude) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
    let mut take = |values: &[f32]| {
        for ((most, magnitude), &v) in most.iter_mut().zip(&mut magnitude).zip(values) {
            *most = if v > *most { v } else { *most };
            *magnitude = (*magnitude).max(v.to_bits() & 0x7fff_ffff);
        }
    };
    let (chunks, rest) = row.as_chunks::<LANES>();
    chunks.iter().for_each(|chunk| take(chunk));
    take(rest);
    let largest = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let place = match magnitude.into_iter().max() > Some(f32::INFINITY.to_bits()) {
        true => row.iter().position(|v| v.is_nan()),
        false => row.iter().position(|&v| v == largest),
    };
    place.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::first_largest;

    fn plain(row: &[f32]) -> usize {
        let beats = |v: f32, best: f32| v > best || v.is_nan() && !best.is_nan();
        (1..row.len()).fold(0, |best, j| if beats(row[j], row[best]) { j } else { best })
    }

    #[test]
    fn argmax_any_row_length_matches_plain_loop() {
        let numbers = [
            0.0,
            -0.0,
            1.0,
            -2.5,
            1.0,
            f32::NEG_INFINITY,
            f32::MIN_POSITIVE,
            -1e30,
            f32::INFINITY,
            f32::NAN,
            -f32::NAN,
        ];
        // Small values of `among` give rows without NaN, without infinities, of zeros alone.
        for among in 1..=numbers.len() {
            for length in 1..70 {
                let row: Vec<f32> =
                    (0..length).map(|i| numbers[(i * 7 + i * i / 3 + length) % among]).collect();
                assert_eq!(first_largest(&row), plain(&row), "{row:?}");
            }
        }
        assert_eq!(first_largest(&[f32::NEG_INFINITY; 20]), 0);
    }
}
