//! Runs: the training loop, its folder, and those who watch it.

mod anomaly;
pub(crate) mod callback;
mod curves;
mod folder;
pub(crate) mod observer;
pub(crate) mod plans;
mod reopen;
pub(crate) mod summary;
pub(crate) mod training;
mod training_loop;
mod transfer;
mod tuning;
