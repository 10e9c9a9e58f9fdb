//! Rows in registers: operands that several loops read are loaded once.

use super::{Group, groups, here, reduction};
use crate::expr::{Expr, Instr};
use crate::kernel::{Core, Kernel};
use crate::row_chain::{Chain, Link, Source, Value};
use wgrad_types::{Type, View};

/// Most trips of a loop that is written out, and most elements (or quads) per lane of all values in registers.
const MAX_TRIPS: usize = 32;
const MAX_ELEMENTS: usize = 96;

/// True if loops over `count` elements (or quads) keep values in registers.
pub(super) fn fits(count: usize, lanes: usize) -> bool {
    count.div_ceil(lanes) <= MAX_TRIPS
}

/// The chain with a link, before the first reader, for each operand that several loops read at the element computed.
pub(super) fn cached(kernel: &Kernel, chain: &Chain, lanes: usize, unit: usize) -> Chain {
    let mut chain = chain.clone();
    let mut room = MAX_ELEMENTS;
    for (o, ty) in kernel.operands.iter().enumerate() {
        let width = ty.numel() / chain.rows;
        let trips = (width / unit).div_ceil(lanes);
        let readers = readers(&chain, o, ty);
        if width > 1 && fits(width / unit, lanes) && trips <= room && several(&groups(&chain), &readers) {
            room -= trips;
            insert(&mut chain, o, ty, &readers);
        }
    }
    chain
}

/// Links reading operand `o`; none if one of them reads it elsewhere than at the element it computes.
fn readers(chain: &Chain, o: usize, ty: &Type) -> Vec<usize> {
    let mut found = Vec::new();
    for (l, link) in chain.links.iter().enumerate() {
        let mut operands = (0..link.reads.len()).filter(|&r| link.reads[r] == Source::Operand(o)).peekable();
        if operands.peek().is_none() {
            continue;
        }
        let whole = super::width(link, chain.rows) * chain.rows == ty.numel();
        let (inner, outer) = match reduction(&link.kernel) {
            Some((_, prologue)) => (prologue, Some(&link.kernel.epilogue)),
            None => (&link.kernel.epilogue, None),
        };
        let outside = |r: usize| outer.is_some_and(|e| super::reads(e, r));
        if !whole || operands.any(|r| !here(inner, r, ty.numel()) || outside(r)) {
            return Vec::new();
        }
        found.push(l);
    }
    found
}

fn several(groups: &[Group], links: &[usize]) -> bool {
    groups.iter().filter(|g| g.links.iter().any(|l| links.contains(l))).count() > 1
}

/// Reads an operand by a link of its own.
fn insert(chain: &mut Chain, o: usize, ty: &Type, readers: &[usize]) {
    let value = chain.values.len();
    chain.values.push(Value { ty: ty.clone(), output: None });
    for &l in readers {
        let reads = chain.links[l].reads.iter_mut().filter(|r| **r == Source::Operand(o));
        reads.for_each(|r| *r = Source::Value(value));
    }
    let shape = vec![chain.rows, ty.numel() / chain.rows];
    let load = Instr::Load { operand: 0, view: View::contiguous(&shape) };
    let kernel = Kernel {
        core: Core::Map,
        operands: vec![ty.clone()],
        shape,
        epilogue: Expr { instrs: vec![load], dtypes: vec![ty.dtype], results: vec![0] },
        outputs: vec![ty.dtype],
        sums: None,
        in_place: vec![None],
    };
    chain.links.insert(readers[0], Link { kernel, reads: vec![Source::Operand(o)], writes: vec![value] });
}
