//! CPU twins: every step on the host, over rayon's threads, with `gemm` for what is shaped like a matrix product.
//!
//! Work is cut by shape, or by the number of threads where the cut changes no sum, and partial sums are added in a fixed
//! order: the bits are the same on any number of threads. Nothing here plans memory; slices come from the device.

mod ahead;
mod attention;
mod conv;
mod custom;
mod gather;
mod gemm;
mod lines;
mod map;
mod maxpool;
mod pack;
mod panel;
mod pool;
mod program;
mod real;
mod reduce;
mod rows;
mod scratch;
mod sums;
mod thin;
mod tile;
mod vectors;
mod view;

pub use lines::Lines;
pub use scratch::Room;
pub use vectors::choose_vectors;

use crate::{Core, Step};
use program::Program;
use smallvec::SmallVec;

/// Why a step has no result: a user's operation went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

/// A list that needs no memory of its own where it is short, as a step's operands and outputs are.
pub type Few<T> = SmallVec<[T; 16]>;

/// A step's memory on the host. Slices are whole tensors, 32-bit words.
pub struct CpuBuffers<'a> {
    /// One slice an operand; empty where an output takes the operand's memory over (`Step::in_place`).
    pub operands: Few<&'a [u32]>,
    /// One slice an output. Where in place it holds the operand's elements on entry.
    pub outputs: Few<&'a mut [u32]>,
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
pub struct Ready {
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
    fn of(step: &Step) -> Self {
        match &step.core {
            Core::Conv2d(_) | Core::Conv2dInputGrad(_) | Core::Conv2dWeightGrad(_) => {
                conv::Conv::new(step).map_or(Self::None, Self::Conv)
            }
            Core::Reduce { axes, input_shape, .. } => Self::Reduce(reduce::groups(axes, input_shape)),
            Core::Gather { axis, index } => {
                Self::Gather(gather::Lookup::new(&step.operands[0].shape, *axis, index))
            }
            Core::GatherGrad { axis, dy, index } => {
                Self::GatherGrad(gather::Lookup::new(&step.shape, *axis, index), view::Runs::new(dy))
            }
            _ => Self::None,
        }
    }
}

impl Ready {
    /// Of a step.
    pub fn new(step: &Step) -> Self {
        let after = |in_place: &[Option<usize>]| Program::expr(&step.epilogue, in_place, &step.shape);
        let (first, last) = match &step.core {
            Core::Map => (Program::default(), after(&step.in_place)),
            Core::Rows(chain) => (Program::chain(chain), Program::default()),
            Core::Reduce { input_shape, prologue, .. } => {
                (Program::expr(prologue, &[], input_shape), after(&[]))
            }
            _ => (Program::default(), after(&[])),
        };
        Self { first, last, lists: Lists::of(step) }
    }
}

/// What a twin reads; shared by its tasks.
#[derive(Clone, Copy)]
pub(crate) struct Reads<'a> {
    pub operands: &'a [&'a [u32]],
    pub scalars: &'a [u32],
    pub ready: &'a Ready,
}

impl<'a> Reads<'a> {
    fn f32(&self, operand: usize) -> &'a [f32] {
        bytemuck::cast_slice(self.operands[operand])
    }
}

/// Words of scratch the step's CPU twin needs.
pub fn scratch_words(step: &Step) -> usize {
    match &step.core {
        Core::Conv2d(spec) => conv::scratch(step, spec),
        Core::Conv2dInputGrad(spec) => conv::input_grad_scratch(step, spec),
        Core::Conv2dWeightGrad(spec) => conv::weight_grad_scratch(step, spec),
        Core::Reduce { axes, input_shape, .. } => reduce::scratch(axes, input_shape),
        _ => 0,
    }
}

/// Words that each of so many threads keeps for the step's tasks.
pub fn room(step: &Step, threads: usize) -> Room {
    let ready = Ready::new(step);
    let floats = match (&ready.lists, &step.core) {
        (Lists::Conv(conv), _) => conv.room(step),
        (Lists::Reduce(_), _) => [program::CHUNK, 0],
        (Lists::GatherGrad(lookup, _), _) => lookup.room(),
        (_, Core::MatMul { a, b }) => gemm::room(a, b, threads),
        (_, Core::MaxPool2d(w)) => maxpool::room(step, w),
        (_, Core::MaxPool2dGrad(w)) => maxpool::grad_room(step, w),
        _ => [0, 0],
    };
    let attention = match &step.core {
        Core::Attention(spec) => attention::room(spec),
        _ => Default::default(),
    };
    let (first, last) = (ready.first.room(), ready.last.room());
    Room::new(floats, std::array::from_fn(|i| first[i].max(last[i])), attention)
}

/// The operand that the step's twin packs before it reads it, and words for all of it: kept from run to run where the
/// operand never changes, it need not be packed again.
pub fn packed(step: &Step) -> Option<(usize, usize)> {
    let words = match &step.core {
        Core::Conv2d(_) | Core::Conv2dInputGrad(_) => scratch_words(step),
        Core::MatMul { a, b } => gemm::packed(a, b),
        _ => 0,
    };
    (words > 0).then_some((1, words))
}

/// Runs a step, `ready` by [`Ready::new`].
///
/// # Errors
/// Where it is a user's operation and its function panics.
pub fn run(step: &Step, ready: &Ready, buffers: CpuBuffers<'_>) -> Result<(), Failed> {
    let CpuBuffers { operands, mut outputs, scalars, scratch, packed } = buffers;
    let reads = Reads { operands: &operands, scalars, ready };
    match &step.core {
        Core::Map => map::run(reads, outputs),
        Core::Rows(chain) => rows::run(chain, reads, outputs),
        Core::Attention(spec) => attention::run(spec, reads, outputs),
        _ => {
            if let Some(spec) = &step.sums {
                sums::run(spec, reads, outputs.pop().expect("sums have an output"));
            }
            let out = outputs.pop().expect("these cores have one output");
            return one(step, reads, out, Packed { words: scratch, done: packed });
        }
    }
    Ok(())
}

/// Runs a step of one output.
fn one(step: &Step, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) -> Result<(), Failed> {
    match &reads.ready.lists {
        Lists::Conv(conv) => conv.run(step, reads, out, packed),
        Lists::Reduce(groups) => reduce::run(step, groups, reads, out, packed.words),
        Lists::Gather(lookup) => gather::gather(step, lookup, reads, out),
        Lists::GatherGrad(lookup, dy) => gather::gather_grad(step, lookup, dy, reads, out),
        Lists::None => return other(step, reads, out, packed),
    }
    Ok(())
}

/// Runs a step of one output that needs no lists.
fn other(step: &Step, reads: Reads<'_>, out: &mut [u32], packed: Packed<'_>) -> Result<(), Failed> {
    match &step.core {
        Core::ArgMax { axis } => reduce::argmax(step, *axis, reads, out),
        Core::MatMul { a, b } => gemm::matmul(step, [a, b], reads, out, packed),
        Core::MaxPool2d(w) => maxpool::max(step, w, reads, out),
        Core::MaxPool2dGrad(w) => maxpool::max_grad(step, w, reads, out),
        Core::AvgPool2d(w) => pool::avg(step, w, reads, out),
        Core::AvgPool2dGrad(w) => pool::avg_grad(step, w, reads, out),
        Core::Custom(op) => return custom::run(step, op.op(), reads, out),
        // Of several outputs, or of none to compute.
        _ => {}
    }
    Ok(())
}
