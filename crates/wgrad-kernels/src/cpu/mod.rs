//! CPU twins: every step on the host, over rayon's threads, with `gemm` for what is shaped like a matrix product.
//!
//! Work is cut by shape, or by the number of threads where the cut changes no sum, and partial sums are added in a fixed
//! order: the bits are the same on any number of threads. Nothing here plans memory; slices come from the device.

mod aligned;
mod attention;
mod conv;
mod custom;
mod gather;
mod gemm;
mod map;
mod maxpool;
mod pack;
mod panel;
mod pool;
mod prefetch;
mod program;
mod real;
mod reduce;
mod row_chain;
mod scratch;
mod skinny;
mod sums;
mod tile;
mod vectors;
mod view;

pub use aligned::AlignedVec;
pub use scratch::ThreadScratch;
pub use vectors::choose_vectors;

use crate::{Core, Kernel};
use program::Program;
use smallvec::SmallVec;

/// Why a step has no result: a user's operation went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

/// A list that needs no memory of its own where it is short, as a step's operands and outputs are.
pub type SmallList<T> = SmallVec<[T; 16]>;

/// A step's memory on the host. Slices are whole tensors, 32-bit words.
pub struct CpuBuffers<'a> {
    /// One slice an operand; empty where an output takes the operand's memory over (`Kernel::in_place`).
    pub operands: SmallList<&'a [u32]>,
    /// One slice an output. Where in place it holds the operand's elements on entry.
    pub outputs: SmallList<&'a mut [u32]>,
    /// Seed, step number, then f32 scalars.
    pub scalars: &'a [u32],
    /// At least [`scratch_words`] words; contents arbitrary. Where the step keeps a packed operand, the words of [`packed`].
    pub scratch: &'a mut [u32],
    /// Whether `scratch` holds the operand packed by an earlier run of the step.
    pub packed: bool,
}

/// Where a twin has its weights in the order it reads them.
pub(crate) struct Packed<'a> {
    pub words: &'a mut [u32],
    /// Whether they are there already.
    pub done: bool,
}

/// What a step's runs have in common, made once: its element-wise code, and lists that follow from its shapes.
#[derive(Debug)]
pub struct Prepared {
    /// A reduction's prologue, or a chain of rows.
    first: Program,
    /// An element-wise step, or what comes after the core.
    last: Program,
    lists: Lists,
}

/// How a twin walks over memory.
#[derive(Debug)]
enum Lists {
    None,
    Conv(conv::Conv),
    Reduce(Vec<reduce::Group>),
    Gather(gather::Lookup),
    GatherGrad(gather::Lookup, view::Runs),
}

impl Lists {
    fn of(kernel: &Kernel) -> Self {
        match &kernel.core {
            Core::Conv2d(_) | Core::Conv2dInputGrad(_) | Core::Conv2dWeightGrad(_) => {
                conv::Conv::new(kernel).map_or(Self::None, Self::Conv)
            }
            Core::Reduce { axes, input_shape, .. } => Self::Reduce(reduce::groups(axes, input_shape)),
            Core::Gather { axis, index } => {
                Self::Gather(gather::Lookup::new(&kernel.operands[0].shape, *axis, index))
            }
            Core::GatherGrad { axis, dy, index } => {
                Self::GatherGrad(gather::Lookup::new(&kernel.shape, *axis, index), view::Runs::new(dy))
            }
            _ => Self::None,
        }
    }
}

impl Prepared {
    /// Of a step.
    pub fn new(kernel: &Kernel) -> Self {
        let after = |in_place: &[Option<usize>]| Program::expr(&kernel.epilogue, in_place, &kernel.shape);
        let (first, last) = match &kernel.core {
            Core::Map => (Program::default(), after(&kernel.in_place)),
            Core::RowChain(chain) => (Program::chain(chain), Program::default()),
            Core::Reduce { input_shape, prologue, .. } => {
                (Program::expr(prologue, &[], input_shape), after(&[]))
            }
            _ => (Program::default(), after(&[])),
        };
        Self { first, last, lists: Lists::of(kernel) }
    }
}

/// What a twin reads; shared by its tasks.
#[derive(Clone, Copy)]
pub(crate) struct Reads<'a> {
    pub operands: &'a [&'a [u32]],
    pub scalars: &'a [u32],
    pub prepared: &'a Prepared,
}

impl<'a> Reads<'a> {
    fn f32(&self, operand: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.operands[operand])
    }
}

/// Words of scratch the step's CPU twin needs.
pub fn scratch_words(kernel: &Kernel) -> usize {
    match &kernel.core {
        Core::Conv2d(spec) => conv::scratch(kernel, spec),
        Core::Conv2dInputGrad(spec) => conv::input_grad_scratch(kernel, spec),
        Core::Conv2dWeightGrad(spec) => conv::weight_grad_scratch(kernel, spec),
        Core::Reduce { axes, input_shape, .. } => reduce::scratch(axes, input_shape),
        _ => 0,
    }
}

/// Words that each of so many threads keeps for the step's tasks.
pub fn thread_scratch(kernel: &Kernel, threads: usize) -> ThreadScratch {
    let prepared = Prepared::new(kernel);
    let floats = match (&prepared.lists, &kernel.core) {
        (Lists::Conv(conv), _) => conv.room(kernel),
        (Lists::Reduce(_), _) => [program::CHUNK, 0],
        (Lists::GatherGrad(lookup, _), _) => lookup.room(),
        (_, Core::MatMul { a, b }) => gemm::room(a, b, threads),
        (_, Core::MaxPool2d(w)) => maxpool::room(kernel, w),
        (_, Core::MaxPool2dGrad(w)) => maxpool::grad_room(kernel, w),
        _ => [0, 0],
    };
    let attention = match &kernel.core {
        Core::Attention(spec) => attention::room(spec),
        _ => Default::default(),
    };
    let (first, last) = (prepared.first.room(), prepared.last.room());
    ThreadScratch::new(floats, std::array::from_fn(|i| first[i].max(last[i])), attention)
}

/// The operand that the step's twin packs before it reads it, and words for all of it: kept from run to run where the
/// operand never changes, it need not be packed again.
pub fn packed(kernel: &Kernel) -> Option<(usize, usize)> {
    let words = match &kernel.core {
        Core::Conv2d(_) | Core::Conv2dInputGrad(_) => scratch_words(kernel),
        Core::MatMul { a, b } => gemm::packed(a, b),
        _ => 0,
    };
    (words > 0).then_some((1, words))
}

/// Runs a step, `prepared` by [`Prepared::new`].
///
/// # Errors
/// Where it is a user's operation and its function panics.
pub fn run(kernel: &Kernel, prepared: &Prepared, buffers: CpuBuffers<'_>) -> Result<(), Failed> {
    let CpuBuffers { operands, mut outputs, scalars, scratch, packed } = buffers;
    let reads = Reads { operands: &operands, scalars, prepared };
    match &kernel.core {
        Core::Map => map::run(reads, outputs),
        Core::RowChain(chain) => row_chain::run(chain, reads, outputs),
        Core::Attention(spec) => attention::run(spec, reads, outputs),
        _ => {
            if let Some(spec) = &kernel.sums {
                sums::run(spec, reads, outputs.pop().expect("sums have an output"));
            }
            let out = outputs.pop().expect("these cores have one output");
            return one(kernel, reads, out, Packed { words: scratch, done: packed });
        }
    }
    Ok(())
}

/// Runs a step of one output.
fn one(kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) -> Result<(), Failed> {
    match &reads.prepared.lists {
        Lists::Conv(conv) => conv.run(kernel, reads, out, packed),
        Lists::Reduce(groups) => reduce::run(kernel, groups, reads, out, packed.words),
        Lists::Gather(lookup) => gather::gather(kernel, lookup, reads, out),
        Lists::GatherGrad(lookup, dy) => gather::gather_grad(kernel, lookup, dy, reads, out),
        Lists::None => return other(kernel, reads, out, packed),
    }
    Ok(())
}

/// Runs a step of one output that needs no lists.
fn other(kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) -> Result<(), Failed> {
    match &kernel.core {
        Core::ArgMax { axis } => reduce::argmax(kernel, *axis, reads, out),
        Core::MatMul { a, b } => gemm::matmul(kernel, [a, b], reads, out, packed),
        Core::MaxPool2d(w) => maxpool::max(kernel, w, reads, out),
        Core::MaxPool2dGrad(w) => maxpool::max_grad(kernel, w, reads, out),
        Core::AvgPool2d(w) => pool::avg(kernel, w, reads, out),
        Core::AvgPool2dGrad(w) => pool::avg_grad(kernel, w, reads, out),
        Core::Custom(op) => return custom::run(kernel, op.op(), reads, out),
        // Of several outputs, or of none to compute.
        _ => {}
    }
    Ok(())
}
