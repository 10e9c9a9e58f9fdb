//! CPU twins: every kernel on the host, over rayon's threads.
//!
//! Work is cut by shape, or by the number of threads if the cut changes no sum, and partial sums are added in
//! a fixed order: the bits are the same on any number of threads. No memory is planned here; slices come from
//! the device.

mod aligned;
mod attention;
mod conv;
mod custom;
mod gather;
mod gemm;
mod map;
mod matrix;
mod maxpool;
mod output;
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

use crate::{Core, Kernel, SmallList};
use program::Program;

/// Reason for a missing result: a failure of a user's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

/// A kernel's memory on the host. Slices are whole tensors, 32-bit words.
pub struct CpuBuffers<'a> {
    /// One slice per operand; empty if an output takes over the operand's memory (`Kernel::in_place`).
    pub operands: SmallList<&'a [u32]>,
    /// One slice per output. An in-place output holds the operand's elements on entry.
    pub outputs: SmallList<&'a mut [u32]>,
    /// Seed, training step, then f32 scalars.
    pub scalars: &'a [u32],
    /// At least [`scratch_words`] words with arbitrary contents, or the words of a kept [`packed`] operand.
    pub scratch: &'a mut [u32],
    /// True if `scratch` holds the operand packed by an earlier run of the kernel.
    pub packed: bool,
}

/// Packed weights of a twin.
pub(crate) struct Packed<'a> {
    pub words: &'a mut [u32],
    /// True if they are packed already.
    pub done: bool,
}

/// A kernel prepared once for all runs: its element-wise code, and lists derived from its shapes.
#[derive(Debug)]
pub struct Prepared {
    /// The prologue of a reduction, or a row chain.
    first: Program,
    /// An element-wise kernel, or a core's epilogue.
    last: Program,
    lists: Lists,
}

/// Offset lists of a twin.
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
    /// Prepares a kernel.
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

/// Inputs of a twin; shared by its tasks.
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

/// Words of scratch of the kernel's CPU twin.
pub fn scratch_words(kernel: &Kernel) -> usize {
    match &kernel.core {
        Core::Conv2d(spec) => conv::scratch(kernel, spec),
        Core::Conv2dInputGrad(spec) => conv::input_grad_scratch(kernel, spec),
        Core::Conv2dWeightGrad(spec) => conv::weight_grad_scratch(kernel, spec),
        Core::Reduce { axes, input_shape, .. } => reduce::scratch(axes, input_shape),
        _ => 0,
    }
}

/// Scratch per thread for the kernel's tasks, given the number of threads.
pub fn thread_scratch(kernel: &Kernel, threads: usize) -> ThreadScratch {
    let prepared = Prepared::new(kernel);
    let floats = match (&prepared.lists, &kernel.core) {
        (Lists::Conv(conv), _) => conv.block_floats(kernel),
        (Lists::Reduce(_), _) => [program::CHUNK, 0],
        (Lists::GatherGrad(lookup, _), _) => lookup.block_floats(),
        (_, Core::MatMul { a, b }) => gemm::block_floats(a, b, threads),
        (_, Core::MaxPool2d(w)) => maxpool::block_floats(kernel, w),
        (_, Core::MaxPool2dGrad(w)) => maxpool::grad_room(kernel, w),
        _ => [0, 0],
    };
    let attention = match &kernel.core {
        Core::Attention(spec) => attention::block_floats(spec),
        _ => Default::default(),
    };
    let (first, last) = (prepared.first.scratch_words(), prepared.last.scratch_words());
    ThreadScratch::new(floats, std::array::from_fn(|i| first[i].max(last[i])), attention)
}

/// The operand packed by the kernel's twin, and its words: if it is constant, the packed copy can be kept
/// from run to run.
pub fn packed(kernel: &Kernel) -> Option<(usize, usize)> {
    let words = match &kernel.core {
        Core::Conv2d(_) | Core::Conv2dInputGrad(_) => scratch_words(kernel),
        Core::MatMul { a, b } => gemm::packed(a, b),
        _ => 0,
    };
    (words > 0).then_some((1, words))
}

/// Runs a kernel, `prepared` by [`Prepared::new`].
///
/// # Errors
/// If it is a user's operation and its function panics.
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
            return run_single(kernel, reads, out, Packed { words: scratch, done: packed });
        }
    }
    Ok(())
}

/// Runs a kernel with one output.
fn run_single(kernel: &Kernel, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) -> Result<(), Failed> {
    match &reads.prepared.lists {
        Lists::Conv(conv) => conv.run(kernel, reads, out, packed),
        Lists::Reduce(groups) => reduce::run(kernel, groups, reads, out, packed.words),
        Lists::Gather(lookup) => gather::gather(kernel, lookup, reads, out),
        Lists::GatherGrad(lookup, dy) => gather::gather_grad(kernel, lookup, dy, reads, out),
        Lists::None => return run_without_lists(kernel, reads, out, packed),
    }
    Ok(())
}

/// Runs a kernel with one output and no lists.
fn run_without_lists(
    kernel: &Kernel,
    reads: Reads<'_>,
    out: &mut [u32],
    packed: Packed<'_>,
) -> Result<(), Failed> {
    match &kernel.core {
        Core::ArgMax { axis } => reduce::argmax(kernel, *axis, reads, out),
        Core::MatMul { a, b } => gemm::matmul(kernel, [a, b], reads, out, packed),
        Core::MaxPool2d(w) => maxpool::max(kernel, w, reads, out),
        Core::MaxPool2dGrad(w) => maxpool::max_grad(kernel, w, reads, out),
        Core::AvgPool2d(w) => pool::avg(kernel, w, reads, out),
        Core::AvgPool2dGrad(w) => pool::avg_grad(kernel, w, reads, out),
        Core::Custom(op) => return custom::run(kernel, op.op(), reads, out),
        // Unreachable for kernels with one nonempty output.
        _ => {}
    }
    Ok(())
}
