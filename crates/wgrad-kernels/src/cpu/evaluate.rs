//! Runs [`Code`]: a block of elements passes through all instructions before the next block begins, so that what stands
//! between instructions stays in the first-level cache, and memory is read and written while others are computed.

use super::ahead::Ahead;
use super::chunk::{CHUNK, Chunk, Code, To, Value};
use super::lanes::{Arg, binary, binary_i32, cast, compare, select, unary};
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
const BLOCK: usize = 1024;

/// A thread's blocks.
#[derive(Default)]
pub(super) struct Blocks {
    locals: Vec<Lines<u32>>,
    /// For operands that a loop needs element by element although they are all the same.
    spread: [Lines<u32>; 3],
    /// What comes and goes through memory over a segment.
    streams: Vec<Ahead>,
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
        let Self { code, chunk, kept, blocks: Blocks { locals, spread, streams }, results } = self;
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
            let n = code.segment(chunk.here.start + at, chunk.len - at);
            code.at_hand.iter().for_each(|&r| values[r] = code.value(r, at, n, &chunk));
            // Each loop asks for the next block of one stream.
            if n >= BLOCK {
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
            // What has one value over all of the segment first, then everything a block at a time.
            let mut singles = code.single.iter();
            let mut b = 0;
            while b < n {
                let single = singles.next();
                let (lines, m) = match single {
                    Some(line) => (std::slice::from_ref(line), 1),
                    None => (&code.lines[..], BLOCK.min(n - b)),
                };
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
                    for (arg, x) in args.iter_mut().zip(instr.operands()) {
                        *arg = match values[x] {
                            Value::Each(words) => Arg::Each(&words[b..b + m]),
                            Value::Same(word) => Arg::Same(word),
                            Value::Local(l) => Arg::Each(&locals[l][..m]),
                            Value::Result(i) => Arg::Each(&results[i][at + b..at + b + m]),
                        };
                    }
                    match instr {
                        Instr::Unary(..)
                        | Instr::Binary(..)
                        | Instr::Compare(..)
                        | Instr::Select(..)
                        | Instr::Cast(_) => {
                            let ahead =
                                turns.next().map_or(Ahead::none(), |stream: &Ahead| stream.after(b + m));
                            apply(s, code.expr, line.r, args, out, spread, ahead);
                        }
                        _ => read(code, line.r, args[0], chunk.here.start + at + b, &chunk.reads, out),
                    }
                    if single.is_some() {
                        values[line.r] = Value::Same(out[0]);
                    }
                    match line.to {
                        To::Local(l) => locals[l] = local,
                        To::Result(i) => results[i] = result,
                    }
                }
                if single.is_some() {
                    continue;
                }
                for &(i, r) in &code.copies {
                    let result = take(&mut results[i]);
                    let out = &mut result[at + b..at + b + m];
                    match values[r] {
                        Value::Each(words) => out.copy_from_slice(&words[b..b + m]),
                        Value::Same(word) => out.fill(word),
                        Value::Local(l) => out.copy_from_slice(&locals[l][..m]),
                        Value::Result(j) => out.copy_from_slice(&results[j][at + b..at + b + m]),
                    }
                    results[i] = result;
                }
                b += m;
            }
            at += n;
        }
    }
}

/// Writes out what an instruction reads through a view, from element `start` on.
fn read(code: &Code<'_>, r: Reg, arg: Arg<'_>, start: usize, reads: &Reads<'_>, out: &mut [u32]) {
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
            match arg {
                Arg::Each(words) => out.copy_from_slice(words),
                Arg::Same(word) => out.fill(word),
            }
            runs.clear_outside(start, out);
        }
        _ => runs.indices(start, out),
    }
}

/// Arithmetic.
#[inline(always)]
fn apply<S: Simd>(
    s: S,
    expr: &Expr,
    r: Reg,
    [a, b, c]: [Arg<'_>; 3],
    out: &mut [u32],
    spread: &mut [Lines<u32>; 3],
    ahead: Ahead,
) {
    let (dtype, n) = (expr.dtypes[r], out.len());
    let [sa, sb, sc] = spread;
    let (sa, sb, sc) = (&mut sa[..n], &mut sb[..n], &mut sc[..n]);
    match &expr.instrs[r] {
        Instr::Unary(kind, _) => {
            unary(s, *kind, bytemuck::cast_slice(a.spread(sa)), bytemuck::cast_slice_mut(out), ahead);
        }
        Instr::Binary(kind, ..) => match dtype {
            DType::F32 => binary(s, *kind, a, b, bytemuck::cast_slice_mut(out), [sa, sb], ahead),
            _ => {
                let (a, b) = (bytemuck::cast_slice(a.spread(sa)), bytemuck::cast_slice(b.spread(sb)));
                binary_i32(*kind, a, b, bytemuck::cast_slice_mut(out));
            }
        },
        Instr::Compare(kind, x, _) => {
            let (a, b) = (a.spread(sa), b.spread(sb));
            match expr.dtypes[*x] {
                DType::F32 | DType::F16 => {
                    compare::<f32>(*kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out);
                }
                DType::I32 => {
                    compare::<i32>(*kind, bytemuck::cast_slice(a), bytemuck::cast_slice(b), out);
                }
                DType::Bool => compare(*kind, a, b, out),
            }
        }
        Instr::Select(..) => select(a.spread(sa), b.spread(sb), c.spread(sc), out),
        Instr::Cast(x) => cast(expr.dtypes[*x], dtype, a.spread(sa), out),
        _ => unreachable!("not arithmetic"),
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
