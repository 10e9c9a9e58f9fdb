//! A kernel's work as data: a core operation and the element-wise code fused into it.

use crate::attention::Attention;
use crate::expr::Expr;
use wgrad_graph::ops::{ConvSpec, Custom, OpDef as _, ReduceKind, Window};
use wgrad_types::{DType, Type, View, numel};

/// The operation at the heart of a kernel. Tiling, splitting and transposing are left to its variants.
#[derive(Clone, Debug, PartialEq)]
pub enum Core {
    /// Element-wise only: the epilogue holds everything and never reads `Acc`.
    Map,
    /// Combines the prologue's value over `axes` of the prologue's shape; they keep extent 1 in the output.
    Reduce {
        /// Kind of reduction.
        kind: ReduceKind,
        /// Axes of `input_shape` reduced to extent 1, ascending.
        axes: Vec<usize>,
        /// The shape the prologue runs over.
        input_shape: Vec<usize>,
        /// The value of each element combined; one result, f32.
        prologue: Expr,
    },
    /// First largest along `axis` of operand 0 (contiguous): i32, written as is (the epilogue is the identity).
    ArgMax {
        /// The axis searched.
        axis: usize,
    },
    /// Reductions and element-wise kernels over the same rows, a block of rows at a time; no epilogue. Not
    /// every chain has WGSL: see [`crate::has_row_chain`].
    RowChain(Chain),
    /// Operands 0 and 1 through views `[batch.., M, K]` and `[batch.., K, N]`: equal batch extents (0 strides
    /// if broadcast), no masks. Output `[batch.., M, N]`.
    MatMul {
        /// View of operand 0.
        a: View,
        /// View of operand 1.
        b: View,
    },
    /// Operands `x` `[N, C, H, W]` and `w` `[O, C / groups, KH, KW]`, contiguous.
    Conv2d(ConvSpec),
    /// Operands `dy` and `w`, contiguous; output `[N, C, H, W]`.
    Conv2dInputGrad(ConvSpec),
    /// Operands `x` and `dy`, contiguous; output `[O, C / groups, KH, KW]`.
    Conv2dWeightGrad(ConvSpec),
    /// Operand `x`, contiguous.
    MaxPool2d(Window),
    /// Operands `x` and `dy`, contiguous.
    MaxPool2dGrad(Window),
    /// Operand `x`, contiguous.
    AvgPool2d(Window),
    /// Operand `dy`, contiguous.
    AvgPool2dGrad(Window),
    /// Operands `x` (contiguous) and `index` (i32, read through the view, with the output's shape).
    Gather {
        /// The axis indexed.
        axis: usize,
        /// View of the index.
        index: View,
    },
    /// Operands `dy` and `index`, read through views of one shape; extent along `axis` becomes the output's.
    GatherGrad {
        /// The axis indexed.
        axis: usize,
        /// View of `dy`.
        dy: View,
        /// View of the index.
        index: View,
    },
    /// Attention or its gradients; no epilogue.
    Attention(Attention),
    /// A user's operation over contiguous f32 operands; no epilogue.
    Custom(Custom),
}

/// Sums over a product's depth, computed by the product's launch as the kernel's second output: a bias's
/// gradient beside its weights'. They have no epilogue.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// The operand summed: 0 or 1.
    pub operand: usize,
    /// The operand's memory as `[outer, kept, inner]`; the sum runs over outer and inner.
    pub spans: [usize; 3],
    /// The output's shape, of `kept` elements.
    pub shape: Vec<usize>,
}

/// One kernel's work: a core, its operands, and the element-wise code at its end.
///
/// Operands are contiguous buffers; views say how they are read. The core's own operands come first; those the
/// expressions load follow (or repeat them). Outputs are contiguous, of `shape` (those of
/// `Core::RowChain`, `Core::Attention` and [`Sums`] of their own shapes).
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The operation.
    pub core: Core,
    /// Types of the operand buffers.
    pub operands: Vec<Type>,
    /// Shape of the output and of the epilogue's views.
    pub shape: Vec<usize>,
    /// Code applied to every output element; one result per output.
    pub epilogue: Expr,
    /// Dtype of each output.
    pub outputs: Vec<DType>,
    /// Sums on the side of a product.
    pub sums: Option<Sums>,
    /// Operand overwritten by each output, if any: it is read only through contiguous loads of this kernel's
    /// epilogue, at the element being written.
    pub in_place: Vec<Option<usize>>,
}

impl Kernel {
    /// The same kernel with f32 in place of f16 operands and outputs, for the CPU. Values are rounded all the
    /// same, by the casts in the expressions.
    #[must_use]
    pub fn widened(&self) -> Self {
        let mut wide = self.clone();
        wide.operands.iter_mut().for_each(|ty| *ty = ty.widened());
        wide.outputs.iter_mut().filter(|d| **d == DType::F16).for_each(|d| *d = DType::F32);
        wide
    }

    /// True if operands or outputs are f16.
    pub fn has_f16(&self) -> bool {
        self.operands.iter().map(|ty| ty.dtype).chain(self.outputs.iter().copied()).any(|d| d == DType::F16)
    }

    /// Elements of one output.
    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// The shape of output `o`.
    pub fn output_shape(&self, o: usize) -> Vec<usize> {
        match &self.core {
            Core::RowChain(chain) => {
                let value = chain.values.iter().find(|v| v.output == Some(o));
                value.map_or(&self.shape, |v| &v.ty.shape).clone()
            }
            Core::Attention(attention) => attention.shape(attention.parts[o]).to_vec(),
            _ => match &self.sums {
                Some(sums) if o == 1 => sums.shape.clone(),
                _ => self.shape.clone(),
            },
        }
    }

    /// The core's name, as shown in plans, profiles and messages.
    pub fn name(&self) -> &'static str {
        match &self.core {
            Core::Map => "map",
            Core::Reduce { kind, .. } => kind.name(),
            Core::ArgMax { .. } => "argmax",
            Core::RowChain(_) => "row_chain",
            Core::MatMul { .. } => "matmul",
            Core::Conv2d(_) => "conv2d",
            Core::Conv2dInputGrad(_) => "conv2d_input_grad",
            Core::Conv2dWeightGrad(_) => "conv2d_weight_grad",
            Core::MaxPool2d(_) => "max_pool2d",
            Core::MaxPool2dGrad(_) => "max_pool2d_grad",
            Core::AvgPool2d(_) => "avg_pool2d",
            Core::AvgPool2dGrad(_) => "avg_pool2d_grad",
            Core::Gather { .. } => "gather",
            Core::GatherGrad { .. } => "gather_grad",
            Core::Attention(a) if a.is_gradient() => "attention_grad",
            Core::Attention(_) => "attention",
            Core::Custom(custom) => custom.name(),
        }
    }
}

/// Cost of a kernel, by count: feeds the plan's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations, a multiply-add counting two.
    pub flops: u64,
    /// Bytes read and written if every operand element is touched once.
    pub bytes: u64,
}

/// Source of a link's operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An operand of the whole kernel.
    Operand(usize),
    /// A value of the chain, row for row.
    Value(usize),
}

impl Source {
    /// Number of a value of the chain.
    pub fn value(self) -> Option<usize> {
        match self {
            Self::Value(v) => Some(v),
            Self::Operand(_) => None,
        }
    }
}

/// One of the chain's kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// An element-wise kernel, or a reduction over trailing axes.
    pub kernel: Kernel,
    /// Its operands.
    pub reads: Vec<Source>,
    /// The values its outputs are.
    pub writes: Vec<usize>,
}

/// A value computed by a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its type; `numel / rows` elements per row.
    pub ty: Type,
    /// Its output number in the whole kernel, if it is read outside.
    pub output: Option<usize>,
}

/// Links in order, over the same number of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Number of rows; no link reads another row of a value.
    pub rows: usize,
    /// The chain's kernels.
    pub links: Vec<Link>,
    /// Their results.
    pub values: Vec<Value>,
}

impl Chain {
    /// Elements per row of all values together.
    pub fn row(&self) -> usize {
        self.values.iter().map(|v| v.ty.numel() / self.rows).sum()
    }
}
