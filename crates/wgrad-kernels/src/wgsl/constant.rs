//! Empty reductions and products (over an extent of 0): an element-wise kernel over a constant.

use crate::expr::{Expr, Instr};
use crate::kernel::{Core, Kernel};

/// Kernel with a constant `acc`.
pub(super) fn with_constant_acc(kernel: &Kernel, acc: f64) -> Kernel {
    let constant = |i: &Instr| if *i == Instr::Acc { Instr::Const(acc) } else { i.clone() };
    let instrs = kernel.epilogue.instrs.iter().map(constant).collect();
    Kernel { core: Core::Map, epilogue: Expr { instrs, ..kernel.epilogue.clone() }, ..kernel.clone() }
}
