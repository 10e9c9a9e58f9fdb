//! What the suite's files share: the devices of this machine, and the rows, which `wgrad-doctor` owns.

pub use wgrad_doctor::testing::{checked_gpu, cpu, gpu, gpu_baseline, own_gpu, targets};
pub use wgrad_doctor::{MOST_CANDIDATES, build, rows};
