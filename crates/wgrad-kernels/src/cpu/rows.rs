//! A chain of reductions and element-wise steps, a block of rows at a time: what one link leaves in the cache the next
//! finds there. Values that nothing outside reads live in a thread's own memory.

use super::chunk::Code;
use super::scratch::with_floats;
use super::{Reads, map, reduce};
use crate::rows::{Chain, Link, Source};
use crate::step::Core;
use rayon::prelude::*;

/// Elements of all values of a block of rows together: few enough for the caches, enough to pay for each link.
const BLOCK: usize = 16 << 10;
/// Elements of all values that are worth a task.
const TASK: usize = 64 << 10;

/// A link's code: of a reduction's prologue and of the rest.
struct Ready<'a> {
    link: &'a Link,
    prologue: Option<Code<'a>>,
    rest: Code<'a>,
}

impl<'a> Ready<'a> {
    fn new(link: &'a Link) -> Self {
        let step = &link.step;
        let prologue = match &step.core {
            Core::Reduce { prologue, input_shape, .. } => Some(Code::new(prologue, &[], input_shape)),
            _ => None,
        };
        Self { link, prologue, rest: Code::new(&step.epilogue, &[], &step.shape) }
    }
}

pub(crate) fn run(chain: &Chain, reads: Reads<'_>, outputs: Vec<&mut [u32]>) {
    let row = |v: usize| chain.values[v].ty.numel() / chain.rows;
    let block = (BLOCK / chain.row().max(1)).clamp(1, chain.rows);
    let together = (TASK / chain.row().max(1) / block).max(1) * block;
    // An output's rows, a part a task.
    let mut tasks: Vec<Vec<&mut [u32]>> =
        (0..chain.rows.div_ceil(together)).map(|_| Vec::with_capacity(outputs.len())).collect();
    for (o, out) in outputs.into_iter().enumerate() {
        let value = chain.values.iter().position(|v| v.output == Some(o)).expect("every output is a value");
        assert_eq!(out.len(), chain.rows * row(value), "an output holds all rows");
        out.chunks_mut(together * row(value)).zip(&mut tasks).for_each(|(part, task)| task.push(part));
    }
    let links: Vec<Ready<'_>> = chain.links.iter().map(Ready::new).collect();
    let inner: usize = (0..chain.values.len()).filter(|&v| chain.values[v].output.is_none()).map(row).sum();
    tasks.into_par_iter().enumerate().for_each(|(t, mut outs)| {
        let (first, end) = (t * together, ((t + 1) * together).min(chain.rows));
        with_floats([inner * block, 0], |own, _| {
            for at in (first..end).step_by(block) {
                let count = block.min(end - at);
                let mut rest: &mut [u32] = bytemuck::cast_slice_mut(&mut *own);
                let mut values: Vec<Option<&mut [u32]>> = Vec::with_capacity(chain.values.len());
                for (v, value) in chain.values.iter().enumerate() {
                    let n = row(v) * count;
                    values.push(Some(match value.output {
                        Some(o) => outs[o].split_off_mut(..n).expect("an output holds all rows"),
                        None => rest.split_off_mut(..n).expect("room for all values"),
                    }));
                }
                links.iter().for_each(|ready| one(chain, ready, reads, at, &mut values));
            }
        });
    });
}

/// Runs a link over a block of rows.
fn one(chain: &Chain, ready: &Ready<'_>, reads: Reads<'_>, first: usize, values: &mut [Option<&mut [u32]>]) {
    let link = ready.link;
    let mut writes: Vec<&mut [u32]> =
        link.writes.iter().map(|&v| values[v].take().expect("a value is written once")).collect();
    let place = |source: &Source| match *source {
        Source::Operand(i) => (reads.operands[i], 0),
        Source::Value(v) => {
            let words = values[v].as_deref().expect("no link reads what it writes");
            (words, first * (chain.values[v].ty.numel() / chain.rows))
        }
    };
    let (operands, origins): (Vec<&[u32]>, Vec<usize>) = link.reads.iter().map(place).unzip();
    let here = Reads { operands: &operands, origins: &origins, scalars: reads.scalars };
    match &ready.prologue {
        Some(prologue) => {
            reduce::rows(&link.step, chain.rows, [prologue, &ready.rest], here, first, writes[0]);
        }
        None => map::range(&ready.rest, here, first * (link.step.numel() / chain.rows), &mut writes),
    }
    for (&v, words) in link.writes.iter().zip(writes) {
        values[v] = Some(words);
    }
}
