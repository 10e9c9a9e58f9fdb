//! A launch: one WGSL dispatch as data. Only the GPU device turns it into API calls.

use std::sync::Arc;

/// A buffer bound by a launch, in the kernel's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Buffer {
    /// `Kernel::operands[i]`.
    Operand(usize),
    /// The kernel's i-th output.
    Output(usize),
    /// `Variant::scratch[i]`.
    Scratch(usize),
    /// The scalars: word 0 the seed, word 1 the training step, then f32 values.
    Scalars,
}

/// Access mode of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// One binding of group 0; its position in `Launch::bindings` is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The bound buffer.
    pub buffer: Buffer,
    /// Access declared by the shader.
    pub access: Access,
}

/// One dispatch: a complete WGSL module with entry point `main`, its bindings, and its number of workgroups.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The kernel's name: pipeline label, profile row, error message ("conv2d.tile64x64x16").
    pub name: String,
    /// The WGSL text. Equal texts share a pipeline.
    pub source: Arc<str>,
    /// Bindings of group 0, in order.
    pub bindings: Vec<Binding>,
    /// Workgroups along x, y, z.
    pub groups: [u32; 3],
    /// True for a user's text: it runs with the compiler's checks of indices and loops.
    pub checked: bool,
    /// What sets its text apart beside sizes: flags of its shader that hold, and others of the generator's ("PADDED").
    pub traits: Vec<&'static str>,
}

/// One way to run a kernel: launches in order (a later one reads results of an earlier one) and scratch
/// memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Name of the variant, unique per kernel ("tile64x64x16", "subgroup16x4").
    pub name: String,
    /// Dispatches, in order.
    pub launches: Vec<Launch>,
    /// Scratch buffers, in bytes, live during this kernel only.
    pub scratch: Vec<usize>,
}

/// Reason why a kernel has no variant on an adapter: a limit, with the figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub String);
