//! Cores that combine nothing (a reduction or a product over an extent of 0): an element-wise kernel over a constant.

use crate::expr::{Expr, Instr};
use crate::step::{Core, Step};

/// The step with `acc` known beforehand.
pub(super) fn with_constant_acc(step: &Step, acc: f64) -> Step {
    let constant = |i: &Instr| if *i == Instr::Acc { Instr::Const(acc) } else { i.clone() };
    let instrs = step.epilogue.instrs.iter().map(constant).collect();
    Step { core: Core::Map, epilogue: Expr { instrs, ..step.epilogue.clone() }, ..step.clone() }
}
