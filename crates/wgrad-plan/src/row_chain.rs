//! Row chains: a reduction over trailing axes and its element-wise neighbours become one kernel, which keeps
//! rows in the cache or in workgroup memory and needs no buffer for values used inside the chain only.

use crate::plan::{Buffer, Draft, SlotKind};
use std::collections::{BTreeMap, BTreeSet};
use wgrad_kernels::row_chain::{Chain, Link, Source, Value, row_local, rows_of};
use wgrad_kernels::{Core, Expr, Kernel, has_row_chain};
use wgrad_types::{AdapterClass, Caps};

/// Fewer rows give a CPU's threads nothing to share.
const LEAST_ROWS: usize = 16;
/// Maximum number of kernels a chain reaches over.
const REACH: usize = 8;

/// Merges chains in `drafts`. `results` are the plan's result buffers.
pub(crate) fn merge(buffers: &[Buffer], drafts: &mut Vec<Draft>, results: &[usize], caps: &Caps) {
    let mut i = 0;
    while i < drafts.len() {
        if let Some((merged, members)) = longest(buffers, drafts, results, i, caps) {
            for &m in members.iter().skip(1).rev() {
                drafts.remove(m);
            }
            drafts[i] = merged;
        }
        i += 1;
    }
}

/// The longest chain beginning at a kernel that the device has a kernel for, and its members.
fn longest(
    buffers: &[Buffer],
    drafts: &[Draft],
    results: &[usize],
    start: usize,
    caps: &Caps,
) -> Option<(Draft, Vec<usize>)> {
    let cpu = caps.class == AdapterClass::Cpu;
    let (rows, mut members) = chain_from(buffers, drafts, start, if cpu { LEAST_ROWS } else { 1 })?;
    while members.len() > 1 && members.iter().any(|&m| matches!(drafts[m].kernel.core, Core::Reduce { .. })) {
        let merged = build(buffers, drafts, results, rows, &members);
        if cpu || has_row_chain(&merged.kernel, caps) {
            return Some((merged, members));
        }
        members.pop();
    }
    None
}

/// Rows of a kernel that can be a link: it computes row by row, into memory of its own.
fn fits(buffers: &[Buffer], draft: &Draft) -> Option<usize> {
    let own = |&b: &usize| !matches!(buffers[b].kind, SlotKind::Param(_)) && buffers[b].ty.numel() > 0;
    let own = draft.scope != "optimizer" && draft.outputs.iter().all(own);
    rows_of(&draft.kernel).filter(|_| own)
}

/// The chain of `least` rows or more beginning at a kernel: its rows and members.
fn chain_from(
    buffers: &[Buffer],
    drafts: &[Draft],
    start: usize,
    least: usize,
) -> Option<(usize, Vec<usize>)> {
    fits(buffers, &drafts[start])?;
    // An element-wise kernel takes its number of rows from the first reduction after it.
    let near = drafts[start..].iter().take(REACH).filter_map(|d| fits(buffers, d));
    let rows = near.into_iter().find(|&r| r > 0).filter(|&r| r >= least)?;
    let mut members: Vec<usize> = Vec::new();
    let mut inside: BTreeSet<usize> = BTreeSet::new();
    let mut beyond: BTreeSet<usize> = BTreeSet::new();
    let mut skipped = 0;
    for (i, draft) in drafts.iter().enumerate().skip(start) {
        let joins = fits(buffers, draft).is_some_and(|own| own == rows || own == 0)
            && draft.outputs.iter().all(|&b| buffers[b].ty.numel().is_multiple_of(rows))
            && (i == start || draft.operands.iter().any(|b| inside.contains(b)))
            && !draft.operands.iter().any(|b| beyond.contains(b))
            && draft.operands.iter().enumerate().all(|(j, b)| {
                !inside.contains(b) || row_local(&draft.kernel, j, buffers[*b].ty.numel(), rows)
            });
        if joins {
            members.push(i);
            inside.extend(&draft.outputs);
        } else if i == start || skipped == REACH {
            break;
        } else {
            skipped += 1;
            beyond.extend(&draft.outputs);
        }
    }
    Some((rows, members))
}

/// The members as one kernel.
fn build(buffers: &[Buffer], drafts: &[Draft], results: &[usize], rows: usize, members: &[usize]) -> Draft {
    let outside = |b: usize| {
        results.contains(&b)
            || buffers[b].kind != SlotKind::Activation
            || drafts.iter().enumerate().any(|(i, d)| !members.contains(&i) && d.operands.contains(&b))
    };
    let (mut operands, mut outputs): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let (mut links, mut values): (Vec<Link>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut value_of: BTreeMap<usize, usize> = BTreeMap::new();
    for draft in members.iter().map(|&m| &drafts[m]) {
        let mut source = |&b: &usize| match value_of.get(&b) {
            Some(&v) => Source::Value(v),
            None => Source::Operand(operands.iter().position(|&o| o == b).unwrap_or_else(|| {
                operands.push(b);
                operands.len() - 1
            })),
        };
        let reads = draft.operands.iter().map(&mut source).collect();
        let mut writes = Vec::new();
        for &b in &draft.outputs {
            let output = outside(b).then(|| {
                outputs.push(b);
                outputs.len() - 1
            });
            value_of.insert(b, values.len());
            writes.push(values.len());
            values.push(Value { ty: buffers[b].ty.clone(), output });
        }
        links.push(Link { kernel: draft.kernel.clone(), reads, writes });
    }
    let first = &drafts[members[0]];
    let kernel = Kernel {
        operands: operands.iter().map(|&b| buffers[b].ty.clone()).collect(),
        shape: values
            .iter()
            .map(|v| &v.ty)
            .max_by_key(|t| t.numel())
            .map(|t| t.shape.clone())
            .unwrap_or_default(),
        epilogue: Expr::default(),
        outputs: outputs.iter().map(|&b| buffers[b].ty.dtype).collect(),
        sums: None,
        in_place: vec![None; outputs.len()],
        core: Core::RowChain(Chain { rows, links, values }),
    };
    Draft { kernel, scope: first.scope.clone(), operands, outputs }
}
