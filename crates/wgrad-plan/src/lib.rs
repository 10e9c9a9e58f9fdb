//! From graph to plan: kernels, their order and their memory. Pure data; no device, no input or output.
//!
//! [`plan`] is a pure function of (graph, capabilities, options). Its result tells before the first step the
//! work of every dispatch, its cost and the peak memory; [`verify`] proves that every kernel finds its
//! operands in memory.

mod attention;
mod choices;
mod cost;
mod dump;
mod emit;
mod fuse;
mod layout;
mod memory;
mod merge;
mod options;
mod plan;
mod planner;
mod row_chain;
mod sums;
mod verify;
mod wgsl;

pub use choices::{Choices, MOST_VARIANTS, key};
pub use cost::cost;
pub use dump::{Summary, dump};
pub use layout::common_layout;
pub use options::PlanOptions;
pub use plan::{
    Flow, Named, ParamLayout, ParamPlace, Place, Plan, PlanError, PlannedKernel, READBACKS, Slot, SlotKind,
    UPLOADS,
};
pub use planner::plan;
pub use verify::verify;
pub use wgsl::{launch_names, wgsl};
