//! Runs [`Code`]: a block of elements passes through all instructions before the next block begins, so that what stands
//! between instructions stays in the first-level cache, and memory is read and written while others are computed.

use super::ahead::Ahead;
use super::chunk::{CHUNK, Chunk, Code, Field, Line, To, Value};
use super::lanes::{Arg, binary, binary_i32, cast, compared, select, unary};
use super::{Lines, Reads};
use crate::expr::{Expr, Instr, Reg};
use crate::{SEED_WORD, STEP_WORD};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::mem::take;
use wgrad_graph::philox;
use wgrad_types::DType;

/// Values of so few instructions stand on the stack.
const FEW: usize = 24;
/// Elements of a block.
pub(super) const BLOCK: usize = 1024;

/// A thread's blocks.
#[derive(Default)]
pub(super) struct Blocks {
    locals: Vec<Lines<u32>>,
    /// For operands that a loop needs element by element although they are all the same.
    spread: [Lines<u32>; 3],
    /// What comes and goes through memory over a field.
    streams: Vec<Ahead>,
    /// Of values that differ by rows, those of all rows of a field, or where they are.
    words: Vec<u32>,
    places: Vec<usize>,
}

/// What a thread keeps.
#[derive(Default)]
pub(super) struct Own {
    blocks: Blocks,
    results: Vec<Lines<u32>>,
}

impl Own {
    /// Room for code's blocks, and for its results where they are kept.
    pub(super) fn parts(&mut self, code: &Code<'_>, kept: bool) -> (&mut Blocks, &mut [Lines<u32>]) {
        let Blocks { locals, spread, .. } = &mut self.blocks;
        if locals.len() < code.locals {
            locals.resize_with(code.locals, Lines::default);
        }
        locals.iter_mut().chain(spread).for_each(|l| _ = l.room(BLOCK));
        let count = if kept { code.expr.results.len() } else { 0 };
        if self.results.len() < count {
            self.results.resize_with(count, Lines::default);
        }
        self.results[..count].iter_mut().for_each(|l| _ = l.room(CHUNK));
        (&mut self.blocks, &mut self.results[..count])
    }

    pub(super) fn kept(&self, i: usize) -> &[u32] {
        &self.results[i]
    }
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::new(Own::default());
}

pub(super) fn with_own<R>(f: impl FnOnce(&mut Own) -> R) -> R {
    OWN.with_borrow_mut(f)
}

/// A chunk to evaluate; each result has its length.
pub(super) struct Evaluate<'c, 'e, 'a, 'o> {
    pub code: &'c Code<'e>,
    pub chunk: Chunk<'a>,
    /// Whether results stay with the thread.
    pub kept: bool,
    pub blocks: &'c mut Blocks,
    pub results: &'c mut [&'o mut [u32]],
}

impl WithSimd for Evaluate<'_, '_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { code, chunk, kept, blocks, results } = self;
        let Blocks { locals, spread, streams, words: gathered, places } = blocks;
        let instrs = &code.expr.instrs;
        let (mut few, mut many) = ([Value::Same(0); FEW], Vec::new());
        let values = if instrs.len() <= FEW {
            &mut few[..]
        } else {
            many.resize(instrs.len(), Value::Same(0));
            &mut many[..]
        };
        for line in &code.lines {
            values[line.r] = match line.to {
                To::Local(l) => Value::Local(l),
                To::Result(i) => Value::Result(i),
            };
        }
        let mut at = 0;
        streams.clear();
        while at < chunk.len {
            let Field { n, row } = code.field(chunk.here.start + at, chunk.len - at);
            let rows = n / row;
            gathered.clear();
            places.clear();
            for &r in &code.at_hand {
                values[r] = code.value(r, at, Field { n, row }, &chunk, gathered, places);
            }
            // Each loop asks for the next block of one stream.
            if n >= BLOCK / 2 {
                streams.clear();
                streams.extend(code.at_hand.iter().filter_map(|&r| match values[r] {
                    Value::Each(words) => Some(Ahead::of(words)),
                    _ => None,
                }));
                if !kept {
                    streams.extend(results.iter().map(|out| Ahead::of(&out[at..])));
                }
            }
            let mut turns = streams.iter().cycle();
            // What has one value over a row first, for all rows together, then everything a block at a time.
            let mut singles = code.single.iter();
            let mut b = 0;
            while b < n {
                let single = singles.next();
                let (lines, m) = match single {
                    Some(line) => (std::slice::from_ref(line), rows),
                    None => (&code.lines[..], BLOCK.min(n - b)),
                };
                let row = if single.is_some() { 1 } else { row.min(m) };
                let part = Part { at, b, m, rows, gathered, places };
                for line in lines {
                    let instr = &instrs[line.r];
                    let (mut local, mut result): (Lines<u32>, &mut [u32]) = (Lines::new(), &mut []);
                    let out = match line.to {
                        To::Local(l) => {
                            local = take(&mut locals[l]);
                            &mut local[..m]
                        }
                        To::Result(i) => {
                            result = take(&mut results[i]);
                            &mut result[at + b..at + b + m]
                        }
                    };
                    let mut args = [Arg::Same(0); 3];
                    for (to, x) in args.iter_mut().zip(instr.operands()) {
                        *to = part.arg(values[x], locals, results, single);
                    }
                    match instr {
                        Instr::Unary(..)
                        | Instr::Binary(..)
                        | Instr::Compare(..)
                        | Instr::Select(..)
                        | Instr::Cast(_) => {
                            let ahead = match single {
                                Some(_) => Ahead::none(),
                                None => {
                                    turns.next().map_or(Ahead::none(), |stream: &Ahead| stream.after(b + m))
                                }
                            };
                            apply(s, code.expr, line.r, args, row, out, spread, ahead);
                        }
                        _ => {
                            let start = chunk.here.start + at + b;
                            read(code, line.r, args[0], row, start, &chunk.reads, out);
                        }
                    }
                    match line.to {
                        To::Local(l) => {
                            locals[l] = local;
                            if single.is_some() {
                                values[line.r] = Value::PerRowLocal(l);
                            }
                        }
                        To::Result(i) => results[i] = result,
                    }
                }
                if single.is_some() {
                    continue;
                }
                for &(i, r) in &code.copies {
                    let result = take(&mut results[i]);
                    let out = &mut result[at + b..at + b + m];
                    let value = part.arg(values[r], locals, results, None);
                    value.write(row, out);
                    results[i] = result;
                }
                b += m;
            }
            at += n;
        }
    }
}

/// A block of a field: where it begins in the chunk and in the field, how long it is, and what differs by the field's rows.
#[derive(Clone, Copy)]
struct Part<'a> {
    at: usize,
    b: usize,
    m: usize,
    rows: usize,
    gathered: &'a [u32],
    places: &'a [usize],
}

impl<'a> Part<'a> {
    /// A value over the block, or over its rows for what is computed once a row.
    #[inline(always)]
    fn arg(
        self,
        value: Value<'a>,
        locals: &'a [Lines<u32>],
        results: &'a [&mut [u32]],
        single: Option<&Line>,
    ) -> Arg<'a> {
        let Self { at, b, m, rows, gathered, places } = self;
        match value {
            Value::Each(words) => Arg::Each(&words[b..b + m]),
            Value::Same(word) => Arg::Same(word),
            Value::Local(l) => Arg::Each(&locals[l][..m]),
            Value::Result(i) => Arg::Each(&results[i][at + b..at + b + m]),
            Value::PerRow(first) => per_row(&gathered[first..][..rows], single),
            Value::PerRowLocal(l) => per_row(&locals[l][..rows], single),
            Value::Rows(words, first) => Arg::Rows(words, &places[first..][..rows]),
        }
    }
}

/// A value a row: an element each for what is computed once a row, and one for all where there is one row.
fn per_row<'a>(words: &'a [u32], single: Option<&Line>) -> Arg<'a> {
    match (single, words) {
        (Some(_), words) => Arg::Each(words),
        (None, &[word]) => Arg::Same(word),
        (None, words) => Arg::PerRow(words),
    }
}

/// Writes out what an instruction reads through a view, from element `start` on.
fn read(code: &Code<'_>, r: Reg, arg: Arg<'_>, row: usize, start: usize, reads: &Reads<'_>, out: &mut [u32]) {
    let runs = code.views[r].as_ref().expect("what reads through a view has one");
    match &code.expr.instrs[r] {
        Instr::Load { operand, .. } => {
            runs.read(reads.operands[*operand], reads.origin(*operand), start, out);
        }
        Instr::Random { stream, .. } => {
            runs.indices(start, out);
            draw(out, reads.scalars[SEED_WORD], reads.scalars[STEP_WORD], *stream);
        }
        Instr::Masked { .. } => {
            arg.write(row, out);
            runs.clear_outside(start, out);
        }
        _ => runs.indices(start, out),
    }
}

/// Arithmetic on operands in rows of `row` elements.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined into its one caller")]
fn apply<S: Simd>(
    s: S,
    expr: &Expr,
    r: Reg,
    [a, b, c]: [Arg<'_>; 3],
    row: usize,
    out: &mut [u32],
    spread: &mut [Lines<u32>; 3],
    ahead: Ahead,
) {
    let (dtype, n) = (expr.dtypes[r], out.len());
    let [sa, sb, sc] = spread;
    let (sa, sb, sc) = (&mut sa[..n], &mut sb[..n], &mut sc[..n]);
    match &expr.instrs[r] {
        Instr::Unary(kind, _) => {
            unary(s, *kind, bytemuck::cast_slice(a.spread(row, sa)), bytemuck::cast_slice_mut(out), ahead);
        }
        Instr::Binary(kind, ..) => match dtype {
            DType::F32 => binary(s, *kind, [a, b], row, bytemuck::cast_slice_mut(out), [sa, sb], ahead),
            _ => {
                let (a, b) =
                    (bytemuck::cast_slice(a.spread(row, sa)), bytemuck::cast_slice(b.spread(row, sb)));
                binary_i32(*kind, a, b, bytemuck::cast_slice_mut(out));
            }
        },
        Instr::Compare(kind, x, _) => {
            compared(*kind, expr.dtypes[*x], a.spread(row, sa), b.spread(row, sb), out);
        }
        Instr::Select(..) => select(a.spread(row, sa), b.spread(row, sb), c.spread(row, sc), out),
        Instr::Cast(x) => cast(expr.dtypes[*x], dtype, a.spread(row, sa), out),
        _ => unreachable!("not arithmetic"),
    }
}

/// Replaces element numbers by their draws; a Philox block gives four neighbours.
pub(super) fn draw(out: &mut [u32], seed: u32, step: u32, stream: u32) {
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
