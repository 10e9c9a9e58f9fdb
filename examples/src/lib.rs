//! The programs are in `examples/`; run one with `cargo run --release -p wgrad-examples --example xor`.
//!
//! Shared by several of them: pictures to learn from, a classifier of them, random draws on the host, PNG files to look at.

mod classifier;
mod images;
mod png;
mod random;
mod shapes;

pub use classifier::{BATCH, Classifier};
pub use images::Images;
pub use png::{blended, picture_dir, sheet};
pub use random::Random;
pub use shapes::write_shapes;

/// True if an example should do only enough to show that it works (`WGRAD_EXAMPLE_QUICK=1`, as CI sets).
pub fn quick() -> bool {
    std::env::var_os("WGRAD_EXAMPLE_QUICK").is_some()
}
