//! Runs a [`Program`]: all rows in blocks, or a range of elements.

use super::lane::{Lane, apply, fold};
use super::{From, Load, Program, Stream, To, What};
use crate::cpu::ahead::Ahead;
use crate::cpu::gemm::Shared;
use crate::cpu::tile::dispatch;
use crate::cpu::{Lines, Reads};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Elements of a block's widest value, where that is more than a row: few enough for the first-level cache.
pub(super) const BLOCK: usize = 1024;
/// Elements that those who ask for ranges ask for at once.
pub(crate) const CHUNK: usize = 2048;

thread_local! {
    /// A thread's own blocks.
    static BLOCKS: RefCell<Lines<u32>> = const { RefCell::new(Lines::new()) };
}

/// A block: rows, or a part of one.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    count: usize,
    /// First element and length where it is a part.
    part: Option<(usize, usize)>,
}

impl Program {
    /// Rows of a chain.
    ///
    /// # Safety
    /// Outputs are the chain's, live as long as the call, and nothing else touches these rows of them meanwhile.
    #[expect(unsafe_code, reason = "tasks' parts of several outputs")]
    pub(crate) unsafe fn rows(&self, rows: Range<usize>, reads: Reads<'_>, outputs: &[Shared]) {
        self.run(Over::Rows(rows), 0, reads, outputs);
    }

    /// Elements of an expression.
    ///
    /// # Safety
    /// Outputs are the expression's, live as long as the call, and nothing else touches these elements of them meanwhile.
    #[expect(unsafe_code, reason = "tasks' parts of several outputs")]
    pub(crate) unsafe fn elements(&self, elements: Range<usize>, reads: Reads<'_>, outputs: &[Shared]) {
        self.run(Over::Elements(elements), 0, reads, outputs);
    }

    /// Elements `start ..` of an expression with one output, as many as `out` has.
    pub(crate) fn range(&self, start: usize, reads: Reads<'_>, out: &mut [u32]) {
        assert_eq!(self.outputs.len(), 1, "an expression with one output");
        let elements = start..start + out.len();
        self.run(Over::Elements(elements), start, reads, &[Shared::new(out)]);
    }

    /// Runs over outputs that begin with their element `origin`.
    fn run(&self, over: Over, origin: usize, reads: Reads<'_>, outputs: &[Shared]) {
        BLOCKS.with_borrow_mut(|blocks| {
            let blocks = Shared::new(blocks.room(self.room));
            let span = Span { first: 0, count: 0, part: None };
            dispatch(Run { place: Place { program: self, reads, span, origin, blocks, outputs }, over });
        });
    }
}

/// What is left to do.
enum Over {
    Rows(Range<usize>),
    Elements(Range<usize>),
}

impl Over {
    /// The next block.
    #[inline(always)]
    fn next(&mut self, program: &Program) -> Option<Span> {
        let (block, wide) = (program.block, program.wide);
        let (Self::Rows(left) | Self::Elements(left)) = &*self;
        if left.is_empty() {
            return None;
        }
        match self {
            Self::Rows(left) => {
                let (first, count) = (left.start, block.min(left.len()));
                left.start += count;
                Some(Span { first, count, part: None })
            }
            Self::Elements(left) => {
                let (first, at) = (left.start / wide, left.start % wide);
                if at == 0 && wide <= left.len().min(BLOCK) {
                    let count = (left.len() / wide).min(block);
                    left.start += count * wide;
                    return Some(Span { first, count, part: None });
                }
                let n = left.len().min(wide - at).min(BLOCK);
                left.start += n;
                Some(Span { first, count: 1, part: Some((at, n)) })
            }
        }
    }
}

struct Run<'p, 'a> {
    place: Place<'p, 'a>,
    over: Over,
}

impl WithSimd for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { mut place, mut over } = self;
        let program = place.program;
        while let Some(span) = over.next(program) {
            place.span = span;
            for node in program.nodes.iter().filter(|n| n.width > 0) {
                let (reading, width) = (place.width(node.reads), place.width(node.width));
                let [a, b, c] = &node.args;
                let lanes = [place.lane(a, reading), place.lane(b, reading), place.lane(c, reading)];
                let (to, at, n) = place.elements(node.to, node.width);
                #[expect(unsafe_code, reason = "blocks of one piece of memory are no slices")]
                // SAFETY: an operation's result is none of its operands, and no reference lives longer than the operation.
                let out = unsafe { to.row(at, n) };
                let ahead = place.ahead(node.ahead);
                match node.what {
                    What::Apply(f) => apply(s, f, lanes, width, out, ahead),
                    What::Fold(kind, f) => fold(s, kind, f, lanes, reading, out, ahead),
                    _ => place.other(node, lanes, out),
                }
            }
        }
    }
}

/// A block of what is run.
#[derive(Clone, Copy)]
pub(super) struct Place<'p, 'a> {
    program: &'p Program,
    pub reads: Reads<'a>,
    span: Span,
    /// The outputs' first element.
    origin: usize,
    blocks: Shared,
    outputs: &'p [Shared],
}

impl<'p, 'a> Place<'p, 'a> {
    pub(super) fn rows(&self) -> usize {
        self.span.count
    }

    /// Elements a row of the block, of what has so many.
    #[inline(always)]
    pub(super) fn width(&self, width: usize) -> usize {
        match self.span.part {
            Some((_, n)) if width == self.program.wide => n,
            _ => width,
        }
    }

    /// The block's first element among all of what has so many a row.
    #[inline(always)]
    pub(super) fn start(&self, width: usize) -> usize {
        match self.span.part {
            Some((at, _)) if width == self.program.wide => self.span.first * width + at,
            _ => self.span.first * width,
        }
    }

    /// Where the elements of a result of `width` a row are, from which on, and how many.
    #[inline(always)]
    fn elements(&self, to: To, width: usize) -> (Shared, usize, usize) {
        let n = self.span.count * self.width(width);
        match to {
            To::Slot(i) => (self.blocks, self.program.slots[i], n),
            To::Output(o) => (self.outputs[o], self.start(width) - self.origin, n),
        }
    }

    /// Room for a block's elements, of which there are two.
    #[inline(always)]
    #[expect(unsafe_code, reason = "blocks of one piece of memory are no slices")]
    pub(super) fn spare<'x>(&self, i: usize, n: usize) -> &'x mut [u32] {
        // SAFETY: memory behind all slots, asked for by one operation at a time, once each.
        unsafe { self.blocks.row(self.program.spare + i * (self.program.room - self.program.spare) / 2, n) }
    }

    /// An operand of an operation on rows of `width`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "blocks of one piece of memory are no slices")]
    fn lane<'x>(&self, from: &'x From, width: usize) -> Lane<'x>
    where
        'a: 'x,
    {
        match *from {
            From::Nowhere => Lane::NONE,
            From::Node(n) => {
                let node = &self.program.nodes[n];
                if node.width == 0 {
                    return Lane { words: &[], pitch: 0, same: false };
                }
                let own = self.width(node.width);
                let (from, at, n) = self.elements(node.to, node.width);
                // SAFETY: no operation writes its operands.
                let words = unsafe { from.words(at, n) };
                Lane { words, pitch: own, same: own == 1 && width > 1 }
            }
            From::Before(o) => {
                let own = self.program.outputs[o];
                let (from, at, n) = self.elements(To::Output(o), own);
                // SAFETY: as above: what takes an operand's memory is written when all else is done.
                let words = unsafe { from.words(at, n) };
                Lane { words, pitch: self.width(own), same: false }
            }
            From::Load(l) => {
                let Load { operand, rows } = &self.program.loads[l];
                let at = match self.span.part {
                    Some((at, _)) if !rows.same => at,
                    _ => 0,
                };
                let words = &self.reads.operands[*operand][rows.place(self.span.first) + at..];
                // What has no pitch goes a row at a time.
                Lane { words, pitch: rows.pitch().unwrap_or(0), same: rows.same }
            }
            From::Word(ref word) => Lane { words: std::slice::from_ref(word), pitch: 0, same: true },
            From::Scalar(word) => Lane { words: &self.reads.scalars[word..=word], pitch: 0, same: true },
        }
    }

    /// What the next block reads or writes of a stream of memory.
    #[inline(always)]
    fn ahead(&self, stream: Option<Stream>) -> Ahead {
        let next = self.span.count * self.width(self.program.wide);
        match stream {
            None => Ahead::none(),
            Some(Stream::Load(l)) => {
                let load = From::Load(l);
                Ahead::of(self.lane(&load, 0).words).after(next)
            }
            Some(Stream::Output(o)) => {
                let (to, at, n) = self.elements(To::Output(o), self.program.wide);
                Ahead::at(to.place(at, n)).after(next)
            }
        }
    }
}
