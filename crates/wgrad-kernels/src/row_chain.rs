//! Row chains: reductions over trailing axes and their element-wise neighbours (softmax, layer norms, losses,
//! and their gradients) as one kernel that keeps a block of rows in the cache from first to last.

use crate::Kernel;
use crate::kernel::Core;
pub use crate::kernel::{Chain, Link, Source, Value};
use wgrad_types::{View, numel};

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
