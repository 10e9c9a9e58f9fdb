//! The language of wgrad: graphs of pure tensor operations, reverse-mode autodiff, an f64 interpreter.
//!
//! A [`Graph`] is mathematics only: it knows no device, no memory and no fusion. [`Tensor`] is a handle on a
//! node, with methods like PyTorch's. [`differentiate`] adds gradient nodes, [`interpret`] evaluates in f64
//! and is the reference of every test, [`print`] writes a stable text.

mod autocast;
mod autodiff;
mod bounds;
mod graph;
mod inference;
mod interpret;
mod named;
pub mod ops;
pub mod philox;
mod print;
mod rewrite;
mod role;
mod tensor;

pub use autocast::autocast;
pub use autodiff::{depends, differentiate};
pub use bounds::{IndexBound, index_bounds};
pub use graph::{Graph, Node, Update, Value};
pub use inference::{Hoisted, fold, hoist};
pub use interpret::{Env, interpret, interpret_rounded};
pub use named::NamedTensor;
pub use ops::{CustomOp, Op, OpDef, Vjp};
pub use print::print;
pub use rewrite::simplify;
pub use role::Role;
pub use tensor::{BatchNorm, Builder, CrossEntropy, Interpolation, Scope, Tensor};
