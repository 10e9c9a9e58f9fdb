//! Element-wise steps, and the epilogue that other twins apply to what they have computed.

use super::Reads;
use super::gemm::Shared;
use crate::Step;
use rayon::prelude::*;

/// Elements a task takes: enough to hide the cost of handing it out.
const TASK: usize = 16 << 10;

/// Runs an element-wise step.
pub(crate) fn run(reads: Reads<'_>, outputs: Vec<&mut [u32]>) {
    let program = &reads.ready.last;
    let n = outputs[0].len();
    assert!(outputs.iter().all(|out| out.len() == n), "outputs of an element-wise step are alike");
    if n <= TASK {
        let mut outputs = outputs;
        return program.range(0, reads, &mut outputs);
    }
    let outputs: Vec<Shared> = outputs.into_iter().map(Shared::new).collect();
    (0..n.div_ceil(TASK)).into_par_iter().with_max_len(1).for_each(|t| {
        let (first, len) = (t * TASK, TASK.min(n - t * TASK));
        #[expect(unsafe_code, reason = "a task's part of each output without a list of all")]
        // SAFETY: tasks have ranges of their own, and the outputs are borrowed for all of this function.
        let part = |out: &Shared| unsafe { out.row(first, len) };
        few(outputs.iter().map(part), |outs| program.range(first, reads, outs));
    });
}

/// Slices side by side without memory of the heap, where they are as few as usual.
fn few<T: Default, R>(items: impl Iterator<Item = T>, f: impl FnOnce(&mut [T]) -> R) -> R {
    const FEW: usize = 8;
    let (mut side, mut count, mut items) = (<[T; FEW]>::default(), 0, items);
    for (to, item) in side.iter_mut().zip(items.by_ref().take(FEW)) {
        *to = item;
        count += 1;
    }
    match items.next() {
        None => f(&mut side[..count]),
        Some(next) => f(&mut side.into_iter().chain([next]).chain(items).collect::<Vec<_>>()),
    }
}

/// Applies a step's epilogue to core results that stand in `out`, elements `start ..` of the output.
pub(crate) fn epilogue(step: &Step, reads: Reads<'_>, start: usize, out: &mut [u32]) {
    if !step.epilogue.is_identity() {
        reads.ready.last.range(start, reads, &mut [out]);
    }
}
