//! Two implementations of each operation: WGSL launches for the GPU path and a CPU twin, both from one
//! [`Kernel`].
//!
//! A [`Kernel`] is an operation with everything fused into it. [`variants`] gives its WGSL variants, the
//! default first, always valid; [`run_cpu`] runs it on the host. This crate knows no device and no memory
//! plan.

pub mod attention;
pub mod cpu;
mod expr;
mod kernel;
mod launch;
pub mod row_chain;
mod small_list;
mod table;
mod wgsl;

pub use cpu::{CpuBuffers, Failed, Prepared, run as run_cpu};
pub use expr::{Expr, Instr, Reg};
pub use kernel::{Core, Cost, Kernel, Sums};
pub use launch::{Access, Binding, Buffer, Launch, Unsupported, Variant};
pub use small_list::SmallList;
pub use wgsl::row_chain::fits as has_row_chain;
pub use wgsl::variants;

/// Scalar words of every plan: the seed of random draws and the training step, both u32.
pub const SEED_WORD: usize = 0;
/// See [`SEED_WORD`].
pub const STEP_WORD: usize = 1;
/// First word of the named scalars.
pub const FIRST_SCALAR_WORD: usize = 2;
