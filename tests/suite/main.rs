//! The test suite, one binary.
//!
//! *pure*: `plan`, `properties`, `complete`, `shaders`. *device*: `rows`, `steps`. *PyTorch*: `golden`. The command
//! line has its tests in its own crate.

mod complete;
mod golden;
mod optimizers;
mod plan;
mod properties;
mod rows;
mod sequences;
mod shaders;
mod steps;
mod zoo;
