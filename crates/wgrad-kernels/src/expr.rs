//! Straight-line code for one element: fused chains and trees of element-wise operations.
//!
//! An [`Expr`] runs once for every coordinate of an iteration shape. It is data: `wgsl/` prints it as WGSL, `cpu/`
//! runs it a chunk at a time, tests evaluate it in f64.

use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_types::{DType, View};

/// An instruction's number; its result is named by it.
pub type Reg = usize;

/// One instruction. Registers it reads are smaller than its own number.
#[derive(Clone, Debug, PartialEq)]
pub enum Instr {
    /// The core operation's result at this element (epilogues only; element = linear output index).
    Acc,
    /// An operand's element through a view of the iteration shape; 0 outside the view's mask.
    Load {
        /// Index into `Kernel::operands`.
        operand: usize,
        /// Map from coordinates to elements.
        view: View,
    },
    /// A constant of the instruction's dtype.
    Const(f64),
    /// A word of the scalars buffer (f32): learning rates and the like.
    Scalar {
        /// Word index.
        word: usize,
    },
    /// The number the view maps the coordinates to, as i32 (`iota` through views); 0 outside the mask.
    Index(View),
    /// Uniform f32 in [0, 1): element `view(coordinates)` of a Philox stream. Seed and training step are
    /// scalar words 0 and 1.
    Random {
        /// Map from coordinates to elements of the stream.
        view: View,
        /// The stream.
        stream: u32,
    },
    /// The register if the coordinates are inside the mask, else 0 (padding of a computed value).
    Masked {
        /// The value inside.
        value: Reg,
        /// Half-open range per axis of the iteration shape.
        mask: Vec<(usize, usize)>,
    },
    /// A function of one f32.
    Unary(UnaryKind, Reg),
    /// A function of two of a dtype.
    Binary(BinaryKind, Reg, Reg),
    /// A truth value; `Expr::dtypes` of the operands gives the compared type.
    Compare(CompareKind, Reg, Reg),
    /// `c ? a : b`.
    Select(Reg, Reg, Reg),
    /// Another dtype.
    Cast(Reg),
}

impl Instr {
    /// The operand it loads, and how.
    pub fn load(&self) -> Option<(usize, &View)> {
        match self {
            Self::Load { operand, view } => Some((*operand, view)),
            _ => None,
        }
    }

    /// The registers it reads.
    pub fn operands(&self) -> impl Iterator<Item = Reg> {
        let all = match *self {
            Self::Masked { value: x, .. } | Self::Unary(_, x) | Self::Cast(x) => [Some(x), None, None],
            Self::Binary(_, a, b) | Self::Compare(_, a, b) => [Some(a), Some(b), None],
            Self::Select(c, a, b) => [Some(c), Some(a), Some(b)],
            _ => [None; 3],
        };
        all.into_iter().flatten()
    }
}

/// Instructions in order, each with its result's dtype, and the registers of the results.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expr {
    /// Code.
    pub instrs: Vec<Instr>,
    /// Dtype of each instruction's result.
    pub dtypes: Vec<DType>,
    /// Results, in the order of the kernel's outputs.
    pub results: Vec<Reg>,
}

impl Expr {
    /// The core's result, unchanged.
    pub fn identity() -> Self {
        Self { instrs: vec![Instr::Acc], dtypes: vec![DType::F32], results: vec![0] }
    }

    /// True if the core's result is stored unchanged.
    pub fn is_identity(&self) -> bool {
        self.instrs.len() == 1 && self.instrs[0] == Instr::Acc
    }

    /// Adds an instruction, or finds the same one.
    pub fn push(&mut self, instr: Instr, dtype: DType) -> Reg {
        let same = |r: &Reg| self.instrs[*r] == instr && self.dtypes[*r] == dtype;
        if let Some(r) = (0..self.instrs.len()).find(same) {
            return r;
        }
        self.instrs.push(instr);
        self.dtypes.push(dtype);
        self.instrs.len() - 1
    }

    /// Operands read, ascending, each once.
    pub fn operands(&self) -> Vec<usize> {
        let mut read: Vec<usize> = self
            .instrs
            .iter()
            .filter_map(|i| match i {
                Instr::Load { operand, .. } => Some(*operand),
                _ => None,
            })
            .collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    /// Arithmetic instructions per element, a rough count of its FLOPs.
    pub fn flops(&self) -> usize {
        let counts = |i: &&Instr| {
            matches!(
                i,
                Instr::Unary(..)
                    | Instr::Binary(..)
                    | Instr::Compare(..)
                    | Instr::Select(..)
                    | Instr::Random { .. }
            )
        };
        self.instrs.iter().filter(counts).count()
    }
}
