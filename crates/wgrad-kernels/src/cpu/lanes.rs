//! Element-wise functions over slices, compiled for the processor's vectors: one loop a function, no branches in it.

use super::real::{Erf, Exp, Log, Sigmoid, Softplus, Tanh, map};
use super::tile::dispatch;
use pulp::{Simd, WithSimd};
use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_types::DType;

struct Each<'a, F>(&'a [f32], &'a mut [f32], F);

impl<F: Fn(f32) -> f32> WithSimd for Each<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (o, &x) in self.1.iter_mut().zip(self.0) {
            *o = (self.2)(x);
        }
    }
}

fn each(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    dispatch(Each(x, out, f));
}

struct Pairs<'a, T, U, F>(&'a [T], &'a [T], &'a mut [U], F);

impl<T: Copy, U, F: Fn(T, T) -> U> WithSimd for Pairs<'_, T, U, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((o, &a), &b) in self.2.iter_mut().zip(self.0).zip(self.1) {
            *o = (self.3)(a, b);
        }
    }
}

fn pairs<T: Copy, U>(a: &[T], b: &[T], out: &mut [U], f: impl Fn(T, T) -> U) {
    dispatch(Pairs(a, b, out, f));
}

pub(super) fn unary(kind: UnaryKind, x: &[f32], out: &mut [f32]) {
    match kind {
        UnaryKind::Neg => each(x, out, |x| -x),
        UnaryKind::Abs => each(x, out, f32::abs),
        UnaryKind::Sign => {
            each(x, out, |x| f32::from(u8::from(x > 0.0)) - f32::from(u8::from(x < 0.0)));
        }
        UnaryKind::Floor => each(x, out, f32::floor),
        UnaryKind::Exp => map::<Exp>(x, out),
        UnaryKind::Log => map::<Log>(x, out),
        UnaryKind::Sqrt => each(x, out, f32::sqrt),
        UnaryKind::Rsqrt => each(x, out, |x| 1.0 / x.sqrt()),
        UnaryKind::Reciprocal => each(x, out, |x| 1.0 / x),
        UnaryKind::Square => each(x, out, |x| x * x),
        UnaryKind::Sin => each(x, out, f32::sin),
        UnaryKind::Cos => each(x, out, f32::cos),
        UnaryKind::Tanh => map::<Tanh>(x, out),
        UnaryKind::Erf => map::<Erf>(x, out),
        UnaryKind::Sigmoid => map::<Sigmoid>(x, out),
        UnaryKind::Softplus => map::<Softplus>(x, out),
        UnaryKind::Relu => each(x, out, |x| if x > 0.0 { x } else { 0.0 }),
    }
}

pub(super) fn binary(kind: BinaryKind, a: &[f32], b: &[f32], out: &mut [f32]) {
    match kind {
        BinaryKind::Add => pairs(a, b, out, |a, b| a + b),
        BinaryKind::Sub => pairs(a, b, out, |a, b| a - b),
        BinaryKind::Mul => pairs(a, b, out, |a, b| a * b),
        BinaryKind::Div => pairs(a, b, out, |a, b| a / b),
        BinaryKind::Pow => pairs(a, b, out, f32::powf),
        BinaryKind::Maximum => pairs(a, b, out, |a, b| if a > b { a } else { b }),
        BinaryKind::Minimum => pairs(a, b, out, |a, b| if a < b { a } else { b }),
    }
}

/// Whole numbers wrap; division and powers are not defined for them (`Binary::infer`).
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

pub(super) fn compare<T: PartialOrd + Copy>(kind: CompareKind, a: &[T], b: &[T], out: &mut [u32]) {
    match kind {
        CompareKind::Eq => pairs(a, b, out, |a, b| u32::from(a == b)),
        CompareKind::Ne => pairs(a, b, out, |a, b| u32::from(a != b)),
        CompareKind::Lt => pairs(a, b, out, |a, b| u32::from(a < b)),
        CompareKind::Le => pairs(a, b, out, |a, b| u32::from(a <= b)),
        CompareKind::Gt => pairs(a, b, out, |a, b| u32::from(a > b)),
        CompareKind::Ge => pairs(a, b, out, |a, b| u32::from(a >= b)),
    }
}

struct Choose<'a>(&'a [u32], &'a [u32], &'a [u32], &'a mut [u32]);

impl WithSimd for Choose<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (((o, &c), &a), &b) in self.3.iter_mut().zip(self.0).zip(self.1).zip(self.2) {
            *o = if c != 0 { a } else { b };
        }
    }
}

/// `c ? a : b`.
pub(super) fn select(c: &[u32], a: &[u32], b: &[u32], out: &mut [u32]) {
    dispatch(Choose(c, a, b, out));
}

pub(super) fn cast(from: DType, to: DType, x: &[u32], out: &mut [u32]) {
    let one = |f: fn(u32) -> u32, out: &mut [u32]| {
        for (o, &w) in out.iter_mut().zip(x) {
            *o = f(w);
        }
    };
    match (from, to) {
        (DType::F32, DType::I32) => one(|w| (f32::from_bits(w) as i32).cast_unsigned(), out),
        (DType::F32, DType::Bool) => one(|w| u32::from(f32::from_bits(w) != 0.0), out),
        (DType::I32, DType::F32) => one(|w| (w.cast_signed() as f32).to_bits(), out),
        (DType::Bool, DType::F32) => one(|w| (w as f32).to_bits(), out),
        (DType::I32, DType::Bool) => one(|w| u32::from(w != 0), out),
        _ => out.copy_from_slice(x),
    }
}
