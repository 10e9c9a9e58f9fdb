//! Row chains: reductions over trailing axes and their element-wise neighbours (softmax, layer norms, losses,
//! and their gradients) as one kernel that keeps a block of rows in the cache from first to last.

use crate::Kernel;
use crate::kernel::Core;
use wgrad_types::{Type, View, numel};

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

/// Rows of a kernel that can be in a chain: their number for reductions over trailing axes, 0 for
/// element-wise kernels, which accept any divisor of their elements.
pub fn rows_of(kernel: &Kernel) -> Option<usize> {
    match &kernel.core {
        Core::Map if kernel.in_place.iter().all(Option::is_none) => Some(0),
        Core::Reduce { axes, input_shape, .. } => {
            let kept = input_shape.len() - axes.len();
            let trailing = axes.iter().enumerate().all(|(i, &a)| a == kept + i);
            trailing.then(|| numel(&input_shape[..kept]))
        }
        _ => None,
    }
}

/// True if all loads of an operand of `elements` stay in their row.
pub fn row_local(kernel: &Kernel, operand: usize, elements: usize, rows: usize) -> bool {
    if rows == 0 || !elements.is_multiple_of(rows) {
        return false;
    }
    let prologue = match &kernel.core {
        Core::Reduce { prologue, .. } => Some(prologue),
        _ => None,
    };
    let loads = prologue.into_iter().chain([&kernel.epilogue]).flat_map(|e| &e.instrs);
    loads
        .filter_map(|i| i.load())
        .filter(|l| l.0 == operand)
        .all(|(_, view)| local(view, elements / rows, rows))
}

fn local(view: &View, row: usize, rows: usize) -> bool {
    if view.offset != 0 || view.mask.is_some() || view.strides.iter().any(|&s| s < 0) {
        return false;
    }
    let mut axes = view.shape.iter().zip(&view.strides);
    // Leading axes making up the rows, in order.
    let (mut left, mut expected) = (rows, rows);
    while left > 1 {
        let Some((&n, &stride)) = axes.next() else { return false };
        if n == 0 || !left.is_multiple_of(n) {
            return false;
        }
        expected /= n;
        if n > 1 && stride as usize != expected * row {
            return false;
        }
        left /= n;
    }
    let last: usize = axes.map(|(&n, &s)| n.saturating_sub(1) * s as usize).sum();
    last < row
}
