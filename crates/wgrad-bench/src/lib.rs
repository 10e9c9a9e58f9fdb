//! A device's speed and its ceilings: kernels and training steps on synthetic values, and profiles of a step
//! by kernel and by layer.

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
