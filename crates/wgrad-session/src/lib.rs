//! Plans with their parameters on a device: train, evaluate, save and load.
//!
//! A [`Trainer`] is a network in training, an [`Evaluator`] another graph over its tensors. Below them a [`Session`] owns the
//! persistent tensors, and [`Runner`]s are plans over it (training, evaluation, another batch size). If the device is lost,
//! [`Session::snapshot`] or a checkpoint is enough for a new one.

mod anomaly;
pub mod checkpoint;
mod error;
mod feeding;
mod session;
mod trainer;
mod tune;

pub use anomaly::{Anomaly, Fault, Range, all_finite};
pub use error::SessionError;
pub use session::{Outputs, Runner, Session, Tensors};
pub use trainer::{Choose, Evaluator, NetExt, Trainer, TrainerOptions};
pub use tune::{Trial, Tuned, Tuning, tune, tune_kernel};
pub use wgrad_graph::NamedTensor;
