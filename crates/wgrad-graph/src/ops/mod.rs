//! The closed set of operations, one small struct each, in a file per family, and one open variant.
//!
//! An operation is mathematics: a shape rule, a gradient built from other operations, and a slow, obvious f64
//! reference. How it runs fast is another crate's matter. To add one, see CONTRIBUTING.md.

mod attention;
mod conv;
mod custom;
mod elementwise;
mod gather;
mod leaf;
mod matmul;
mod movement;
mod pool;
mod reduce;

pub use attention::{Attention, AttentionGrad, AttentionLse, AttentionOperand};
pub use conv::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad, ConvSpec};
pub use custom::{Custom, CustomOp, Operand, Wgsl};
pub use elementwise::{Binary, BinaryKind, Cast, Compare, CompareKind, Select, Unary, UnaryKind};
pub use gather::{Gather, GatherGrad};
pub use leaf::Leaf;
pub use matmul::MatMul;
pub use movement::{Broadcast, Detach, Pad, Permute, Reshape, Slice};
pub use pool::{AvgPool2d, AvgPool2dGrad, MaxPool2d, MaxPool2dGrad, Window};
pub use reduce::{ArgMax, Reduce, ReduceKind};

use crate::Tensor;
use wgrad_types::{Array, ShapeError, Type};

/// The gradient of a node with respect to its operands.
pub enum Vjp {
    /// One gradient per operand, in order; `None` for operands without one (integers, truth values).
    Of(Vec<Option<Tensor>>),
    /// The operation has no gradient, and why.
    None(&'static str),
}

/// The mathematics of an operation: pure, without defaults, so that nothing is forgotten silently.
pub trait OpDef {
    /// The result's type, or why these operands do not fit.
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError>;
    /// The vector-Jacobian product: given operands, result and the result's cotangent, the operands' cotangents.
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp;
    /// The result in f64, written for clarity. Operands have passed `infer`.
    fn reference(&self, x: &[Array]) -> Array;
    /// The name `print` and messages use.
    fn name(&self) -> &'static str;
}

/// Declares the `Op` enum and its dispatch. One word per operation.
macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        /// One primitive operation.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Op {
            $(
                #[doc = concat!("See [`", stringify!($op), "`].")]
                $op($op),
            )*
        }

        impl Op {
            /// Every operation's name, in declaration order: completeness checks compare against it.
            pub const ALL: &'static [&'static str] = &[$(stringify!($op)),*];

            /// The variant's name.
            pub fn variant(&self) -> &'static str {
                match self { $(Self::$op(_) => stringify!($op)),* }
            }

            /// True if it only rearranges elements.
            pub fn is_movement(&self) -> bool {
                matches!(
                    self,
                    Self::Reshape(_)
                        | Self::Permute(_)
                        | Self::Broadcast(_)
                        | Self::Slice(_)
                        | Self::Pad(_)
                        | Self::Detach(_)
                )
            }

            fn def(&self) -> &dyn OpDef {
                match self { $(Self::$op(op) => op),* }
            }
        }

        $(impl From<$op> for Op {
            fn from(op: $op) -> Self {
                Self::$op(op)
            }
        })*
    };
}

ops!(
    Leaf,
    Unary,
    Binary,
    Compare,
    Select,
    Cast,
    Reduce,
    ArgMax,
    Reshape,
    Permute,
    Broadcast,
    Slice,
    Pad,
    Detach,
    MatMul,
    Conv2d,
    Conv2dInputGrad,
    Conv2dWeightGrad,
    MaxPool2d,
    MaxPool2dGrad,
    AvgPool2d,
    AvgPool2dGrad,
    Gather,
    GatherGrad,
    Attention,
    AttentionLse,
    AttentionGrad,
    Custom,
);

impl OpDef for Op {
    fn infer(&self, x: &[Type]) -> Result<Type, ShapeError> {
        self.def().infer(x)
    }
    fn vjp(&self, x: &[Tensor], y: &Tensor, dy: &Tensor) -> Vjp {
        self.def().vjp(x, y, dy)
    }
    fn reference(&self, x: &[Array]) -> Array {
        self.def().reference(x)
    }
    fn name(&self) -> &'static str {
        self.def().name()
    }
}
