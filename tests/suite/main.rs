//! The test suite, one binary.
//!
//! *pure*: `plan`, `properties`, `shaders`, `complete`. *device*: `rows`, `steps`. *train*: `golden`, `training`, `cli`.

mod complete;
mod golden;
mod rows;
