//! The plan as data.

use std::collections::BTreeMap;
use wgrad_graph::{Role, Value};
use wgrad_kernels::{Cost, Kernel, Variant};
use wgrad_types::{HostTensor, Type};

/// Why a graph has no plan on an adapter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No variant of a kernel fits the adapter's limits.
    #[error("{kernel}: {why}")]
    Unsupported {
        /// The kernel and its layer.
        kernel: String,
        /// The limit and the figures.
        why: String,
    },
    /// A tensor is larger than the adapter can bind.
    #[error("{what} needs {bytes} bytes in one buffer, this adapter allows {limit}: use {remedy}")]
    TooLarge {
        /// The tensor.
        what: String,
        /// Its size.
        bytes: usize,
        /// The adapter's limit.
        limit: usize,
        /// A remedy.
        remedy: &'static str,
    },
    /// The given layout lacks a parameter of the graph, or has it with another type.
    #[error("parameter {name} is not in the layout of the training plan with this shape")]
    Layout {
        /// The parameter.
        name: String,
    },
}

/// Purpose of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotKind {
    /// Persistent tensors of a role; shared by all plans of a session.
    Param(Role),
    /// Gradients, laid out like the parameters they belong to.
    Gradient,
    /// Fed before every training step.
    Input,
    /// Read by the caller after a step.
    Output,
    /// A table uploaded once.
    Literal,
    /// A persistent tensor in the packed layout of the CPU's kernel.
    Packed,
    /// Values in between; reused as soon as nothing needs them.
    Activation,
}

/// A buffer of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Size.
    pub bytes: usize,
    /// Its purpose.
    pub kind: SlotKind,
}

/// Byte range of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into `Plan::slots`.
    pub slot: usize,
    /// First byte.
    pub offset: usize,
    /// Length in bytes.
    pub bytes: usize,
}

/// A tensor the caller knows by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Dtype and shape.
    pub ty: Type,
    /// Its place.
    pub place: Place,
}

/// A persistent tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamPlace {
    /// Name in checkpoints.
    pub name: String,
    /// Weight, buffer or optimizer state.
    pub role: Role,
    /// Dtype and shape.
    pub ty: Type,
    /// Its place.
    pub place: Place,
}

/// Places of all persistent tensors. Their slots come first in every plan sharing the layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamLayout {
    /// The slots.
    pub slots: Vec<Slot>,
    /// The tensors in them.
    pub params: Vec<ParamPlace>,
}

/// One kernel of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedKernel {
    /// The kernel.
    pub kernel: Kernel,
    /// The layer it belongs to; empty outside any.
    pub scope: String,
    /// Place of each operand.
    pub operands: Vec<Place>,
    /// Place of each output.
    pub outputs: Vec<Place>,
    /// Scratch memory: live during this kernel only, or holding a packed operand.
    pub scratch: Vec<Place>,
    /// Index of the operand with packed data in the scratch, valid until the operand changes.
    pub packed: Option<usize>,
    /// The chosen WGSL variant; without launches on the CPU.
    pub variant: Variant,
    /// Work, by count.
    pub cost: Cost,
}

impl PlannedKernel {
    /// Kernel and layer, for messages: "conv2d.tile64x64x16 in features.0".
    pub fn label(&self) -> String {
        let variant =
            if self.variant.name.is_empty() { String::new() } else { format!(".{}", self.variant.name) };
        let scope = if self.scope.is_empty() { String::new() } else { format!(" in {}", self.scope) };
        format!("{}{variant}{scope}", self.kernel.name())
    }
}

/// Values by number, from before memory was placed; [`verify`](crate::verify()) follows them through the places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Value numbers of the operands, per kernel.
    pub reads: Vec<Vec<usize>>,
    /// Value numbers of the outputs, per kernel.
    pub writes: Vec<Vec<usize>>,
    /// Values from outside, with their places: inputs, persistent tensors, literals.
    pub given: Vec<(usize, Place)>,
    /// Value of each of the plan's outputs.
    pub results: Vec<usize>,
    /// Pages by value, with their members: value, first byte in the page, bytes.
    pub pages: BTreeMap<usize, Vec<(usize, usize, usize)>>,
}

/// Everything a device needs to run a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Buffers; the first `layout.slots.len()` are the layout's.
    pub slots: Vec<Slot>,
    /// Kernels in order.
    pub kernels: Vec<PlannedKernel>,
    /// Tensors fed before every step.
    pub inputs: Vec<Named>,
    /// Tensors read after a step.
    pub outputs: Vec<Named>,
    /// Persistent tensors.
    pub layout: ParamLayout,
    /// Tables to upload once.
    pub literals: Vec<(Place, HostTensor)>,
    /// Names of the scalar words after the fixed ones.
    pub scalars: Vec<String>,
    /// Values per kernel, for `verify`.
    pub flow: Flow,
}

/// Steps with inputs on their way to an adapter at the same time, at most.
pub const UPLOADS: usize = 3;
/// Steps with results on their way back at the same time, at most.
pub const READBACKS: usize = 8;

impl Plan {
    /// Bytes of the staging rings for inputs and results; 0 on the CPU.
    pub fn staging_bytes(&self) -> usize {
        if self.kernels.iter().all(|s| s.variant.launches.is_empty()) {
            return 0;
        }
        let ring = |of: &[Named]| -> usize { of.iter().map(|n| n.place.bytes.next_multiple_of(16)).sum() };
        UPLOADS * ring(&self.inputs) + READBACKS * ring(&self.outputs)
    }

    /// Scratch bytes of this many CPU threads: packed panels and blocks of rows, the maximum over the plan's
    /// kernels; 0 on adapters.
    pub fn thread_bytes(&self, threads: usize) -> usize {
        if threads == 0 {
            return 0;
        }
        let own = self.kernels.iter().filter(|s| s.variant.launches.is_empty());
        let scratch = own.map(|s| wgrad_kernels::cpu::thread_scratch(&s.kernel, threads));
        threads * scratch.reduce(wgrad_kernels::cpu::ThreadScratch::and).unwrap_or_default().bytes()
    }

    /// Bytes the plan's buffers take, the scalars buffer apart.
    pub fn peak_bytes(&self) -> usize {
        self.slots.iter().map(|s| s.bytes).sum()
    }

    /// Dispatches per step.
    pub fn dispatches(&self) -> usize {
        self.kernels.iter().map(|s| s.variant.launches.len().max(1)).sum()
    }
}

/// A kernel before memory is placed. Buffers are numbered.
pub(crate) struct Draft {
    pub kernel: Kernel,
    pub scope: String,
    pub operands: Vec<usize>,
    pub outputs: Vec<usize>,
}

/// Content of a numbered buffer.
#[derive(Clone, Debug)]
pub(crate) struct Buffer {
    pub ty: Type,
    pub kind: SlotKind,
    /// Leaf nodes (inputs, parameters, literals) the buffer belongs to.
    pub leaf: Option<Value>,
    pub name: String,
}
