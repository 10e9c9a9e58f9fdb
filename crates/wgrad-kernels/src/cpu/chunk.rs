//! Runs an [`Expr`] a chunk of elements at a time: each instruction is one loop over registers that stay in the
//! first-level cache, so a fused chain moves its bytes once.
//!
//! What already stands in memory in order is read there, what is one value for a whole chunk (constants, statistics of a
//! row) is computed once, and results are written where they belong, so that only arithmetic makes loops.

use super::Lines;
use super::Reads;
use super::lanes::{Arg, binary, binary_i32, cast, compare, select, unary};
use super::view::{Runs, Stretch};
use crate::expr::{Expr, Instr, Reg};
use crate::{SEED_WORD, STEP_WORD};
use std::cell::RefCell;
use wgrad_graph::philox;
use wgrad_types::{DType, View};

/// Elements a register holds.
pub(crate) const CHUNK: usize = 2048;
/// Rows shorter than this are not worth chunks of their own.
const SHORT_ROW: usize = 64;

/// Where a value is during a chunk.
#[derive(Clone, Copy)]
enum Held {
    Register,
    Same(u32),
    /// An operand's elements from this one on.
    Memory(usize, usize),
    /// An output's former contents.
    Before(usize),
    /// The core's result.
    Acc,
    /// A result, in its output.
    Output(usize),
}

/// A thread's registers.
#[derive(Default)]
struct Registers {
    words: Vec<Lines<u32>>,
    held: Vec<Held>,
    /// For operands that a loop needs element by element although they are all the same.
    spread: [Lines<u32>; 3],
}

thread_local! {
    static REGISTERS: RefCell<Registers> = RefCell::new(Registers::default());
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
    /// Elements after which views jump or broadcast values change.
    row: Option<usize>,
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

/// What a chunk's instructions see.
struct Chunk<'a> {
    len: usize,
    here: Here<'a>,
    reads: Reads<'a>,
}

impl<'e> Code<'e> {
    /// The code of an iteration shape; `in_place` as in `Step`.
    pub(crate) fn new(expr: &'e Expr, in_place: &[Option<usize>], shape: &[usize]) -> Self {
        let views: Vec<Option<Runs>> = expr
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
        let loads = expr.instrs.iter().zip(&views).filter(|(i, _)| i.load().is_some());
        let row = loads.filter_map(|(_, v)| v.as_ref()?.row()).min().filter(|&n| n >= SHORT_ROW);
        Self { expr, views, taken, places, registers, row }
    }

    /// Whether an output takes over an operand's memory.
    pub(crate) fn in_place(&self) -> bool {
        !self.taken.is_empty()
    }

    /// The output whose memory an operand's elements stand in.
    fn taken_by(&self, operand: usize) -> Option<usize> {
        self.taken.get(operand).copied().flatten()
    }

    /// Elements of the chunk that begins at `start` where `left` are left: pieces of a row do not reach into the next.
    pub(crate) fn chunk(&self, start: usize, left: usize) -> usize {
        let Some(row) = self.row else { return CHUNK.min(left) };
        let piece = row.div_ceil(row.div_ceil(CHUNK)).next_multiple_of(16);
        let at = start % row;
        (piece - at % piece).min(row - at).min(left)
    }

    /// Evaluates `len <= CHUNK` elements; [`Code::result`] gives out what was not written to `outputs`: a slice of the
    /// chunk a result, or none at all.
    pub(crate) fn eval(&self, len: usize, here: Here<'_>, reads: Reads<'_>, outputs: &mut [&mut [u32]]) {
        REGISTERS.with_borrow_mut(|registers| {
            if registers.words.len() < self.registers {
                registers.words.resize_with(self.registers, Lines::default);
            }
            for own in registers.words.iter_mut().chain(&mut registers.spread) {
                own.room(CHUNK);
            }
            registers.held.clear();
            let chunk = Chunk { len, here, reads };
            for r in 0..self.expr.instrs.len() {
                let held = self.at_hand(r, &chunk, registers).unwrap_or_else(|| {
                    let output =
                        self.expr.results.iter().position(|&x| x == r).filter(|&i| i < outputs.len());
                    match output {
                        Some(i) => {
                            let out = std::mem::take(&mut outputs[i]);
                            self.step(r, &chunk, registers, outputs, out);
                            outputs[i] = out;
                            Held::Output(i)
                        }
                        None => {
                            let mut out = std::mem::take(&mut registers.words[self.places[r]]);
                            self.step(r, &chunk, registers, outputs, &mut out[..len]);
                            registers.words[self.places[r]] = out;
                            Held::Register
                        }
                    }
                });
                registers.held.push(held);
            }
            for (i, &r) in self.expr.results.iter().enumerate().take(outputs.len()) {
                if !matches!(registers.held[r], Held::Output(o) if o == i) {
                    let out = std::mem::take(&mut outputs[i]);
                    match self.arg(r, &chunk, registers, outputs) {
                        Arg::Each(words) => out.copy_from_slice(words),
                        Arg::Same(word) => out.fill(word),
                    }
                    outputs[i] = out;
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
        here: Here<'_>,
        reads: Reads<'_>,
        f: impl FnOnce(Option<&[u32]>) -> R,
    ) -> R {
        let r = self.expr.results[i];
        REGISTERS.with_borrow_mut(|registers| {
            if let Held::Acc = registers.held[r] {
                return f(None);
            }
            let mut spread = std::mem::take(&mut registers.spread[0]);
            let arg = self.arg(r, &Chunk { len, here, reads }, registers, &[]);
            let result = f(Some(arg.spread(&mut spread[..len])));
            registers.spread[0] = spread;
            result
        })
    }

    /// Where a value stands already, or the one value it has over all of the chunk.
    fn at_hand(&self, r: Reg, chunk: &Chunk<'_>, registers: &Registers) -> Option<Held> {
        let instr = &self.expr.instrs[r];
        match instr {
            Instr::Acc => return Some(Held::Acc),
            Instr::Const(value) => return Some(Held::Same(constant(*value, self.expr.dtypes[r]))),
            Instr::Scalar { word } => return Some(Held::Same(chunk.reads.scalars[*word])),
            Instr::Load { operand, .. } => {
                if let Some(output) = self.taken_by(*operand) {
                    // A result outlives the former contents: it is copied.
                    return (!self.expr.results.contains(&r)).then_some(Held::Before(output));
                }
                let origin = chunk.reads.origin(*operand);
                let runs = self.views[r].as_ref()?;
                return match runs.stretch(chunk.here.start, chunk.len)? {
                    Stretch::Outside => Some(Held::Same(0)),
                    Stretch::Same(at) => Some(Held::Same(chunk.reads.operands[*operand][at - origin])),
                    Stretch::InOrder(at) => Some(Held::Memory(*operand, at - origin)),
                };
            }
            Instr::Index(_) | Instr::Random { .. } | Instr::Masked { .. } => return None,
            _ => {}
        }
        let same = |x: Reg| match registers.held[x] {
            Held::Same(word) => Some(Arg::Same(word)),
            _ => None,
        };
        let mut args = [Arg::Same(0); 3];
        for (arg, x) in args.iter_mut().zip(instr.operands()) {
            *arg = same(x)?;
        }
        let mut out = [0];
        self.apply(r, args, &mut out, &mut [[0], [0], [0]].each_mut().map(|s| s.as_mut_slice()));
        Some(Held::Same(out[0]))
    }

    fn arg<'a>(
        &self,
        r: Reg,
        chunk: &Chunk<'a>,
        registers: &'a Registers,
        outputs: &'a [&mut [u32]],
    ) -> Arg<'a> {
        match registers.held[r] {
            Held::Register => Arg::Each(&registers.words[self.places[r]][..chunk.len]),
            Held::Same(word) => Arg::Same(word),
            Held::Memory(operand, from) => Arg::Each(&chunk.reads.operands[operand][from..from + chunk.len]),
            Held::Before(output) => Arg::Each(chunk.here.before[output]),
            Held::Acc => Arg::Each(chunk.here.acc),
            Held::Output(i) => Arg::Each(&*outputs[i]),
        }
    }

    /// One instruction's loop.
    fn step(
        &self,
        r: Reg,
        chunk: &Chunk<'_>,
        registers: &mut Registers,
        outputs: &[&mut [u32]],
        out: &mut [u32],
    ) {
        let start = chunk.here.start;
        let runs = || self.views[r].as_ref().expect("what reads through a view has one");
        match &self.expr.instrs[r] {
            Instr::Load { operand, .. } if let Some(output) = self.taken_by(*operand) => {
                out.copy_from_slice(chunk.here.before[output]);
            }
            Instr::Load { operand, .. } => {
                runs().read(chunk.reads.operands[*operand], chunk.reads.origin(*operand), start, out);
            }
            Instr::Index(_) => runs().indices(start, out),
            Instr::Random { stream, .. } => {
                runs().indices(start, out);
                draw(out, chunk.reads.scalars[SEED_WORD], chunk.reads.scalars[STEP_WORD], *stream);
            }
            Instr::Masked { value, .. } => {
                match self.arg(*value, chunk, registers, outputs) {
                    Arg::Each(words) => out.copy_from_slice(words),
                    Arg::Same(word) => out.fill(word),
                }
                runs().clear_outside(start, out);
            }
            instr => {
                let mut spread = std::mem::take(&mut registers.spread);
                let mut args = [Arg::Same(0); 3];
                for (arg, x) in args.iter_mut().zip(instr.operands()) {
                    *arg = self.arg(x, chunk, registers, outputs);
                }
                self.apply(r, args, out, &mut spread.each_mut().map(|s| &mut s[..]));
                registers.spread = spread;
            }
        }
    }

    /// Arithmetic on arguments that are at hand.
    fn apply(&self, r: Reg, [a, b, c]: [Arg<'_>; 3], out: &mut [u32], spread: &mut [&mut [u32]; 3]) {
        let dtype = self.expr.dtypes[r];
        let n = out.len();
        let [sa, sb, sc] = spread.each_mut().map(|s| &mut s[..n]);
        match &self.expr.instrs[r] {
            Instr::Unary(kind, _) => {
                unary(*kind, bytemuck::cast_slice(a.spread(sa)), bytemuck::cast_slice_mut(out));
            }
            Instr::Binary(kind, ..) => match dtype {
                DType::F32 => binary(*kind, a, b, bytemuck::cast_slice_mut(out), [sa, sb]),
                _ => {
                    let (a, b) = (bytemuck::cast_slice(a.spread(sa)), bytemuck::cast_slice(b.spread(sb)));
                    binary_i32(*kind, a, b, bytemuck::cast_slice_mut(out));
                }
            },
            Instr::Compare(kind, x, _) => {
                let (a, b) = (a.spread(sa), b.spread(sb));
                match self.expr.dtypes[*x] {
                    DType::F32 => {
                        compare::<f32>(*kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out);
                    }
                    DType::I32 => {
                        compare::<i32>(*kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out);
                    }
                    DType::Bool => compare(*kind, a, b, out),
                }
            }
            Instr::Select(..) => select(a.spread(sa), b.spread(sb), c.spread(sc), out),
            Instr::Cast(x) => cast(self.expr.dtypes[*x], dtype, a.spread(sa), out),
            _ => unreachable!("read by `step` or at hand"),
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
