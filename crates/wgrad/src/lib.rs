//! wgrad: a GPU-first compute engine for neural networks.
//!
//! Build a graph with [`Tensor`]s that read like PyTorch, differentiate it, plan it, run it: on any GPU through wgpu, on
//! the CPU where there is none. What runs, and the memory it takes, is known before the first step.
//!
//! ```
//! use wgrad::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A network with one hidden layer learns XOR.
//! let net = Net::new(Mode::Train);
//! let x = net.input("x", Type::f32(&[4, 2]));
//! let y = net.input("y", Type::f32(&[4, 1]));
//! let hidden = net.linear("fc1", &x, 8).tanh();
//! let logits = net.linear("fc2", &hidden, 1);
//! let loss = logits.bce_with_logits_loss(&y);
//! net.builder().output("loss", &loss);
//!
//! // Its gradient and Adam's updates become part of the same graph.
//! let adam = Optimizer::adam();
//! let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
//! adam.minimise(&loss, &weights)?;
//!
//! // `auto` takes a GPU where there is one, else the CPU. `Session::new` plans the graph and fills in initial values.
//! let (device, choice) = Device::open(&"auto".parse()?)?;
//! println!("{}", choice.reason);
//! let (mut session, mut runner) = Session::new(&device, &net.builder().graph(), &net.initial(0), 0)?;
//! println!("{} kernels a step, {} bytes", runner.plan().dispatches(), runner.plan().peak_bytes());
//!
//! let inputs = HostTensor::f32(&[4, 2], &[0., 0., 0., 1., 1., 0., 1., 1.]);
//! let targets = HostTensor::f32(&[4, 1], &[0., 1., 1., 0.]);
//! let mut last = f32::MAX;
//! for step in 0..200 {
//!     let scalars = adam.scalars(step + 1, 0.05);
//!     runner.step(&mut session, step, &[("x", &inputs), ("y", &targets)], &scalars)?;
//!     last = runner.wait()?.expect("a step was submitted").scalar("loss");
//! }
//! assert!(last < 0.1);
//! # Ok(())
//! # }
//! ```
//!
//! The crates behind it, from mathematics to metal: [`graph`], [`plan`], [`device`], [`session`]; and on top [`nn`],
//! [`models`], [`data`], [`train`]. [`doctor`] proves operations on the machine at hand.
//!
//! # An operation of one's own
//!
//! What the library lacks, a program can bring: a type that implements [`graph::CustomOp`] with a shape rule, an f64
//! reference, a gradient made of other operations, a kernel in WGSL and, if it likes, one for the CPU. It differentiates,
//! plans, trains and is checkpointed like the others; nothing is fused into it. [`doctor::prove`] gives it the proof that
//! every operation of the library has. A kernel that does not compile and a CPU function that panics are errors with the
//! operation's name, and the kernel runs with the shader compiler's checks of indices.
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

pub use wgrad_data as data;
pub use wgrad_device as device;
pub use wgrad_doctor as doctor;
pub use wgrad_graph as graph;
pub use wgrad_models as models;
pub use wgrad_nn as nn;
pub use wgrad_plan as plan;
pub use wgrad_session as session;
pub use wgrad_train as train;
pub use wgrad_types as types;

pub use wgrad_graph::Tensor;

/// What most programs need.
pub mod prelude {
    pub use wgrad_device::{Device, Request};
    pub use wgrad_graph::ops::{ConvSpec, Window};
    pub use wgrad_graph::{Builder, Graph, Role, Tensor, differentiate};
    pub use wgrad_nn::{Clip, Conv, Init, Loss, Mode, Net, Optimizer, OptimizerKind, Schedule};
    pub use wgrad_plan::{PlanOptions, plan};
    pub use wgrad_session::{Outputs, Runner, Session};
    pub use wgrad_types::{Array, DType, HostTensor, Type};
}

/// The README's example compiles.
#[doc = include_str!("../../../README.md")]
#[cfg(doctest)]
pub struct Readme;
