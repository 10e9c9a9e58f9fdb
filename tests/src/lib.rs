//! The harness behind the rows: one row checks an operation's gradient against central differences in f64, and its
//! kernels (every launch candidate on the GPU path, with the adapter's own limits and under webgpu-baseline, and the
//! CPU twin) against the f64 reference.

mod devices;
mod gradient;
mod kernels;
mod row;

pub use devices::{cpu, gpu, gpu_baseline, own_gpu};
pub use gradient::check_gradient;
pub use kernels::{MOST_CANDIDATES, check_kernels};
pub use row::{Arg, Built, Row, build, ints, large, real, ties, within};

/// Everything one row proves.
///
/// # Panics
/// Where it does not hold.
pub fn check(row: &Row) {
    check_gradient(row);
    check_kernels(row);
}
