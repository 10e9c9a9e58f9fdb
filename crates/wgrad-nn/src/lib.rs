//! Building blocks of models and training: layers, initialisers, losses, optimizers, schedules, metrics.
//!
//! A [`Net`] carries a graph under construction; layers are its methods and name their parameters as PyTorch modules
//! would. Nothing here knows a device.

mod attention;
mod init;
mod layers;
mod loss;
mod metrics;
mod net;
mod optimizer;
mod recurrent;
mod schedule;

pub use attention::{Heads, ROTARY_BASE, join};
pub use init::Init;
pub use layers::{Conv, Norm};
pub use loss::Loss;
pub use metrics::ConfusionMatrix;
pub use net::{Mode, Net, Parameter};
pub use optimizer::{
    Clip, DecayOn, Group, OPTIMIZERS, Optimizer, OptimizerKind, SHARE, accumulate, average_name,
};
pub use recurrent::{CellState, Recurrent, RecurrentKind, Sequence};
pub use schedule::Schedule;
