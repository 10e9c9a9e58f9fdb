//! Element-wise steps, and the epilogue that other twins apply to what they have computed.

use super::Reads;
use super::chunk::{Code, Here};
use crate::Step;
use rayon::prelude::*;

/// Elements a task takes: enough to hide the cost of handing it out.
const TASK: usize = 16 << 10;

/// Runs an element-wise step.
pub(crate) fn run(step: &Step, reads: Reads<'_>, outputs: Vec<&mut [u32]>) {
    let code = Code::new(&step.epilogue, &step.in_place, &step.shape);
    let mut parts: Vec<Vec<&mut [u32]>> = Vec::new();
    for out in outputs {
        for (t, part) in out.chunks_mut(TASK).enumerate() {
            if parts.len() <= t {
                parts.push(Vec::new());
            }
            parts[t].push(part);
        }
    }
    let task = |(t, mut outs): (usize, Vec<&mut [u32]>)| range(&code, reads, t * TASK, &mut outs);
    if parts.len() == 1 {
        parts.into_iter().enumerate().for_each(task);
    } else {
        parts.into_par_iter().enumerate().with_max_len(1).for_each(task);
    }
}

/// Elements `first ..` of an element-wise step's outputs.
pub(crate) fn range(code: &Code<'_>, reads: Reads<'_>, first: usize, outs: &mut [&mut [u32]]) {
    let (total, mut at) = (outs[0].len(), 0);
    while at < total {
        let start = first + at;
        let len = code.chunk(start, total - at);
        if code.in_place() {
            let before: Vec<&[u32]> = outs.iter().map(|o| &o[at..at + len]).collect();
            // All outputs are computed before any is written.
            let here = Here { start, acc: &[], before: &before };
            code.eval(len, here, reads, &mut []);
            for (i, out) in outs.iter_mut().enumerate() {
                code.result(i, len, |words| out[at..at + len].copy_from_slice(words));
            }
        } else {
            let here = Here { start, acc: &[], before: &[] };
            match &mut *outs {
                [out] => code.eval(len, here, reads, &mut [&mut out[at..at + len]]),
                outs => {
                    let mut outs: Vec<&mut [u32]> = outs.iter_mut().map(|o| &mut o[at..at + len]).collect();
                    code.eval(len, here, reads, &mut outs);
                }
            }
        }
        at += len;
    }
}

/// Applies a step's epilogue to core results that stand in `out`, elements `start ..` of the output.
pub(crate) fn epilogue(step: &Step, code: &Code<'_>, reads: Reads<'_>, start: usize, out: &mut [u32]) {
    if step.epilogue.is_identity() {
        return;
    }
    let mut at = 0;
    while at < out.len() {
        let len = code.chunk(start + at, out.len() - at);
        let here = Here { start: start + at, acc: &out[at..at + len], before: &[] };
        code.eval(len, here, reads, &mut []);
        code.result(0, len, |words| out[at..at + len].copy_from_slice(words));
        at += len;
    }
}

/// The epilogue's code.
pub(crate) fn code(step: &Step) -> Code<'_> {
    Code::new(&step.epilogue, &[], &step.shape)
}
