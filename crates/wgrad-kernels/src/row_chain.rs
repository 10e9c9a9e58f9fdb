//! Steps that run row by row: reductions over the end of a shape and the element-wise steps around them (softmax, layer
//! norms, losses, and their gradients), as one step that keeps a block of rows in the cache from first to last.

use crate::Kernel;
use crate::kernel::Core;
use wgrad_types::{Type, View, numel};

/// Where a link reads an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An operand of the whole step.
    Operand(usize),
    /// A value of the chain, row for row.
    Value(usize),
}

/// One of the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// An element-wise step, or a reduction over trailing axes.
    pub kernel: Kernel,
    /// Where its operands are.
    pub reads: Vec<Source>,
    /// The values its outputs are.
    pub writes: Vec<usize>,
}

/// What a link computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its type; `numel / rows` elements a row.
    pub ty: Type,
    /// The output of the whole step it is, where something outside reads it.
    pub output: Option<usize>,
}

/// Links in order, over equally many rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// Rows; no link reads another row of a value.
    pub rows: usize,
    /// The steps.
    pub links: Vec<Link>,
    /// What they compute.
    pub values: Vec<Value>,
}

impl Chain {
    /// Elements a row of all values together.
    pub fn row(&self) -> usize {
        self.values.iter().map(|v| v.ty.numel() / self.rows).sum()
    }
}

/// The rows of a step that a chain can hold: the number for reductions over trailing axes, 0 for element-wise steps,
/// which take any that divides them.
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

/// Whether all loads of an operand of `elements` stay in their row.
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
    // Leading axes that make up the rows, in order.
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
