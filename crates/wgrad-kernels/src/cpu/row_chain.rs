//! A chain of reductions and element-wise kernels, a block of rows at a time. Values without readers outside
//! the chain live in thread scratch.

use super::Reads;
use super::output::Shared;
use crate::SmallList;
use crate::row_chain::Chain;
use rayon::prelude::*;

/// Elements of all values worth a task of their own.
const TASK: usize = 64 << 10;

pub(crate) fn run(chain: &Chain, reads: Reads<'_>, outputs: SmallList<&mut [u32]>) {
    let program = &reads.prepared.first;
    for (out, width) in outputs.iter().zip(program.outputs()) {
        assert_eq!(out.len(), chain.rows * width, "an output holds all rows");
    }
    let outputs: SmallList<Shared> = outputs.into_iter().map(Shared::new).collect();
    let together = (TASK / chain.row().max(1)).clamp(1, chain.rows);
    (0..chain.rows.div_ceil(together)).into_par_iter().for_each(|t| {
        #[expect(unsafe_code, reason = "tasks' parts of several outputs")]
        // SAFETY: tasks have rows of their own, and the outputs are borrowed for all of this function.
        unsafe {
            program.rows(t * together..chain.rows.min((t + 1) * together), reads, &outputs);
        }
    });
}
