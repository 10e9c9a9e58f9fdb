//! From graph to plan: which kernels run, in which order, in which memory. Pure data; no device, no input or output.
//!
//! [`plan`] is a pure function of (graph, capabilities, options). The result says before the first step what
//! every dispatch is, what it costs, and the peak memory; [`verify`] proves that every step reads what it is to read.

mod attention;
mod choices;
mod cost;
mod dump;
mod emit;
mod fuse;
mod layout;
mod memory;
mod merge;
mod plan;
mod row_chain;
mod sums;
mod verify;
mod wgsl;

pub use choices::{Choices, MOST_VARIANTS, key};
pub use cost::cost;
pub use dump::{Summary, dump};
pub use layout::common_layout;
pub use plan::{
    Flow, Named, ParamLayout, ParamPlace, Place, Plan, PlanError, PlanOptions, PlannedKernel, READBACKS,
    Slot, SlotKind, UPLOADS, plan,
};
pub use verify::verify;
pub use wgsl::{launch_names, wgsl};
