//! Runs an [`Expr`] a chunk of elements at a time: each instruction is one vectorised loop over registers that stay
//! in the first-level cache, so a fused chain moves its bytes once.

use super::Reads;
use super::lanes::{binary, binary_i32, cast, compare, select, unary};
use super::view::Runs;
use crate::expr::{Expr, Instr, Reg};
use crate::{SEED_WORD, STEP_WORD};
use std::cell::RefCell;
use wgrad_graph::philox;
use wgrad_types::{DType, View};

/// Elements a register holds.
pub(crate) const CHUNK: usize = 512;

thread_local! {
    static REGISTERS: RefCell<Vec<Vec<u32>>> = const { RefCell::new(Vec::new()) };
}

/// An expression with its views made ready.
pub(crate) struct Code<'e> {
    expr: &'e Expr,
    views: Vec<Option<Runs>>,
    /// Per operand the output whose memory holds it on entry.
    taken: Vec<Option<usize>>,
    /// The register of each instruction's result; they are taken again after the last use, so that few are in the cache.
    places: Vec<usize>,
    registers: usize,
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
        let (places, registers) = places(expr);
        Self { expr, views, taken, places, registers }
    }

    /// Evaluates `len <= CHUNK` elements; [`Code::result`] gives them out.
    pub(crate) fn eval(&self, len: usize, here: Here<'_>, reads: Reads<'_>) {
        REGISTERS.with_borrow_mut(|registers| {
            if registers.len() < self.registers {
                registers.resize_with(self.registers, || vec![0; CHUNK]);
            }
            for r in 0..self.expr.instrs.len() {
                if self.alias(r, len, here, reads).is_none() {
                    let mut out = std::mem::take(&mut registers[self.places[r]]);
                    self.step(r, registers, &mut out[..len], here, reads);
                    registers[self.places[r]] = out;
                }
            }
        });
    }

    /// Calls `f` with the elements of result `i` of the last [`Code::eval`] on this thread. A result that is the core's
    /// own, unchanged, is `None`.
    pub(crate) fn result<R>(
        &self,
        i: usize,
        len: usize,
        start: usize,
        reads: Reads<'_>,
        f: impl FnOnce(Option<&[u32]>) -> R,
    ) -> R {
        let r = self.expr.results[i];
        if self.expr.instrs[r] == Instr::Acc {
            return f(None);
        }
        match self.alias(r, len, Here { start, acc: &[], before: &[] }, reads) {
            Some(words) => f(Some(words)),
            None => REGISTERS.with_borrow(|registers| f(Some(&registers[self.places[r]][..len]))),
        }
    }

    /// The output whose memory an operand's elements stand in.
    fn output_of(&self, operand: usize) -> Option<usize> {
        self.taken.get(operand).copied().flatten()
    }

    /// Where a value stands in memory already.
    fn alias<'a>(&self, r: Reg, len: usize, here: Here<'a>, reads: Reads<'a>) -> Option<&'a [u32]> {
        match &self.expr.instrs[r] {
            Instr::Acc => Some(here.acc),
            Instr::Load { operand, .. } => {
                let contiguous = self.views[r].as_ref().is_some_and(|v| v.contiguous);
                let plain = contiguous && self.output_of(*operand).is_none();
                plain.then(|| {
                    let start = here.start - reads.origin(*operand);
                    &reads.operands[*operand][start..start + len]
                })
            }
            _ => None,
        }
    }

    fn step(&self, r: Reg, done: &[Vec<u32>], out: &mut [u32], here: Here<'_>, reads: Reads<'_>) {
        let len = out.len();
        let word = |r: Reg| -> &[u32] {
            self.alias(r, len, here, reads).unwrap_or_else(|| &done[self.places[r]][..len])
        };
        let real = |r: Reg| -> &[f32] { bytemuck::cast_slice(word(r)) };
        let whole = |r: Reg| -> &[i32] { bytemuck::cast_slice(word(r)) };
        let dtype = self.expr.dtypes[r];
        match &self.expr.instrs[r] {
            Instr::Acc => {}
            Instr::Load { operand, .. } => match self.output_of(*operand) {
                Some(o) => out.copy_from_slice(here.before[o]),
                None => {
                    let runs = self.views[r].as_ref().expect("loads have views");
                    runs.read(reads.operands[*operand], reads.origin(*operand), here.start, out);
                }
            },
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
                _ => binary_i32(*kind, whole(*a), whole(*b), bytemuck::cast_slice_mut(out)),
            },
            Instr::Compare(kind, a, b) => match self.expr.dtypes[*a] {
                DType::F32 => compare(*kind, real(*a), real(*b), out),
                DType::I32 => compare(*kind, whole(*a), whole(*b), out),
                DType::Bool => compare(*kind, word(*a), word(*b), out),
            },
            Instr::Select(c, a, b) => select(word(*c), word(*a), word(*b), out),
            Instr::Cast(x) => cast(self.expr.dtypes[*x], dtype, word(*x), out),
        }
    }
}

/// A register an instruction, and how many there are. A result's register is never one of its operands'.
fn places(expr: &Expr) -> (Vec<usize>, usize) {
    let mut last: Vec<usize> = (0..expr.instrs.len()).collect();
    for (r, instr) in expr.instrs.iter().enumerate() {
        instr.operands().for_each(|x| last[x] = r);
    }
    expr.results.iter().for_each(|&r| last[r] = usize::MAX);
    let (mut free, mut places, mut count): (Vec<usize>, Vec<usize>, usize) = (Vec::new(), Vec::new(), 0);
    for r in 0..expr.instrs.len() {
        places.push(free.pop().unwrap_or_else(|| {
            count += 1;
            count - 1
        }));
        free.extend((0..=r).filter(|&x| last[x] == r).map(|x| places[x]));
    }
    (places, count)
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
