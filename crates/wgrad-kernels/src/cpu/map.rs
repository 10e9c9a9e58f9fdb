//! Element-wise steps, and the epilogue that other twins apply to what they have computed.

use super::Reads;
use super::program::Program;
use crate::Step;
use rayon::prelude::*;

/// Elements a task takes: enough to hide the cost of handing it out.
const TASK: usize = 16 << 10;

/// Runs an element-wise step.
pub(crate) fn run(step: &Step, reads: Reads<'_>, outputs: Vec<&mut [u32]>) {
    let program = Program::expr(&step.epilogue, &step.in_place, &step.shape);
    let mut parts: Vec<Vec<&mut [u32]>> = Vec::new();
    for out in outputs {
        for (t, part) in out.chunks_mut(TASK).enumerate() {
            if parts.len() <= t {
                parts.push(Vec::new());
            }
            parts[t].push(part);
        }
    }
    let task = |(t, mut outs): (usize, Vec<&mut [u32]>)| program.range(t * TASK, reads, &mut outs);
    if parts.len() == 1 {
        parts.into_iter().enumerate().for_each(task);
    } else {
        parts.into_par_iter().enumerate().with_max_len(1).for_each(task);
    }
}

/// Applies a step's epilogue to core results that stand in `out`, elements `start ..` of the output.
pub(crate) fn epilogue(step: &Step, program: &Program, reads: Reads<'_>, start: usize, out: &mut [u32]) {
    if !step.epilogue.is_identity() {
        program.range(start, reads, &mut [out]);
    }
}

/// The epilogue's program.
pub(crate) fn code(step: &Step) -> Program {
    Program::epilogue(step)
}
