//! Runs a [`Program`]: all rows in blocks, or a range of elements.

use super::lane::{Extent, Lane, apply, fold};
use super::{Action, Load, Node, Operand, Part, Program, Stream, Target};
use crate::cpu::output::Shared;
use crate::cpu::prefetch::Prefetch;
use crate::cpu::vectors::dispatch;
use crate::cpu::{AlignedVec, Reads};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Elements of a block's widest value, if that is more than a row: they fit the L1 cache.
pub(super) const BLOCK: usize = 1024;
/// Elements requested at once by callers of ranges.
pub(crate) const CHUNK: usize = 2048;

thread_local! {
    /// A thread's own blocks, and the operations under way.
    static OWN: RefCell<(AlignedVec<u32>, Vec<Found>)> = const { RefCell::new((AlignedVec::new(), Vec::new())) };
}

impl Program {
    /// Rows of a chain.
    ///
    /// # Safety
    /// Outputs must belong to the chain and outlive the call, and nothing else may access these rows of them
    /// meanwhile.
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

    /// Runs over outputs starting with their element `origin`.
    fn run(&self, over: Over, origin: usize, reads: Reads<'_>, outputs: &[Shared]) {
        OWN.with_borrow_mut(|(blocks, found)| {
            let blocks = Shared::new(blocks.at_least(self.block_words));
            let span = Span { first: 0, count: 0, part: None };
            found.clear();
            found.reserve_exact(self.nodes.len());
            dispatch(Run {
                place: Place { program: self, reads, span, origin, blocks, outputs },
                over,
                found,
            });
        });
    }
}

/// Contiguous rows, or a part of one row.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    count: usize,
    /// First element and length of a part.
    part: Option<(usize, usize)>,
}

impl Span {
    /// Takes the first block off; there is one.
    #[inline(always)]
    fn split(&mut self, rows: usize) -> Self {
        let mut block = *self;
        match &mut self.part {
            Some((at, left)) => {
                let n = BLOCK.min(*left);
                (*at, *left, block.part) = (*at + n, *left - n, Some((*at, n)));
                self.count = usize::from(*left > 0);
            }
            None => {
                block.count = rows.min(self.count);
                (self.first, self.count) = (self.first + block.count, self.count - block.count);
            }
        }
        block
    }
}

/// Remaining work.
enum Over {
    Rows(Range<usize>),
    Elements(Range<usize>),
}

impl Over {
    /// The next blocks with equal distances between operands: rows, or parts of one.
    #[inline(always)]
    fn next(&mut self, program: &Program) -> Option<Span> {
        let wide = program.wide;
        let (Self::Rows(left) | Self::Elements(left)) = &*self;
        if left.is_empty() {
            return None;
        }
        match self {
            Self::Rows(left) => {
                let (first, count) = (left.start, if program.regular { left.len() } else { 1 });
                left.start += count;
                Some(Span { first, count, part: None })
            }
            Self::Elements(left) => {
                let (first, at) = (left.start / wide, left.start % wide);
                if at == 0 && wide <= left.len().min(BLOCK) {
                    let count = if program.regular { left.len() / wide } else { 1 };
                    left.start += count * wide;
                    return Some(Span { first, count, part: None });
                }
                let n = left.len().min(wide - at);
                left.start += n;
                Some(Span { first, count: 1, part: Some((at, n)) })
            }
        }
    }
}

/// An operation with resolved operands and result: their addresses in the current block, and the distance to
/// the next.
pub(super) struct Found {
    node: usize,
    lanes: [Lane; 3],
    to: Lane,
    prefetch: Prefetch,
    /// Words between the prefetched addresses of one block and the next.
    onward: usize,
}

struct Run<'p, 'a> {
    place: Place<'p, 'a>,
    over: Over,
    found: &'p mut Vec<Found>,
}

impl WithSimd for Run<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) {
        let Self { mut place, mut over, found } = self;
        let program = place.program;
        while let Some(mut left) = over.next(program) {
            place.find(left, found);
            while left.count > 0 {
                place.span = left.split(program.block);
                for op in found.iter_mut() {
                    #[expect(unsafe_code, reason = "operands without bounds checks")]
                    // SAFETY: `find` has checked that operands and results lie in their memory, in all
                    // blocks; an operation's result is none of its operands.
                    unsafe {
                        place.apply(s, op);
                    }
                    op.lanes.iter_mut().chain([&mut op.to]).for_each(Lane::advance);
                    op.prefetch = op.prefetch.plus(op.onward);
                }
            }
        }
    }
}

/// A block of the run.
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

impl Place<'_, '_> {
    pub(super) fn rows(&self) -> usize {
        self.span.count
    }

    /// Elements per row of the block, for a value of this width.
    #[inline(always)]
    pub(super) fn width(&self, width: usize) -> usize {
        match self.span.part {
            Some((_, n)) if width == self.program.wide => n,
            _ => width,
        }
    }

    /// Index of the block's first element in a value of this width.
    #[inline(always)]
    pub(super) fn start(&self, width: usize) -> usize {
        match self.span.part {
            Some((at, _)) if width == self.program.wide => self.span.first * width + at,
            _ => self.span.first * width,
        }
    }

    /// One of two spare blocks.
    #[inline(always)]
    #[expect(unsafe_code, reason = "blocks of one piece of memory are no slices")]
    pub(super) fn spare<'x>(&self, i: usize, n: usize) -> &'x mut [u32] {
        // SAFETY: memory behind all slots, asked for by one operation at a time, once each.
        unsafe {
            self.blocks.row(self.program.spare + i * (self.program.block_words - self.program.spare) / 2, n)
        }
    }

    /// An operation on the block.
    ///
    /// # Safety
    /// It is found for the block, and its operands and result lie in their memory.
    #[inline(always)]
    #[expect(unsafe_code, reason = "operands without bounds checks")]
    unsafe fn apply<S: Simd>(&self, s: S, op: &Found) {
        let node = &self.program.nodes[op.node];
        let (rows, width) = (self.rows(), self.width(node.width));
        let out = op.to.first.cast_mut();
        // SAFETY: the caller's promise; no reference lives longer than the operation.
        unsafe {
            match node.action {
                Action::Apply(f) => apply(s, f, &op.lanes, Extent { rows, width }, out, op.prefetch),
                Action::Fold(kind, f) => {
                    let out = std::slice::from_raw_parts_mut(out, rows);
                    fold(s, kind, f, &op.lanes, self.width(node.reads), out, op.prefetch);
                }
                _ => self.scalar(node, &op.lanes, std::slice::from_raw_parts_mut(out, rows * width)),
            }
        }
    }

    /// Finds all operations' operands and results in neighbouring blocks.
    fn find(&mut self, all: Span, found: &mut Vec<Found>) {
        // Addresses in the first block, the largest one.
        let mut rest = all;
        self.span = rest.split(self.program.block);
        let nodes = self.program.nodes.iter().enumerate().filter(|(_, n)| n.width > 0);
        found.clear();
        found.extend(nodes.map(|(n, node)| {
            let lanes = [0, 1, 2].map(|i| self.lane(&node.args[i], node.reads, all));
            // Operations without a prefetch use an operand's own address: prefetching an invalid address is
            // slow.
            let here = (Prefetch::read(lanes[0].first, 0), lanes[0].step);
            let (prefetch, onward) = node.prefetch.map_or(here, |part| self.prefetch(part, all));
            Found { node: n, lanes, to: self.elements(node.to, node.width, all), prefetch, onward }
        }));
    }

    /// Words between blocks, for an operand with `row` words between rows.
    fn step(&self, row: usize, width: usize) -> usize {
        match self.span.part {
            Some((_, n)) => {
                if width == self.program.wide {
                    n
                } else {
                    0
                }
            }
            None => self.program.block * row,
        }
    }

    /// Address of the elements of a result with `width` elements per row.
    fn elements(&self, to: Target, width: usize, all: Span) -> Lane {
        let own = self.width(width);
        let (first, step) = match to {
            Target::Slot(i) => (self.blocks.place(self.program.slots[i], self.span.count * own), 0),
            Target::Output(o) => {
                let n = match all.part {
                    Some((_, n)) if width == self.program.wide => n,
                    _ => all.count * width,
                };
                (self.outputs[o].place(self.start(width) - self.origin, n), self.step(width, width))
            }
        };
        Lane { first, pitch: own, same: false, step }
    }

    /// Address of an operand with `width` elements per row.
    fn lane(&self, from: &Operand, width: usize, all: Span) -> Lane {
        let word = |word: &u32| Lane { first: word, ..Lane::NONE };
        match from {
            Operand::Nowhere => Lane::NONE,
            Operand::Node(n) => {
                let Node { to, width: own, .. } = self.program.nodes[*n];
                if own == 0 {
                    // Rows without elements stand nowhere.
                    return Lane { same: false, ..Lane::NONE };
                }
                let lane = self.elements(to, own, all);
                Lane { same: lane.pitch == 1 && self.width(width) > 1, ..lane }
            }
            Operand::Before(o) => self.elements(Target::Output(*o), self.program.outputs[*o], all),
            Operand::Load(l) => {
                let Load { operand, rows } = &self.program.loads[*l];
                // Operands without a pitch are read one row at a time.
                let (pitch, same) = (rows.pitch().unwrap_or(0), rows.same);
                let (at, n) = match all.part {
                    _ if same => (0, 1),
                    Some(part) => part,
                    None => (0, width),
                };
                let first = rows.place(all.first) + at;
                let words = &self.reads.operands[*operand][first..][..(all.count - 1) * pitch + n];
                let step = self.step(pitch, if same { 0 } else { width });
                Lane { first: words.as_ptr(), pitch, same, step }
            }
            Operand::Word(w) => word(w),
            Operand::Scalar(w) => word(&self.reads.scalars[*w]),
        }
    }

    /// A share of a stream's memory for the next block, and the distance to the one after it. An address
    /// only: at the end there is no next block.
    fn prefetch(&self, Part { stream, part, shift }: Part, all: Span) -> (Prefetch, usize) {
        let wide = self.program.wide;
        let (prefetch, step) = match stream {
            Stream::Load(l) => {
                let Load { operand, rows } = &self.program.loads[l];
                let at = rows.place(all.first) + all.part.map_or(0, |p| p.0);
                let first = self.reads.operands[*operand].as_ptr().wrapping_add(at);
                (Prefetch::read(first, shift), self.step(rows.pitch().unwrap_or(0), wide))
            }
            Stream::Output(o) => {
                let lane = self.elements(Target::Output(o), wide, all);
                (Prefetch::written(lane.first, shift), lane.step)
            }
        };
        (prefetch.plus(step + part * ((self.span.count * self.width(wide)) >> shift)), step)
    }
}
