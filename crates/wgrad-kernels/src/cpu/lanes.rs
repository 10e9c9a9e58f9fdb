//! Element-wise functions over slices, for vectors of the kind that is in use: one loop a function, no branches in it.

use super::ahead::Ahead;
use super::real::{Erf, Exp, Log, Real, Sigmoid, Softplus, Tanh, map};
use pulp::Simd;
use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_types::{DType, round_f16};

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

/// Declares functions by what they do with a vector.
macro_rules! real {
    ($($name:ident |$s:ident, $x:ident| $body:expr;)*) => {
        $(struct $name;

        impl Real for $name {
            #[inline(always)]
            fn of<S: Simd>($s: S, $x: S::f32s) -> S::f32s {
                $body
            }
        })*
    };
}

real! {
    Neg |s, x| s.neg_f32s(x);
    Abs |s, x| s.abs_f32s(x);
    Sqrt |s, x| s.sqrt_f32s(x);
    Rsqrt |s, x| s.div_f32s(s.splat_f32s(1.0), s.sqrt_f32s(x));
    Reciprocal |s, x| s.div_f32s(s.splat_f32s(1.0), x);
    Square |s, x| s.mul_f32s(x, x);
    Relu |s, x| s.select_f32s(s.less_than_or_equal_f32s(x, s.splat_f32s(0.0)), s.splat_f32s(0.0), x);
}

#[inline(always)]
pub(super) fn unary<S: Simd>(s: S, kind: UnaryKind, x: &[f32], out: &mut [f32], ahead: Ahead) {
    match kind {
        UnaryKind::Neg => map::<S, Neg>(s, x, out, ahead),
        UnaryKind::Abs => map::<S, Abs>(s, x, out, ahead),
        UnaryKind::Exp => map::<S, Exp>(s, x, out, ahead),
        UnaryKind::Log => map::<S, Log>(s, x, out, ahead),
        UnaryKind::Sqrt => map::<S, Sqrt>(s, x, out, ahead),
        UnaryKind::Rsqrt => map::<S, Rsqrt>(s, x, out, ahead),
        UnaryKind::Reciprocal => map::<S, Reciprocal>(s, x, out, ahead),
        UnaryKind::Square => map::<S, Square>(s, x, out, ahead),
        UnaryKind::Tanh => map::<S, Tanh>(s, x, out, ahead),
        UnaryKind::Erf => map::<S, Erf>(s, x, out, ahead),
        UnaryKind::Sigmoid => map::<S, Sigmoid>(s, x, out, ahead),
        UnaryKind::Softplus => map::<S, Softplus>(s, x, out, ahead),
        UnaryKind::Relu => map::<S, Relu>(s, x, out, ahead),
        _ => slow(kind, x, out),
    }
}

/// Functions without vectors of their own.
pub(super) fn slow(kind: UnaryKind, x: &[f32], out: &mut [f32]) {
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

/// An operand over some rows: its elements, or fewer values that stand for them.
#[derive(Clone, Copy)]
pub(super) enum Arg<'a> {
    Each(&'a [u32]),
    /// One value for all.
    Same(u32),
    /// A value a row.
    PerRow(&'a [u32]),
    /// A row's elements lie together, but each row elsewhere: where in the words, or [`OUTSIDE`] for zeros.
    Rows(&'a [u32], &'a [usize]),
}

/// The place of a row that is padding.
pub(super) const OUTSIDE: usize = usize::MAX;

impl<'a> Arg<'a> {
    /// Whether rows differ in where their elements are.
    #[inline(always)]
    fn by_rows(&self) -> bool {
        matches!(self, Self::PerRow(_) | Self::Rows(..))
    }

    /// Of row `r` of so many elements: no more by rows.
    #[inline(always)]
    fn of_row(self, r: usize, row: usize) -> Self {
        match self {
            Self::Each(words) => Self::Each(&words[r * row..][..row]),
            Self::Same(word) => Self::Same(word),
            Self::PerRow(words) => Self::Same(words[r]),
            Self::Rows(_, places) if places[r] == OUTSIDE => Self::Same(0),
            Self::Rows(words, places) => Self::Each(&words[places[r]..][..row]),
        }
    }

    /// Writes the elements out.
    pub(super) fn write(self, row: usize, to: &mut [u32]) {
        match self {
            Self::Each(words) => to.copy_from_slice(words),
            Self::Same(word) => to.fill(word),
            _ => to.chunks_exact_mut(row).enumerate().for_each(|(r, to)| self.of_row(r, row).write(row, to)),
        }
    }

    /// The elements; what is less is written out into `to`.
    pub(super) fn spread(self, row: usize, to: &'a mut [u32]) -> &'a [u32] {
        if let Self::Each(words) = self {
            return words;
        }
        self.write(row, to);
        to
    }
}

/// A function of two variables.
trait Pair {
    fn of<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s;
}

/// Declares functions by what they do with two vectors.
macro_rules! pair {
    ($($name:ident |$s:ident, $a:ident, $b:ident| $body:expr;)*) => {
        $(struct $name;

        impl Pair for $name {
            #[inline(always)]
            fn of<S: Simd>($s: S, $a: S::f32s, $b: S::f32s) -> S::f32s {
                $body
            }
        })*
    };
}

pair! {
    Add |s, a, b| s.add_f32s(a, b);
    Sub |s, a, b| s.sub_f32s(a, b);
    Mul |s, a, b| s.mul_f32s(a, b);
    Div |s, a, b| s.div_f32s(a, b);
    Maximum |s, a, b| s.select_f32s(s.greater_than_f32s(a, b), a, b);
    Minimum |s, a, b| s.select_f32s(s.less_than_f32s(a, b), a, b);
}

/// Whole vectors, and the rest as one filled up with zeros.
#[inline(always)]
fn split<S: Simd>(s: S, words: &[u32]) -> (&[S::f32s], S::f32s) {
    let (whole, tail) = S::as_simd_f32s(bytemuck::cast_slice(words));
    (whole, if tail.is_empty() { s.splat_f32s(0.0) } else { s.partial_load_f32s(tail) })
}

/// `out[i] = F(a[i], b[i])`, in rows of `row` elements.
#[inline(always)]
fn zip<S: Simd, F: Pair>(s: S, [a, b]: [Arg<'_>; 2], row: usize, out: &mut [f32], ahead: Ahead) {
    if a.by_rows() || b.by_rows() {
        for (r, out) in out.chunks_exact_mut(row).enumerate() {
            one::<S, F>(s, a.of_row(r, row), b.of_row(r, row), out, ahead.after(r * row));
        }
    } else {
        one::<S, F>(s, a, b, out, ahead);
    }
}

/// The same for operands that are not by rows.
#[inline(always)]
fn one<S: Simd, F: Pair>(s: S, a: Arg<'_>, b: Arg<'_>, out: &mut [f32], ahead: Ahead) {
    let value = |word: u32| s.splat_f32s(f32::from_bits(word));
    let (out, out_tail) = S::as_mut_simd_f32s(out);
    let tail = match (a, b) {
        (Arg::Each(a), Arg::Each(b)) => {
            let ((a, a_tail), (b, b_tail)) = (split(s, a), split(s, b));
            for (i, ((o, &a), &b)) in out.iter_mut().zip(a).zip(b).enumerate() {
                ahead.fetch(i * S::F32_LANES);
                *o = F::of(s, a, b);
            }
            F::of(s, a_tail, b_tail)
        }
        (Arg::Each(a), Arg::Same(b)) => {
            let ((a, tail), b) = (split(s, a), value(b));
            for (i, (o, &a)) in out.iter_mut().zip(a).enumerate() {
                ahead.fetch(i * S::F32_LANES);
                *o = F::of(s, a, b);
            }
            F::of(s, tail, b)
        }
        (Arg::Same(a), Arg::Each(b)) => {
            let (a, (b, tail)) = (value(a), split(s, b));
            for (i, (o, &b)) in out.iter_mut().zip(b).enumerate() {
                ahead.fetch(i * S::F32_LANES);
                *o = F::of(s, a, b);
            }
            F::of(s, a, tail)
        }
        (Arg::Same(a), Arg::Same(b)) => {
            let same = F::of(s, value(a), value(b));
            out.fill(same);
            same
        }
        _ => unreachable!("of one row"),
    };
    if !out_tail.is_empty() {
        s.partial_store_f32s(out_tail, tail);
    }
}

/// Operands in rows of `row` elements; `spread` is room for those that are no loop's.
#[inline(always)]
pub(super) fn binary<S: Simd>(
    s: S,
    kind: BinaryKind,
    args: [Arg<'_>; 2],
    row: usize,
    out: &mut [f32],
    spread: [&mut [u32]; 2],
    ahead: Ahead,
) {
    match kind {
        BinaryKind::Add => zip::<S, Add>(s, args, row, out, ahead),
        BinaryKind::Sub => zip::<S, Sub>(s, args, row, out, ahead),
        BinaryKind::Mul => zip::<S, Mul>(s, args, row, out, ahead),
        BinaryKind::Div => zip::<S, Div>(s, args, row, out, ahead),
        BinaryKind::Maximum => zip::<S, Maximum>(s, args, row, out, ahead),
        BinaryKind::Minimum => zip::<S, Minimum>(s, args, row, out, ahead),
        BinaryKind::Pow => {
            let ([a, b], [sa, sb]) = (args, spread);
            let (a, b) = (a.spread(row, sa), b.spread(row, sb));
            pairs::<f32, f32>(bytemuck::cast_slice(a), bytemuck::cast_slice(b), out, f32::powf);
        }
    }
}

/// Whole numbers wrap; division and powers are not defined for them (`Binary::infer`).
#[inline(always)]
pub(super) fn binary_i32(kind: BinaryKind, a: &[i32], b: &[i32], out: &mut [i32]) {
    match kind {
        BinaryKind::Add => pairs(a, b, out, i32::wrapping_add),
        BinaryKind::Sub => pairs(a, b, out, i32::wrapping_sub),
        BinaryKind::Mul => pairs(a, b, out, i32::wrapping_mul),
        BinaryKind::Maximum => pairs(a, b, out, i32::max),
        BinaryKind::Minimum => pairs(a, b, out, i32::min),
        BinaryKind::Div | BinaryKind::Pow => unreachable!("refused by shape inference"),
    }
}

/// Words of a dtype compared.
#[inline(always)]
pub(super) fn compared(kind: CompareKind, dtype: DType, a: &[u32], b: &[u32], out: &mut [u32]) {
    match dtype {
        DType::F32 | DType::F16 => {
            compare::<f32>(kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out);
        }
        DType::I32 => compare::<i32>(kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out),
        DType::Bool => compare(kind, a, b, out),
    }
}

#[inline(always)]
fn compare<T: PartialOrd + Copy>(kind: CompareKind, a: &[T], b: &[T], out: &mut [u32]) {
    match kind {
        CompareKind::Eq => pairs(a, b, out, |a, b| u32::from(a == b)),
        CompareKind::Ne => pairs(a, b, out, |a, b| u32::from(a != b)),
        CompareKind::Lt => pairs(a, b, out, |a, b| u32::from(a < b)),
        CompareKind::Le => pairs(a, b, out, |a, b| u32::from(a <= b)),
        CompareKind::Gt => pairs(a, b, out, |a, b| u32::from(a > b)),
        CompareKind::Ge => pairs(a, b, out, |a, b| u32::from(a >= b)),
    }
}

/// `c ? a : b`.
#[inline(always)]
pub(super) fn select(c: &[u32], a: &[u32], b: &[u32], out: &mut [u32]) {
    for (((o, &c), &a), &b) in out.iter_mut().zip(c).zip(a).zip(b) {
        *o = if c != 0 { a } else { b };
    }
}

#[inline(always)]
pub(super) fn cast(from: DType, to: DType, x: &[u32], out: &mut [u32]) {
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
