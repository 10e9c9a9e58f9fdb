//! Moves a bias's gradient into the kernel of its weights' gradient: both read the same `dy`, and the bias's
//! sum runs over the depth of the product.

use crate::plan::Draft;
use wgrad_graph::ops::ReduceKind;
use wgrad_kernels::{Core, Expr, Instr, Sums};
use wgrad_types::{AdapterClass, Caps, DType, View, numel};

/// Buffers a product with sums binds beside its operands: two results, two of parts, the scalars.
const OTHERS: usize = 5;

/// Moves sums over an operand's depth into the product reading it. On adapters only: the CPU's products would
/// not share the loads.
pub(crate) fn merge(drafts: &mut Vec<Draft>, caps: &Caps) {
    if caps.class == AdapterClass::Cpu {
        return;
    }
    let mut i = 0;
    while i < drafts.len() {
        let found = guest(&drafts[i]).and_then(|(spans, operand)| {
            let host = (0..drafts.len()).find_map(|h| Some((h, serves(&drafts[h], spans, operand, caps)?)));
            host.filter(|(h, _)| free_until(drafts, i, *h)).map(|(h, position)| (h, spans, position))
        });
        match found {
            Some((h, spans, operand)) => {
                let guest = drafts.remove(i);
                let host = &mut drafts[if h > i { h - 1 } else { h }];
                host.kernel.sums = Some(Sums { operand, spans, shape: guest.kernel.shape });
                host.kernel.outputs.extend(guest.kernel.outputs);
                host.kernel.in_place.push(None);
                host.outputs.extend(guest.outputs);
            }
            None => i += 1,
        }
    }
}

/// True if nothing between the sum and a later product reads the sum.
fn free_until(drafts: &[Draft], sum: usize, product: usize) -> bool {
    let between = drafts.get(sum + 1..product).unwrap_or_default();
    !between.iter().any(|d| d.operands.contains(&drafts[sum].outputs[0]))
}

/// Memory read by a plain sum as `[outer, kept, inner]`, and its buffer.
fn guest(draft: &Draft) -> Option<([usize; 3], usize)> {
    let Core::Reduce { kind: ReduceKind::Sum, axes, input_shape, prologue } = &draft.kernel.core else {
        return None;
    };
    let plain = draft.kernel.epilogue == Expr::identity() && draft.kernel.outputs == [DType::F32];
    let whole = match &prologue.instrs[..] {
        [Instr::Load { view, .. }] | [Instr::Load { view, .. }, Instr::Cast(0)] => {
            view.is_contiguous() && prologue.results == [prologue.instrs.len() - 1]
        }
        _ => false,
    };
    let is_float = matches!(draft.kernel.operands.first()?.dtype, DType::F32 | DType::F16);
    let kept: Vec<usize> =
        (0..input_shape.len()).filter(|d| !axes.contains(d) && input_shape[*d] != 1).collect();
    let (first, last) = (*kept.first()?, *kept.last()?);
    let together = !axes.iter().any(|d| (first..=last).contains(d) && input_shape[*d] != 1);
    let spans = [&input_shape[..first], &input_shape[first..=last], &input_shape[last + 1..]].map(numel);
    let all = numel(&spans) > 0 && numel(&spans) == draft.kernel.operands[0].numel();
    (plain && whole && is_float && together && all).then(|| (spans, draft.operands[0]))
}

/// Operand position at which a product reads the buffer with this depth.
fn serves(draft: &Draft, spans: [usize; 3], buffer: usize, caps: &Caps) -> Option<usize> {
    let kernel = &draft.kernel;
    let room = kernel.operands.len() + OTHERS <= caps.limits.storage_buffers;
    if kernel.sums.is_some() || kernel.outputs.len() != 1 || kernel.numel() == 0 || !room {
        return None;
    }
    let reads = |position: usize| draft.operands[position] == buffer;
    match &kernel.core {
        Core::Conv2dWeightGrad(spec) => {
            let dy = &kernel.operands[1].shape;
            // Depthwise variants are no products.
            let product = spec.groups == 1 || kernel.shape[1] > 1;
            (product && reads(1) && [dy[0], dy[1], dy[2] * dy[3]] == spans).then_some(1)
        }
        Core::MatMul { a, b } if a.shape.len() == 2 => {
            let row = |view: &View, row: usize| {
                let [kept, depth] = [row, 1 - row].map(|d| (view.shape[d], view.strides[d]));
                view.offset == 0 && view.mask.is_none() && walks(spans, kept, depth)
            };
            [row(a, 0), row(b, 1)].iter().enumerate().position(|(i, fits)| *fits && reads(i))
        }
        _ => None,
    }
}

/// True if a matrix of these extents and strides has the sum's kept axis as rows and the rest as depth.
fn walks([outer, n, inner]: [usize; 3], kept: (usize, isize), depth: (usize, isize)) -> bool {
    let columns = inner == 1 && depth == (outer, n as isize) && (kept == (n, 1));
    let rows = outer == 1 && depth == (inner, 1) && kept == (n, inner as isize);
    columns || rows
}
