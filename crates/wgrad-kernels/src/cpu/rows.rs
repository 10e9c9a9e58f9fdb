//! A chain of reductions and element-wise steps, a block of rows at a time. Values that nothing outside reads live in a
//! thread's own memory.

use super::Reads;
use crate::rows::Chain;
use rayon::prelude::*;

/// Elements of all values that are worth a task.
const TASK: usize = 64 << 10;

pub(crate) fn run(chain: &Chain, reads: Reads<'_>, outputs: Vec<&mut [u32]>) {
    let program = &reads.ready.first;
    let together = (TASK / chain.row().max(1)).clamp(1, chain.rows);
    // An output's rows, a part a task.
    let mut tasks: Vec<Vec<&mut [u32]>> =
        (0..chain.rows.div_ceil(together)).map(|_| Vec::with_capacity(outputs.len())).collect();
    for (out, width) in outputs.into_iter().zip(program.outputs()) {
        assert_eq!(out.len(), chain.rows * width, "an output holds all rows");
        out.chunks_mut(together * width).zip(&mut tasks).for_each(|(part, task)| task.push(part));
    }
    tasks.into_par_iter().enumerate().for_each(|(t, mut outputs)| {
        let first = t * together;
        program.rows(first, together.min(chain.rows - first), reads, &mut outputs);
    });
}
