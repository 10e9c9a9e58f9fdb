//! A chain of reductions and element-wise steps, a block of rows at a time: what one operation leaves in the cache the
//! next finds there. Values that nothing outside reads live in a thread's own memory.

mod lane;
mod program;
mod run;

use super::Reads;
use super::tile::dispatch;
use crate::rows::Chain;
use program::Program;
use rayon::prelude::*;
use run::{Own, Run};
use std::cell::RefCell;

/// Elements of a block's widest value, where that is more than a row: few enough for the first-level cache.
const BLOCK: usize = 1024;
/// Elements of all values that are worth a task.
const TASK: usize = 64 << 10;

thread_local! {
    static OWN: RefCell<Own> = const { RefCell::new(Own::new()) };
}

pub(crate) fn run(chain: &Chain, reads: Reads<'_>, outputs: Vec<&mut [u32]>) {
    let program = Program::new(chain);
    let widest = program.nodes.iter().map(|n| n.width.max(n.reads)).max().unwrap_or(1).max(1);
    let block = (BLOCK / widest).clamp(1, chain.rows);
    let together = (TASK / chain.row().max(1) / block).max(1) * block;
    // An output's rows, a part a task.
    let mut tasks: Vec<Vec<&mut [u32]>> =
        (0..chain.rows.div_ceil(together)).map(|_| Vec::with_capacity(outputs.len())).collect();
    for (out, width) in outputs.into_iter().zip(&program.outputs) {
        assert_eq!(out.len(), chain.rows * width, "an output holds all rows");
        out.chunks_mut(together * width).zip(&mut tasks).for_each(|(part, task)| task.push(part));
    }
    tasks.into_par_iter().enumerate().for_each(|(t, mut outputs)| {
        let first = t * together;
        let rows = together.min(chain.rows - first);
        OWN.with_borrow_mut(|own| {
            dispatch(Run { program: &program, reads, outputs: &mut outputs, first, rows, block, own });
        });
    });
}
