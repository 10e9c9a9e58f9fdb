//! The test suite, one binary.
//!
//! *pure*: `plan`, `memory`, `properties`, `complete`, `shaders`. *device*: `steps`, `several`, `breaks`, `order`, `sizes`, `anomaly`,
//! `tuning`, `precision`, `inference`, `functions`, `turned`, `vectors`. *PyTorch and plain loops*: `golden`, `compositions`, `settings`,
//! `loops`, `brought` (`docs/proof.md`). A row's test stands with the row, in `wgrad-doctor`; the command line has its
//! tests in its own crate.

mod anomaly;
mod breaks;
mod brought;
mod complete;
mod compositions;
mod custom;
mod edges;
mod functions;
mod golden;
mod inference;
mod loops;
mod memory;
mod optimizers;
mod order;
mod plan;
mod precision;
mod properties;
mod same;
mod sequences;
mod settings;
mod several;
mod shaders;
mod sizes;
mod steps;
mod stopping;
mod tuning;
mod turned;
mod vectors;
mod zoo;
