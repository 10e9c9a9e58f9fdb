//! What a device reaches and what it could: kernels and training steps on made-up values, the device's own ceilings,
//! and profiles of a step by kernel and by layer.

mod ceilings;
mod families;
mod kernels;
mod profile;
mod synthetic_step;

pub use ceilings::Ceilings;
pub use families::all_kernels;
pub use kernels::{Kernel, Unit, kernels};
pub use profile::{Row, StepProfile, profile};
pub use synthetic_step::SyntheticStep;
