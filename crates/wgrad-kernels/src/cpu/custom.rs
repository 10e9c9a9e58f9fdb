//! A user's operation on the CPU. A panic of its function becomes an error of the kernel.

use super::{Failed, Reads};
use crate::Kernel;
use crate::SmallList;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad_graph::ops::{CustomOp, Operand};

pub(crate) fn run(
    kernel: &Kernel,
    op: &dyn CustomOp,
    reads: Reads<'_>,
    out: &mut [u32],
) -> Result<(), Failed> {
    let types = kernel.operands.iter().enumerate();
    let operands: SmallList<Operand<'_>> =
        types.map(|(i, ty)| Operand { shape: &ty.shape, data: reads.f32(i) }).collect();
    let y: &mut [f32] = bytemuck::cast_slice_mut(out);
    // Only `y` outlives the function, and its contents are irrelevant after an error.
    catch_unwind(AssertUnwindSafe(|| op.cpu(&operands, y)))
        .map_err(|panic| Failed(format!("its CPU function panicked: {}", message(&*panic))))
}

/// A panic's message, on one line.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.map_or_else(
        || "without a word".to_owned(),
        |t| t.lines().map(str::trim).collect::<Vec<_>>().join(" "),
    )
}
