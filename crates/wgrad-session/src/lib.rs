//! A compiled training plan with its parameters on a device: step it, read and write its tensors, save and load them.
//!
//! A [`Session`] owns the persistent tensors; [`Runner`]s are plans over them (training, evaluation, another batch
//! size). The device may vanish; [`Session::snapshot`] is all a new one needs.

mod anomaly;
pub mod checkpoint;
mod error;
mod feeding;
mod session;
mod tune;

pub use anomaly::{Anomaly, Fault, Range, all_finite};
pub use error::SessionError;
pub use session::{Outputs, Runner, Session, Tensors};
pub use tune::{Trial, Tuned, Tuning, tune, tune_kernel};
