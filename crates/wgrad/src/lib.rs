//! wgrad: a GPU-first compute engine for neural networks.
//!
//! Networks are written with [`Tensor`]s that read like PyTorch; a [`session::Trainer`] differentiates, plans and trains
//! them on any GPU through wgpu, or on the CPU. Kernels and memory of a step are known before the first one.
//!
//! ```
//! use wgrad::prelude::*;
//!
//! fn main() -> wgrad::Result<()> {
//!     // A network with one hidden layer learns XOR.
//!     let net = Net::new(Mode::Train);
//!     let (x, y) = (net.input("x", Type::f32(&[4, 2])), net.input("y", Type::f32(&[4, 1])));
//!     let hidden = net.linear("fc1", &x, 8).tanh();
//!     let loss = net.linear("fc2", &hidden, 1).bce_with_logits_loss(&y);
//!
//!     // A GPU if there is one, else the CPU; the gradient and Adam's updates become part of the plan.
//!     let mut trainer = net.trainer(&loss, Optimizer::adam(), &Device::auto()?)?;
//!     println!("{}: {} kernels per step", trainer.device().name(), trainer.plan().dispatches());
//!
//!     let x = HostTensor::f32(&[4, 2], &[0., 0., 0., 1., 1., 0., 1., 1.]);
//!     let y = HostTensor::f32(&[4, 1], &[0., 1., 1., 0.]);
//!     for _ in 0..200 {
//!         trainer.step([("x", &x), ("y", &y)], 0.05)?;
//!     }
//!     assert!(trainer.step([("x", &x), ("y", &y)], 0.05)?.scalar("loss") < 0.1);
//!     Ok(())
//! }
//! ```
//!
//! # Levels
//!
//! [`session::Trainer`] owns step count, names and scalars; [`session::Session`] and [`session::Runner`] leave them to the
//! program, for several players or plans; [`graph`], [`plan`] and [`device`] are the stages below, each usable alone. On top
//! stand [`nn`] and [`models`], and by feature the crates below.
//!
//! | feature (all on by default) | adds |
//! |---|---|
//! | `gpu` | adapters through wgpu; without it plans run on the CPU |
//! | `data` | `wgrad::data`: image, mask and text sources, augmentation, loaders, tokenizers |
//! | `train` | `wgrad::train`: the training loop of the command line |
//! | `doctor` | `wgrad::doctor`: proofs of operations on the machine at hand |
//!
//! # Custom operations
//!
//! A type implementing [`graph::CustomOp`] is an operation of the program's own: a shape rule, an f64 reference, a gradient
//! made of other operations, a kernel in WGSL and optionally one for the CPU. It differentiates, plans, trains and is
//! checkpointed like the others; nothing is fused into it. `wgrad::doctor::prove` gives it the proof of the library's own
//! operations. A kernel that does not compile and a CPU function that panics are errors with the operation's name, and the
//! kernel runs with the shader compiler's index checks.
//!
//! ```
//! use wgrad::doctor::{Case, prove, real};
//! use wgrad::graph::ops::Wgsl;
//! use wgrad::graph::{CustomOp, Vjp};
//! use wgrad::prelude::*;
//!
//! /// `x / (1 + |x|)`.
//! #[derive(Debug)]
//! struct SoftSign;
//!
//! impl CustomOp for SoftSign {
//!     fn name(&self) -> &'static str {
//!         "soft_sign"
//!     }
//!     fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String> {
//!         match x {
//!             [x] => Ok(x.to_vec()),
//!             x => Err(format!("takes one operand, got {}", x.len())),
//!         }
//!     }
//!     fn reference(&self, x: &[Array]) -> Array {
//!         Array::from_fn(&x[0].shape, |i| x[0].data[i] / (1.0 + x[0].data[i].abs()))
//!     }
//!     fn gradient(&self, x: &[Tensor], _y: &Tensor, dy: &Tensor) -> Vjp {
//!         Vjp::Of(vec![Some(dy / (x[0].abs() + 1.0).square())])
//!     }
//!     fn wgsl(&self, _x: &[&[usize]], y: &[usize]) -> Wgsl {
//!         Wgsl::elements("x0[i] / (1.0 + abs(x0[i]))", y)
//!     }
//! }
//!
//! const CASE: Case = Case {
//!     name: "soft_sign",
//!     args: &[real(&[5, 7])],
//!     build: |x| x[0].custom(SoftSign, &[]),
//!     tolerance: 2e-5,
//!     gradient: true,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let report = prove(&CASE)?;
//! assert!(report.is_sound(), "{}", report.complaints().join("\n"));
//! # Ok(())
//! # }
//! ```

mod error;

pub use error::{Error, Result};

#[cfg(feature = "data")]
pub use wgrad_data as data;
pub use wgrad_device as device;
#[cfg(feature = "doctor")]
pub use wgrad_doctor as doctor;
pub use wgrad_graph as graph;
pub use wgrad_models as models;
pub use wgrad_nn as nn;
pub use wgrad_plan as plan;
pub use wgrad_session as session;
#[cfg(feature = "train")]
pub use wgrad_train as train;
pub use wgrad_types as types;

pub use wgrad_graph::Tensor;

/// The usual imports.
pub mod prelude {
    pub use wgrad_device::{Device, Request};
    pub use wgrad_graph::ops::{ConvSpec, Window};
    pub use wgrad_graph::{Builder, Graph, NamedTensor, Role, Tensor, differentiate};
    pub use wgrad_nn::{Clip, Conv, Init, Loss, Mode, Net, Optimizer, OptimizerKind, Schedule};
    pub use wgrad_plan::{PlanOptions, plan};
    pub use wgrad_session::{Evaluator, NetExt, Outputs, Runner, Session, Trainer, TrainerOptions};
    pub use wgrad_types::{Array, DType, HostTensor, Type};
}

/// The README's examples compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;
