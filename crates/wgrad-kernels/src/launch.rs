//! A launch: one WGSL dispatch as data. Only the GPU device turns it into API calls.

use std::sync::Arc;

/// A buffer a launch binds, in the step's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Buffer {
    /// `Kernel::operands[i]`.
    Operand(usize),
    /// The step's i-th output.
    Output(usize),
    /// `Variant::scratch[i]`.
    Scratch(usize),
    /// The scalars: word 0 the seed, word 1 the step number, then f32 values.
    Scalars,
}

/// How a binding is declared.
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
    /// What is bound.
    pub buffer: Buffer,
    /// How the shader declares it.
    pub access: Access,
}

/// One dispatch: a complete WGSL module with entry point `main`, what it binds, and how many workgroups run.
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
    /// Whether the text is a user's, who may be wrong: it runs with the compiler's checks of indices and loops.
    pub checked: bool,
    /// What sets its text apart beside sizes: flags of its shader that hold, and others of the generator's ("PADDED").
    pub traits: Vec<&'static str>,
}

/// One way to run a step: launches in order (a later one reads what an earlier one wrote) and scratch memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What sets it apart from the step's other variants ("tile64x64x16", "subgroup16x4").
    pub name: String,
    /// Dispatches, in order.
    pub launches: Vec<Launch>,
    /// Scratch buffers, in bytes, live during this step only.
    pub scratch: Vec<usize>,
}

/// Why a step has no kernel on an adapter: a limit, with the figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported(pub String);
