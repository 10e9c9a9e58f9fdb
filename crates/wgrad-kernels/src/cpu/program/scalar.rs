//! Scalar loops: integers, comparisons, views without rows, random numbers.

use super::lane::{Extent, Lane};
use super::run::Place;
use super::{Action, Node};
use crate::{SEED_WORD, STEP_WORD};
use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_graph::philox;
use wgrad_types::{DType, round_f16};

impl Place<'_, '_> {
    /// Runs an operation of this kind on a block.
    ///
    /// # Safety
    /// Operands must have the block's rows, and be alive; the result must not overlap them.
    #[expect(unsafe_code, reason = "operands without bounds checks")]
    pub(super) unsafe fn scalar(&self, node: &Node, [a, b, _]: &[Lane; 3], out: &mut [u32]) {
        let (start, rows, width) = (self.start(node.width), self.rows(), self.width(node.width));
        let [sa, sb] = [0, 1].map(|i| self.spare(i, rows * width));
        fn spread<'x>(lane: &Lane, extent: Extent, to: &'x mut [u32]) -> &'x [u32] {
            // SAFETY: the promise of the function's caller.
            unsafe { lane.spread(extent.rows, extent.width, to) }
        }
        let all = Extent { rows, width };
        let scalars = self.reads.scalars;
        match &node.action {
            Action::Apply(_) | Action::Fold(..) => unreachable!("vectors do it"),
            Action::Gather(operand, runs) => runs.read(self.reads.operands[*operand], 0, start, out),
            Action::Within(runs) => {
                // SAFETY: the caller's promise.
                let words = unsafe { a.words(rows, a.pitch) };
                runs.read(words, self.start(a.pitch), start, out);
            }
            Action::Index(runs) => runs.indices(start, out),
            Action::Random(runs, stream) => {
                runs.indices(start, out);
                draw(out, scalars[SEED_WORD], scalars[STEP_WORD], *stream);
            }
            Action::Masked(runs) => {
                out.copy_from_slice(spread(a, all, sa));
                runs.clear_outside(start, out);
            }
            Action::Compare(kind) => {
                let (a, b) = (spread(a, all, sa), spread(b, all, sb));
                compare(*kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out);
            }
            Action::Cast(from) => cast(*from, node.dtype, spread(a, all, sa), out),
            Action::Whole(kind) => {
                let (a, b) = (spread(a, all, sa), spread(b, all, sb));
                whole(*kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), bytemuck::cast_slice_mut(out));
            }
            Action::Slow(kind) => {
                slow(*kind, bytemuck::cast_slice(spread(a, all, sa)), bytemuck::cast_slice_mut(out));
            }
            Action::Power => {
                let (a, b) = (spread(a, all, sa), spread(b, all, sb));
                pairs(a, b, out, |a, b| power(f32::from_bits(a), f32::from_bits(b)).to_bits());
            }
        }
    }
}

/// `a` to the power of `b`. Workers flush subnormal numbers to zero, which breaks the system's function.
fn power(a: f32, b: f32) -> f32 {
    let normal = |v: f32| if v.is_subnormal() { 0f32.copysign(v) } else { v };
    normal(a).powf(normal(b))
}

#[inline(always)]
fn each(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = f(x);
    }
}

#[inline(always)]
fn pairs<T: Copy, U>(a: &[T], b: &[T], out: &mut [U], f: impl Fn(T, T) -> U) {
    for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *o = f(a, b);
    }
}

/// Functions of one variable without vectors of their own.
fn slow(kind: UnaryKind, x: &[f32], out: &mut [f32]) {
    match kind {
        UnaryKind::Sign => {
            each(x, out, |x| f32::from(u8::from(x > 0.0)) - f32::from(u8::from(x < 0.0)));
        }
        UnaryKind::Floor => each(x, out, f32::floor),
        UnaryKind::Sin => each(x, out, f32::sin),
        UnaryKind::Cos => each(x, out, f32::cos),
        UnaryKind::Finite => each(x, out, |x| f32::from(u8::from(x.is_finite()))),
        _ => unreachable!("a function with vectors"),
    }
}

/// Whole numbers wrap; division and powers are not defined for them (`Binary::infer`).
fn whole(kind: BinaryKind, a: &[i32], b: &[i32], out: &mut [i32]) {
    match kind {
        BinaryKind::Add => pairs(a, b, out, i32::wrapping_add),
        BinaryKind::Sub => pairs(a, b, out, i32::wrapping_sub),
        BinaryKind::Mul => pairs(a, b, out, i32::wrapping_mul),
        BinaryKind::Maximum | BinaryKind::ClampMin => pairs(a, b, out, i32::max),
        BinaryKind::Minimum | BinaryKind::ClampMax => pairs(a, b, out, i32::min),
        BinaryKind::Div | BinaryKind::Pow => unreachable!("refused by shape inference"),
    }
}

/// Compares integers; truth values are integers.
fn compare(kind: CompareKind, a: &[i32], b: &[i32], out: &mut [u32]) {
    match kind {
        CompareKind::Eq => pairs(a, b, out, |a, b| u32::from(a == b)),
        CompareKind::Ne => pairs(a, b, out, |a, b| u32::from(a != b)),
        CompareKind::Lt => pairs(a, b, out, |a, b| u32::from(a < b)),
        CompareKind::Le => pairs(a, b, out, |a, b| u32::from(a <= b)),
        CompareKind::Gt => pairs(a, b, out, |a, b| u32::from(a > b)),
        CompareKind::Ge => pairs(a, b, out, |a, b| u32::from(a >= b)),
    }
}

fn cast(from: DType, to: DType, x: &[u32], out: &mut [u32]) {
    let one = |f: fn(u32) -> u32, out: &mut [u32]| {
        for (o, &w) in out.iter_mut().zip(x) {
            *o = f(w);
        }
    };
    match (from, to) {
        (DType::F32, DType::F16) => round_f16(bytemuck::cast_slice(x), bytemuck::cast_slice_mut(out)),
        (DType::F32, DType::I32) => one(|w| (f32::from_bits(w) as i32).cast_unsigned(), out),
        (DType::F32, DType::Bool) => one(|w| u32::from(f32::from_bits(w) != 0.0), out),
        (DType::I32, DType::F32) => one(|w| (w.cast_signed() as f32).to_bits(), out),
        (DType::Bool, DType::F32) => one(|w| (w as f32).to_bits(), out),
        (DType::I32, DType::Bool) => one(|w| u32::from(w != 0), out),
        _ => out.copy_from_slice(x),
    }
}

/// Replaces element numbers by their draws; a Philox block gives four neighbours.
fn draw(out: &mut [u32], seed: u32, step: u32, stream: u32) {
    let (mut known, mut block) = (None, [0; 4]);
    for o in out {
        let index = *o;
        if known != Some(index / 4) {
            known = Some(index / 4);
            block = philox::philox4x32([index / 4, step, stream, 0], [seed, 0]);
        }
        *o = philox::to_unit(block[(index % 4) as usize]).to_bits();
    }
}
