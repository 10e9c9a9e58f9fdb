//! What a device reaches and what it could: kernels and training steps on made-up values, the device's own ceilings,
//! and profiles of a step by kernel and by layer.

mod ceilings;
mod families;
mod kernels;
mod made_up;
mod profile;

pub use ceilings::Ceilings;
pub use families::all_kernels;
pub use kernels::{Kernel, Unit, kernels};
pub use made_up::MadeUp;
pub use profile::{Row, StepProfile, profile};
