//! How each operation runs: WGSL launches for the GPU path and a CPU twin, both from one [`Step`].
//!
//! A [`Step`] is an operation with everything fusion folded into it. [`candidates`] gives its WGSL forms, best guess
//! first and the first always valid; [`run_cpu`] runs it on the host. This crate knows no device and no memory plan.

pub mod attention;
pub mod cpu;
mod expr;
mod launch;
pub mod rows;
mod step;
mod table;
mod wgsl;

pub use cpu::{CpuBuffers, Failed, Few, Ready, run as run_cpu};
pub use expr::{Expr, Instr, Reg};
pub use launch::{Access, Binding, Buffer, Candidate, Launch, Unsupported};
pub use step::{Core, Cost, Step, Sums};
pub use wgsl::candidates;

/// Scalar words every plan has: the seed of random draws and the step's number, both u32.
pub const SEED_WORD: usize = 0;
/// See [`SEED_WORD`].
pub const STEP_WORD: usize = 1;
/// First word of the named scalars.
pub const FIRST_SCALAR_WORD: usize = 2;
