//! The model zoo: a config struct and a build function each. Models never learn on what they run.

mod alexnet;
mod cnn;
mod plain;
mod zoo;

pub use alexnet::AlexNet;
pub use cnn::{CifarCnn, LeNet};
pub use plain::{Linear, Mlp};
pub use zoo::{ImageModel, ModelError, ModelKind, ZOO};
