//! Prepared element-wise code: the instructions of an expression, or of all links of a row chain, as one list
//! of operations on rows. Neighbours with a common loop are one operation, and every value has a place. A
//! block of rows passes through all operations before the next begins, so that intermediate values stay in
//! the L1 cache (`run.rs`).

mod build;
mod combine;
mod lane;
mod run;
mod scalar;
#[cfg(test)]
mod tests;

use super::Reads;
use super::prefetch::Prefetch;
use super::view::{Rows, Runs};
use lane::{Function, Lane};
use pulp::Simd;
pub(super) use run::CHUNK;
use run::Found;
use wgrad_graph::ops::{BinaryKind, CompareKind, ReduceKind, UnaryKind};
use wgrad_types::DType;

/// Operand of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    Nowhere,
    /// Result of an operation.
    Node(usize),
    /// An operand of the kernel, by number of its load.
    Load(usize),
    /// Content of this output's memory on entry.
    Before(usize),
    Word(u32),
    /// A word of the scalars.
    Scalar(usize),
}

/// An operand's rows in memory.
#[derive(Debug, PartialEq, Eq)]
struct Load {
    operand: usize,
    rows: Rows,
}

/// Action of an operation.
#[derive(Debug)]
enum Action {
    Apply(Function),
    /// Reduces a function of a row.
    Fold(ReduceKind, Function),
    /// Loops over single elements.
    Compare(CompareKind),
    Cast(DType),
    Whole(BinaryKind),
    Slow(UnaryKind),
    Power,
    /// Reads memory through a view without rows.
    Gather(usize, Runs),
    /// A value of the chain through such a view.
    Within(Runs),
    Masked(Runs),
    Index(Runs),
    Random(Runs, u32),
}

/// An operation on rows.
#[derive(Debug)]
struct Node {
    action: Action,
    args: [Operand; 3],
    /// Elements read and written per row; none if another operation does its work.
    reads: usize,
    width: usize,
    dtype: DType,
    to: Target,
    /// Share of the next block's memory to prefetch meanwhile.
    prefetch: Option<Part>,
}

/// A sequential stream through memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Load(usize),
    Output(usize),
}

/// A share of a block's elements of a stream; the number of shares is a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    stream: Stream,
    part: usize,
    shift: u32,
}

/// Target of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// A thread's own block of this number.
    Slot(usize),
    Output(usize),
}

/// Sums or extremes of contiguous rows of `width` elements, one each.
#[inline(always)]
pub(super) fn fold_rows<S: Simd>(s: S, kind: ReduceKind, rows: &[u32], width: usize, out: &mut [u32]) {
    assert_eq!(rows.len(), out.len() * width, "a row a result");
    let lane = Lane { first: rows.as_ptr(), pitch: width, same: false, step: 0 };
    #[expect(unsafe_code, reason = "operands without bounds checks")]
    // SAFETY: there are as many rows.
    unsafe {
        lane::fold(
            s,
            kind,
            Function::Copy,
            &[lane, Lane::NONE, Lane::NONE],
            width,
            out,
            Prefetch::read(rows.as_ptr(), 0),
        );
    }
}

/// A list of operations.
#[derive(Debug, Default)]
pub(super) struct Program {
    nodes: Vec<Node>,
    loads: Vec<Load>,
    /// First word of each slot in a thread's blocks; then those of two spare ones, and the total.
    slots: Vec<usize>,
    spare: usize,
    block_words: usize,
    /// Elements per row of each output.
    outputs: Vec<usize>,
    /// Elements of the widest row, and rows per block.
    wide: usize,
    block: usize,
    /// True if every operand's rows are evenly spaced.
    regular: bool,
    /// The load, if it is the only result and nothing is computed.
    bare: Option<usize>,
}

impl Program {
    fn add(&mut self, action: Action, args: [Operand; 3], width: usize, dtype: DType) -> Operand {
        self.nodes.push(Node {
            action,
            args,
            reads: width,
            width,
            dtype,
            to: Target::Slot(usize::MAX),
            prefetch: None,
        });
        Operand::Node(self.nodes.len() - 1)
    }

    /// Words of a thread's blocks, and of its list of active operations.
    pub(super) fn scratch_words(&self) -> [usize; 2] {
        [self.block_words, self.nodes.len() * size_of::<Found>() / 4]
    }

    /// Elements per row of each output.
    pub(super) fn outputs(&self) -> &[usize] {
        &self.outputs
    }

    /// Elements `start .. start + len` of the result, if they are contiguous in an operand.
    pub(super) fn plain<'a>(&self, start: usize, len: usize, reads: Reads<'a>) -> Option<&'a [u32]> {
        let load = &self.loads[self.bare?];
        let (row, at) = (start / self.wide, start % self.wide);
        let from = load.rows.place(row) + at;
        let side_by_side = at + len <= self.wide || load.rows.pitch() == Some(self.wide);
        (!load.rows.same && side_by_side).then(|| &reads.operands[load.operand][from..][..len])
    }

    /// True if an operand is one word per row.
    fn same(&self, from: Operand) -> bool {
        match from {
            Operand::Node(n) => self.nodes[n].width == 1,
            Operand::Load(l) => self.loads[l].rows.same,
            Operand::Before(o) => self.outputs.get(o) == Some(&1),
            Operand::Nowhere | Operand::Word(_) | Operand::Scalar(_) => true,
        }
    }

    /// Gives every result a slot, reused after its last reader. A slot holds at most `most` elements of a
    /// row.
    fn place(&mut self, most: usize) {
        let mut last: Vec<usize> = (0..self.nodes.len()).collect();
        for (n, node) in self.nodes.iter().enumerate() {
            for from in node.args {
                if let Operand::Node(x) = from {
                    last[x] = n;
                }
            }
        }
        let (mut free, mut widths): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for n in (0..self.nodes.len()).filter(|&n| self.nodes[n].width > 0).collect::<Vec<_>>() {
            if matches!(self.nodes[n].to, Target::Slot(_)) {
                let slot = free.pop().unwrap_or_else(|| {
                    widths.push(0);
                    widths.len() - 1
                });
                widths[slot] = widths[slot].max(self.nodes[n].width);
                self.nodes[n].to = Target::Slot(slot);
            }
            let over = (0..=n).filter(|&x| last[x] == n && self.nodes[x].width > 0);
            free.extend(over.filter_map(|x| match self.nodes[x].to {
                Target::Slot(slot) => Some(slot),
                Target::Output(_) => None,
            }));
        }
        // Each begins a cache line.
        let words = |width: usize| (self.block * width.min(most)).next_multiple_of(16);
        for width in widths {
            self.slots.push(self.spare);
            self.spare += words(width);
        }
        self.block_words = self.spare + 2 * words(self.wide);
    }

    /// Distributes the prefetches of the next block evenly over all loops, so that memory is busy all the
    /// time.
    fn deal(&mut self, rows: usize) {
        let in_order = |pitch: Option<usize>| rows == 1 || pitch == Some(self.wide);
        let wide = |&l: &usize| !self.loads[l].rows.same && in_order(self.loads[l].rows.pitch());
        let loads = (0..self.loads.len()).filter(wide).map(Stream::Load);
        let outputs = (0..self.outputs.len()).filter(|&o| self.outputs[o] == self.wide).map(Stream::Output);
        let streams: Vec<Stream> = loads.chain(outputs).collect();
        let wide = self.wide;
        let asks = |action: &Action| matches!(action, Action::Apply(_) | Action::Fold(ReduceKind::Sum, _));
        let asking = |n: &&mut Node| n.width > 0 && n.reads == wide && asks(&n.action);
        let mut loops: Vec<&mut Node> = self.nodes.iter_mut().filter(asking).collect();
        let shift = (loops.len() / streams.len().max(1)).max(1).ilog2();
        let part = |i: usize| Part { stream: streams[i >> shift], part: i % (1 << shift), shift };
        let (parts, n) = (streams.len() << shift, loops.len());
        for i in 0..parts.min(n) {
            loops[i * n / parts.min(n)].prefetch = Some(part(i));
        }
    }
}
