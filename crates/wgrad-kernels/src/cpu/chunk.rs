//! An [`Expr`] made ready: where each value comes from and goes to. [`super::evaluate`] runs it a chunk of elements at
//! a time.
//!
//! What already stands in memory in order is read there, what is one value for all of a row (constants, its statistics) is
//! computed once, and results are written where they belong, so that only arithmetic makes loops.

use super::Reads;
use super::evaluate::{BLOCK, Evaluate, with_own};
use super::lanes::OUTSIDE;
use super::tile::dispatch;
use super::view::{Runs, Stretch};
use crate::expr::{Expr, Instr, Reg};
use wgrad_types::{DType, View};

/// Elements evaluated together at most.
pub(crate) const CHUNK: usize = 2048;
/// Rows shorter than this are not worth a loop of their own.
const SHORT_ROW: usize = 32;

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
pub(super) struct Chunk<'a> {
    pub len: usize,
    pub here: Here<'a>,
    pub reads: Reads<'a>,
}

/// An instruction that makes a loop, and where its values go.
pub(super) struct Line {
    pub r: Reg,
    pub to: To,
}

#[derive(Clone, Copy)]
pub(super) enum To {
    /// A block of a thread's own, taken again after the last use, so that few are in the cache.
    Local(usize),
    /// A result of the expression.
    Result(usize),
}

/// A part of a chunk: rows of equally many elements, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub n: usize,
    pub row: usize,
}

/// Where an instruction's values over a field are.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// Side by side, from the field's first.
    Each(&'a [u32]),
    Same(u32),
    /// One a row, in the list of such from this one on, or in a block.
    PerRow(usize),
    PerRowLocal(usize),
    /// In these words, each row somewhere else: in the list of places from this one on.
    Rows(&'a [u32], usize),
    Local(usize),
    Result(usize),
}

/// An expression with its views made ready.
pub(crate) struct Code<'e> {
    pub(super) expr: &'e Expr,
    pub(super) views: Vec<Option<Runs>>,
    /// Per operand the output whose memory holds it on entry.
    taken: Vec<Option<usize>>,
    /// Elements after which views jump or broadcast values change.
    row: Option<usize>,
    /// Instructions whose values stand somewhere already, or are one value.
    pub(super) at_hand: Vec<Reg>,
    /// Arithmetic that has one value over a segment, since all that it reads has.
    pub(super) single: Vec<Line>,
    pub(super) lines: Vec<Line>,
    /// Results whose values are made elsewhere.
    pub(super) copies: Vec<(usize, Reg)>,
    pub(super) locals: usize,
}

impl<'e> Code<'e> {
    /// The code of an iteration shape; `in_place` as in `Step`.
    pub(crate) fn new(expr: &'e Expr, in_place: &[Option<usize>], shape: &[usize]) -> Self {
        let views = |i: &Instr| match i {
            Instr::Load { view, .. } | Instr::Index(view) | Instr::Random { view, .. } => {
                Some(Runs::new(view))
            }
            Instr::Masked { mask, .. } => {
                Some(Runs::new(&View { mask: Some(mask.clone()), ..View::contiguous(shape) }))
            }
            _ => None,
        };
        let views: Vec<Option<Runs>> = expr.instrs.iter().map(views).collect();
        let most = in_place.iter().flatten().max().map_or(0, |m| m + 1);
        let taken: Vec<Option<usize>> =
            (0..most).map(|j| in_place.iter().position(|p| *p == Some(j))).collect();
        let mut code = Self {
            expr,
            views,
            taken,
            row: None,
            at_hand: Vec::new(),
            single: Vec::new(),
            lines: Vec::new(),
            copies: Vec::new(),
            locals: 0,
        };
        code.place();
        code
    }

    /// Decides where every value is.
    fn place(&mut self) {
        let (expr, count) = (self.expr, self.expr.instrs.len());
        let load =
            |r: &Reg| expr.instrs[*r].load().is_some_and(|(operand, _)| self.taken_by(operand).is_none());
        let run = |r: Reg| self.views[r].as_ref().and_then(Runs::run).filter(|&n| n >= SHORT_ROW);
        let row = (0..count).filter(load).filter_map(run).min().filter(|&n| n < usize::MAX);
        let fits = |n: usize| n == usize::MAX || row.is_none_or(|row| n.is_multiple_of(row));
        let ready = |r: Reg| match expr.instrs[r] {
            Instr::Acc | Instr::Const(_) | Instr::Scalar { .. } => true,
            Instr::Load { .. } => !load(&r) || run(r).is_some_and(fits),
            _ => false,
        };
        let (at_hand, made): (Vec<Reg>, Vec<Reg>) = (0..count).partition(|&r| ready(r));
        let mut same: Vec<bool> = (0..count)
            .map(|r| match expr.instrs[r] {
                Instr::Const(_) | Instr::Scalar { .. } => true,
                Instr::Load { .. } => {
                    load(&r) && ready(r) && self.views[r].as_ref().is_some_and(Runs::is_same)
                }
                _ => false,
            })
            .collect();
        let mut last: Vec<usize> = (0..count).collect();
        made.iter().for_each(|&r| expr.instrs[r].operands().for_each(|x| last[x] = r));
        let (mut places, mut free, mut locals) = (vec![None; count], Vec::new(), 0);
        for &r in &made {
            let instr = &expr.instrs[r];
            let result = expr.results.iter().position(|&x| x == r);
            let arithmetic = instr.load().is_none() && instr.operands().next().is_some();
            let masked = matches!(instr, Instr::Masked { .. });
            same[r] = result.is_none() && arithmetic && !masked && instr.operands().all(|x| same[x]);
            let mut new = || {
                locals += 1;
                locals - 1
            };
            if same[r] {
                // Computed before all others, so its block is its own.
                self.single.push(Line { r, to: To::Local(new()) });
                continue;
            }
            // A result's place is never one of its operands'.
            let to = match result {
                Some(i) => To::Result(i),
                None => To::Local(free.pop().unwrap_or_else(new)),
            };
            if let To::Local(l) = to {
                places[r] = Some(l);
            }
            self.lines.push(Line { r, to });
            free.extend((0..=r).filter(|&x| last[x] == r).filter_map(|x| places[x]));
        }
        let written = |i: usize| self.lines.iter().any(|l| matches!(l.to, To::Result(j) if j == i));
        self.copies =
            (0..expr.results.len()).filter(|&i| !written(i)).map(|i| (i, expr.results[i])).collect();
        (self.row, self.at_hand, self.locals) = (row, at_hand, locals);
    }

    /// Whether an output takes over an operand's memory.
    pub(crate) fn in_place(&self) -> bool {
        !self.taken.is_empty()
    }

    /// The output whose memory an operand's elements stand in.
    fn taken_by(&self, operand: usize) -> Option<usize> {
        self.taken.get(operand).copied().flatten()
    }

    /// Elements of the chunk that begins at `start` where `left` are left: whole rows, or pieces of one that do not reach
    /// into the next.
    pub(crate) fn chunk(&self, start: usize, left: usize) -> usize {
        let Some(row) = self.row else { return CHUNK.min(left) };
        let at = start % row;
        if row > CHUNK {
            let piece = row.div_ceil(row.div_ceil(CHUNK)).next_multiple_of(16);
            return (piece - at % piece).min(row - at).min(left);
        }
        if at == 0 { (CHUNK / row * row).min(left) } else { (row - at).min(left) }
    }

    /// The field that begins at `start` where `left` are left in the chunk: several short rows, or what is left of one.
    pub(super) fn field(&self, start: usize, left: usize) -> Field {
        let Some(row) = self.row else { return Field { n: left, row: left } };
        let left_of_row = row - start % row;
        if left_of_row == row && 2 * row <= left.min(BLOCK) {
            return Field { n: left.min(BLOCK) / row * row, row };
        }
        let n = left_of_row.min(left);
        Field { n, row: n }
    }

    /// Evaluates `len <= CHUNK` elements into `outputs`, or where there are none into a thread's own memory, from where
    /// [`Code::result`] gives them out.
    pub(crate) fn eval(&self, len: usize, here: Here<'_>, reads: Reads<'_>, outputs: &mut [&mut [u32]]) {
        with_own(|own| {
            let kept = outputs.is_empty();
            let (blocks, own) = own.parts(self, kept);
            let mut results: Vec<&mut [u32]> = match kept {
                true => own.iter_mut().map(|own| &mut own[..len]).collect(),
                false => outputs.iter_mut().map(|out| &mut **out).collect(),
            };
            let (chunk, results) = (Chunk { len, here, reads }, &mut results[..]);
            dispatch(Evaluate { code: self, chunk, kept, blocks, results });
        });
    }

    /// Calls `f` with the elements of result `i` of the last [`Code::eval`] on this thread that had no outputs.
    pub(crate) fn result<R>(&self, i: usize, len: usize, f: impl FnOnce(&[u32]) -> R) -> R {
        with_own(|own| f(&own.kept(i)[..len]))
    }

    /// The elements of the only result, where it is an operand's that stand in memory side by side.
    pub(crate) fn plain<'a>(&self, len: usize, start: usize, reads: Reads<'a>) -> Option<&'a [u32]> {
        let (r, one) = (self.copies.first()?.1, self.expr.instrs.len() == 1);
        let (operand, _) = self.expr.instrs[r].load().filter(|_| one)?;
        match self.views[r].as_ref()?.stretch(start, len)? {
            Stretch::InOrder(from) => reads.operands[operand][from - reads.origin(operand)..].get(..len),
            _ => None,
        }
    }

    /// The value of an instruction that is at hand, over a field that begins `at` elements into the chunk; what differs by
    /// rows is added to the lists.
    pub(super) fn value<'a>(
        &self,
        r: Reg,
        at: usize,
        Field { n, row }: Field,
        chunk: &Chunk<'a>,
        words: &mut Vec<u32>,
        places: &mut Vec<usize>,
    ) -> Value<'a> {
        let (operand, runs) = match &self.expr.instrs[r] {
            Instr::Acc => return Value::Each(&chunk.here.acc[at..at + n]),
            Instr::Const(value) => return Value::Same(constant(*value, self.expr.dtypes[r])),
            Instr::Scalar { word } => return Value::Same(chunk.reads.scalars[*word]),
            Instr::Load { operand, .. } => match (self.taken_by(*operand), &self.views[r]) {
                (Some(output), _) => return Value::Each(&chunk.here.before[output][at..at + n]),
                (None, runs) => (*operand, runs.as_ref().expect("every load has a view")),
            },
            _ => unreachable!("not at hand"),
        };
        let (data, origin) = (chunk.reads.operands[operand], chunk.reads.origin(operand));
        let start = chunk.here.start + at;
        match runs.stretch(start, n) {
            Some(Stretch::Outside) => return Value::Same(0),
            Some(Stretch::Same(from)) => return Value::Same(data[from - origin]),
            Some(Stretch::InOrder(from)) => return Value::Each(&data[from - origin..from - origin + n]),
            None => {}
        }
        let stretch = |r: usize| runs.stretch(start + r * row, row).expect("a row lies in one run");
        if runs.is_same() {
            let first = words.len();
            words.extend((0..n / row).map(|r| match stretch(r) {
                Stretch::Same(from) | Stretch::InOrder(from) => data[from - origin],
                Stretch::Outside => 0,
            }));
            return Value::PerRow(first);
        }
        let first = places.len();
        places.extend((0..n / row).map(|r| match stretch(r) {
            Stretch::InOrder(from) | Stretch::Same(from) => from - origin,
            Stretch::Outside => OUTSIDE,
        }));
        Value::Rows(data, first)
    }
}

/// A constant's word.
pub(super) fn constant(value: f64, dtype: DType) -> u32 {
    match dtype {
        DType::F32 | DType::F16 => (value as f32).to_bits(),
        DType::I32 => (value as i32).cast_unsigned(),
        DType::Bool => u32::from(value != 0.0),
    }
}
