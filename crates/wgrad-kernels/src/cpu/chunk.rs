//! Runs an [`Expr`] a chunk of elements at a time: each instruction is one vectorised loop over registers that stay
//! in the first-level cache, so a fused chain moves its bytes once.

use super::Reads;
use super::view::Runs;
use crate::expr::{Expr, Instr, Reg};
use crate::{SEED_WORD, STEP_WORD};
use std::cell::RefCell;
use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_graph::philox;
use wgrad_types::{DType, View};

/// Elements a register holds.
pub(crate) const CHUNK: usize = 512;

thread_local! {
    static REGISTERS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// An expression with its views made ready.
pub(crate) struct Code<'e> {
    expr: &'e Expr,
    views: Vec<Option<Runs>>,
    /// Per operand the output whose memory holds it on entry.
    taken: Vec<Option<usize>>,
}

/// Where a chunk's own data is: the core's results and the outputs' previous contents.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    /// First element.
    pub start: usize,
    /// The core's results of this chunk.
    pub acc: &'a [u32],
    /// Contents of each output over this chunk before it is written.
    pub before: &'a [&'a [u32]],
}

impl<'e> Code<'e> {
    /// The code of an iteration shape; `in_place` as in `Step`.
    pub(crate) fn new(expr: &'e Expr, in_place: &[Option<usize>], shape: &[usize]) -> Self {
        let views = expr
            .instrs
            .iter()
            .map(|i| match i {
                Instr::Load { view, .. } | Instr::Index(view) | Instr::Random { view, .. } => {
                    Some(Runs::new(view))
                }
                Instr::Masked { mask, .. } => {
                    Some(Runs::new(&View { mask: Some(mask.clone()), ..View::contiguous(shape) }))
                }
                _ => None,
            })
            .collect();
        let most = in_place.iter().flatten().max().map_or(0, |m| m + 1);
        let taken = (0..most).map(|j| in_place.iter().position(|p| *p == Some(j))).collect();
        Self { expr, views, taken }
    }

    /// Evaluates `len <= CHUNK` elements and calls `f` with each result's number and elements.
    pub(crate) fn eval(
        &self,
        len: usize,
        here: Here<'_>,
        reads: Reads<'_>,
        mut f: impl FnMut(usize, &[u32]),
    ) {
        REGISTERS.with_borrow_mut(|registers| {
            let needed = self.expr.instrs.len() * CHUNK;
            if registers.len() < needed {
                registers.resize(needed, 0);
            }
            for r in 0..self.expr.instrs.len() {
                let (done, rest) = registers.split_at_mut(r * CHUNK);
                self.step(r, done, &mut rest[..len], here, reads);
            }
            for (i, &r) in self.expr.results.iter().enumerate() {
                f(i, &registers[r * CHUNK..r * CHUNK + len]);
            }
        });
    }

    fn step(&self, r: Reg, done: &[u32], out: &mut [u32], here: Here<'_>, reads: Reads<'_>) {
        let len = out.len();
        let word = |r: Reg| &done[r * CHUNK..r * CHUNK + len];
        let real = |r: Reg| -> &[f32] { bytemuck::cast_slice(word(r)) };
        let dtype = self.expr.dtypes[r];
        match &self.expr.instrs[r] {
            Instr::Acc => out.copy_from_slice(here.acc),
            Instr::Load { operand, .. } => {
                let runs = self.views[r].as_ref().expect("loads have views");
                match self.taken.get(*operand).copied().flatten() {
                    Some(o) => out.copy_from_slice(here.before[o]),
                    None if runs.contiguous => {
                        out.copy_from_slice(&reads.operands[*operand][here.start..here.start + len]);
                    }
                    None => runs.read(reads.operands[*operand], here.start, out),
                }
            }
            Instr::Const(value) => out.fill(constant(*value, dtype)),
            Instr::Scalar { word } => out.fill(reads.scalars[*word]),
            Instr::Index(_) => self.views[r].as_ref().expect("indices have views").indices(here.start, out),
            Instr::Random { stream, .. } => {
                self.views[r].as_ref().expect("draws have views").indices(here.start, out);
                draw(out, reads.scalars[SEED_WORD], reads.scalars[STEP_WORD], *stream);
            }
            Instr::Masked { value, .. } => {
                out.copy_from_slice(word(*value));
                self.views[r].as_ref().expect("masks have views").clear_outside(here.start, out);
            }
            Instr::Unary(kind, x) => unary(*kind, real(*x), bytemuck::cast_slice_mut(out)),
            Instr::Binary(kind, a, b) => match dtype {
                DType::F32 => binary(*kind, real(*a), real(*b), bytemuck::cast_slice_mut(out)),
                _ => binary_i32(
                    *kind,
                    bytemuck::cast_slice(word(*a)),
                    bytemuck::cast_slice(word(*b)),
                    bytemuck::cast_slice_mut(out),
                ),
            },
            Instr::Compare(kind, a, b) => match self.expr.dtypes[*a] {
                DType::F32 => compare(*kind, real(*a), real(*b), out),
                DType::I32 => {
                    compare::<i32>(
                        *kind,
                        bytemuck::cast_slice(word(*a)),
                        bytemuck::cast_slice(word(*b)),
                        out,
                    );
                }
                DType::Bool => compare(*kind, word(*a), word(*b), out),
            },
            Instr::Select(c, a, b) => {
                for (((o, &c), &a), &b) in out.iter_mut().zip(word(*c)).zip(word(*a)).zip(word(*b)) {
                    *o = if c != 0 { a } else { b };
                }
            }
            Instr::Cast(x) => cast(self.expr.dtypes[*x], dtype, word(*x), out),
        }
    }
}

fn constant(value: f64, dtype: DType) -> u32 {
    match dtype {
        DType::F32 => (value as f32).to_bits(),
        DType::I32 => (value as i32).cast_unsigned(),
        DType::Bool => u32::from(value != 0.0),
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

fn each(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = f(x);
    }
}

fn unary(kind: UnaryKind, x: &[f32], out: &mut [f32]) {
    match kind {
        UnaryKind::Neg => each(x, out, |x| -x),
        UnaryKind::Abs => each(x, out, f32::abs),
        UnaryKind::Sign => each(x, out, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                0.0
            }
        }),
        UnaryKind::Floor => each(x, out, f32::floor),
        UnaryKind::Exp => each(x, out, f32::exp),
        UnaryKind::Log => each(x, out, f32::ln),
        UnaryKind::Sqrt => each(x, out, f32::sqrt),
        UnaryKind::Rsqrt => each(x, out, |x| 1.0 / x.sqrt()),
        UnaryKind::Reciprocal => each(x, out, |x| 1.0 / x),
        UnaryKind::Square => each(x, out, |x| x * x),
        UnaryKind::Sin => each(x, out, f32::sin),
        UnaryKind::Cos => each(x, out, f32::cos),
        UnaryKind::Tanh => each(x, out, f32::tanh),
        UnaryKind::Erf => each(x, out, libm::erff),
        UnaryKind::Sigmoid => each(x, out, |x| 1.0 / (1.0 + (-x).exp())),
        UnaryKind::Softplus => each(x, out, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        UnaryKind::Relu => each(x, out, |x| if x > 0.0 { x } else { 0.0 }),
    }
}

fn pairs<T: Copy>(a: &[T], b: &[T], out: &mut [T], f: impl Fn(T, T) -> T) {
    for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *o = f(a, b);
    }
}

fn binary(kind: BinaryKind, a: &[f32], b: &[f32], out: &mut [f32]) {
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
fn binary_i32(kind: BinaryKind, a: &[i32], b: &[i32], out: &mut [i32]) {
    match kind {
        BinaryKind::Add => pairs(a, b, out, i32::wrapping_add),
        BinaryKind::Sub => pairs(a, b, out, i32::wrapping_sub),
        BinaryKind::Mul => pairs(a, b, out, i32::wrapping_mul),
        BinaryKind::Maximum => pairs(a, b, out, i32::max),
        BinaryKind::Minimum => pairs(a, b, out, i32::min),
        BinaryKind::Div | BinaryKind::Pow => unreachable!("refused by shape inference"),
    }
}

fn compare<T: PartialOrd + Copy>(kind: CompareKind, a: &[T], b: &[T], out: &mut [u32]) {
    let f: fn(&T, &T) -> bool = match kind {
        CompareKind::Eq => T::eq,
        CompareKind::Ne => T::ne,
        CompareKind::Lt => T::lt,
        CompareKind::Le => T::le,
        CompareKind::Gt => T::gt,
        CompareKind::Ge => T::ge,
    };
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = u32::from(f(a, b));
    }
}

fn cast(from: DType, to: DType, x: &[u32], out: &mut [u32]) {
    for (o, &w) in out.iter_mut().zip(x) {
        *o = match (from, to) {
            (DType::F32, DType::I32) => (f32::from_bits(w) as i32).cast_unsigned(),
            (DType::F32, DType::Bool) => u32::from(f32::from_bits(w) != 0.0),
            (DType::I32, DType::F32) => (w.cast_signed() as f32).to_bits(),
            (DType::Bool, DType::F32) => (w as f32).to_bits(),
            (DType::I32, DType::Bool) => u32::from(w != 0),
            _ => w,
        };
    }
}
