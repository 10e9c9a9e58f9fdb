//! CPU twins. Stub.
use crate::Step;

/// A step's memory on the host.
pub struct CpuBuffers<'a> {
    /// One slice an operand; empty where an output takes the operand's memory over (`Step::in_place`).
    pub operands: Vec<&'a [u32]>,
    /// One slice an output. Where in place it holds the operand's elements on entry.
    pub outputs: Vec<&'a mut [u32]>,
    /// Seed, step number, then f32 scalars.
    pub scalars: &'a [u32],
    /// Scratch of at least [`scratch_words`] words; contents arbitrary.
    pub scratch: &'a mut [u32],
}

/// Words of scratch the step's CPU twin needs.
pub fn scratch_words(_step: &Step) -> usize {
    0
}

/// Runs a step.
pub fn run(_step: &Step, _buffers: CpuBuffers<'_>) {}
