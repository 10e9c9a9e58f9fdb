//! Element-wise kernels, and the epilogue applied by other twins to their results.

use super::Reads;
use super::output::Shared;
use crate::Kernel;
use crate::SmallList;
use rayon::prelude::*;

/// Elements a task takes: enough to hide the cost of handing it out.
const TASK: usize = 16 << 10;

/// Runs an element-wise kernel.
pub(crate) fn run(reads: Reads<'_>, outputs: SmallList<&mut [u32]>) {
    let program = &reads.prepared.last;
    let n = outputs[0].len();
    assert!(outputs.iter().all(|out| out.len() == n), "outputs of an element-wise kernel are alike");
    let outputs: SmallList<Shared> = outputs.into_iter().map(Shared::new).collect();
    let task = |t: usize| {
        #[expect(unsafe_code, reason = "tasks' parts of several outputs")]
        // SAFETY: tasks have ranges of their own, and the outputs are borrowed for all of this function.
        unsafe {
            program.elements(t * TASK..n.min((t + 1) * TASK), reads, &outputs);
        }
    };
    match n.div_ceil(TASK) {
        1 => task(0),
        tasks => (0..tasks).into_par_iter().with_max_len(1).for_each(task),
    }
}

/// Applies a kernel's epilogue in place to core results in `out`, elements `start ..` of the output.
pub(crate) fn epilogue(kernel: &Kernel, reads: Reads<'_>, start: usize, out: &mut [u32]) {
    if !kernel.epilogue.is_identity() {
        reads.prepared.last.range(start, reads, out);
    }
}
