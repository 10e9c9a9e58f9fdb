//! Merges optimizer updates: those with the same code run once over flat pages, whatever their tensors'
//! sizes. Each operand position (weights, gradients, each state) gets pages of its own with equal offsets. A
//! large tensor fills a launch by itself and is updated as early as possible, so that its gradient's memory
//! serves the next one.

use crate::plan::{Buffer, Draft, ParamLayout, Place, SlotKind};
use std::collections::BTreeMap;
use wgrad_graph::Role;
use wgrad_kernels::{Core, Expr, Instr};
use wgrad_types::{AdapterClass, Caps, Type, View};

/// Range of a page taken by a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub page: usize,
    pub offset: usize,
}

/// Pages and their members.
#[derive(Default)]
pub(crate) struct Pages {
    /// Size in bytes and kind of content.
    pub pages: Vec<(usize, SlotKind)>,
    /// Range of each buffer inside a page, if it is in one.
    pub members: Vec<Option<Member>>,
    /// Buffer standing for the whole of each page.
    pub whole: Vec<usize>,
}

/// Shape-independent code of an update, and its operands that are single values read by every element, by
/// buffer; `None` if it reads anything other than whole tensors in order.
fn signature(draft: &Draft) -> Option<(Expr, Vec<Option<usize>>)> {
    let mut shared = vec![None; draft.operands.len()];
    let mut expr = draft.kernel.epilogue.clone();
    if draft.kernel.core != Core::Map || draft.kernel.outputs.is_empty() || draft.scope != "optimizer" {
        return None;
    }
    for instr in &mut expr.instrs {
        match instr {
            Instr::Load { view, .. } if view.is_contiguous() => *view = View::contiguous(&[]),
            Instr::Load { operand, view }
                if view.is_uniform() && draft.kernel.operands[*operand].numel() == 1 =>
            {
                shared[*operand] = Some(draft.operands[*operand]);
                *view = View::contiguous(&[]);
            }
            Instr::Load { .. } | Instr::Index(_) | Instr::Random { .. } | Instr::Masked { .. } => {
                return None;
            }
            _ => {}
        }
    }
    Some((expr, shared))
}

/// Merges update kernels of one signature, as far as an existing layout allows.
pub(crate) fn updates(
    buffers: &mut Vec<Buffer>,
    drafts: &mut Vec<Draft>,
    caps: &Caps,
    layout: Option<&ParamLayout>,
) -> Pages {
    let mut pages = Pages { members: vec![None; buffers.len()], ..Pages::default() };
    let mut taken = vec![0usize; buffers.len()];
    for d in drafts.iter().filter(|d| signature(d).is_some()) {
        d.operands.iter().for_each(|&b| taken[b] += 1);
    }
    // Operands must belong to this update alone (a weight or state it overwrites, a gradient, possibly read
    // by norms before) or be shared by all.
    let own = |d: &Draft, shared: &[Option<usize>]| {
        d.operands.iter().zip(shared).all(|(&b, shared)| match buffers[b].kind {
            _ if shared.is_some() => !d.outputs.contains(&b),
            SlotKind::Param(Role::Weight | Role::State) => d.outputs.contains(&b) && taken[b] == 1,
            SlotKind::Gradient => taken[b] == 1,
            _ => false,
        }) && d.outputs.iter().all(|o| d.operands.contains(o) || taken[*o] == 0)
    };
    type Code = (Expr, Vec<Option<usize>>);
    let mut classes: Vec<(Code, Vec<Option<usize>>, Vec<usize>)> = Vec::new();
    for (i, d) in drafts.iter().enumerate() {
        let Some(code) = signature(d).filter(|code| own(d, &code.1)) else { continue };
        if d.kernel.numel() * 4 >= LARGE {
            continue;
        }
        match classes.iter_mut().find(|c| c.0 == code && c.1 == d.kernel.in_place) {
            Some(class) => class.2.push(i),
            None => classes.push((code, d.kernel.in_place.clone(), vec![i])),
        }
    }
    let mut gone = vec![false; drafts.len()];
    let mut merged = Vec::new();
    for ((_, shared), _, members) in classes.iter().filter(|c| c.2.len() > 1) {
        let alignment = caps.limits.offset_alignment;
        let together = match layout {
            Some(layout) => in_pages(drafts, buffers, members, layout, alignment),
            None => chunks(drafts, members, page_limit(caps), alignment),
        };
        for chunk in together {
            merged.push(merge(buffers, drafts, &mut pages, (&chunk, shared), alignment));
            chunk.iter().for_each(|&i| gone[i] = true);
        }
    }
    let mut index = 0;
    drafts.retain(|_| {
        index += 1;
        !gone[index - 1]
    });
    drafts.extend(merged);
    pages.members.resize(buffers.len(), None);
    pages
}

/// Bytes from which on a tensor is updated alone.
const LARGE: usize = 16 << 20;

/// Moves stand-alone updates forward to the first place where their operands exist and nobody else still
/// reads their targets.
pub(crate) fn hoist_updates(drafts: &mut [Draft], pages: &Pages) {
    for i in 0..drafts.len() {
        let update = &drafts[i];
        if signature(update).is_none() || update.outputs.iter().any(|o| pages.whole.contains(o)) {
            continue;
        }
        let before = |d: &Draft| {
            d.outputs.iter().any(|b| update.operands.contains(b) || update.outputs.contains(b))
                || d.operands.iter().any(|b| update.outputs.contains(b))
        };
        let to = drafts[..i].iter().rposition(before).map_or(0, |last| last + 1);
        drafts[to..=i].rotate_right(1);
    }
}

/// Maximum page size: half of the binding limit, which suits allocators.
fn page_limit(caps: &Caps) -> usize {
    match caps.class {
        AdapterClass::Cpu => 1 << 30,
        _ => caps.limits.binding_bytes.min(1 << 30),
    }
}

fn aligned(bytes: usize, alignment: usize) -> usize {
    bytes.next_multiple_of(alignment)
}

/// Consecutive members that fit into one page; a tensor too large for any page stays alone.
fn chunks(drafts: &[Draft], members: &[usize], limit: usize, alignment: usize) -> Vec<Vec<usize>> {
    let mut chunks: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for &i in members {
        let bytes = aligned(drafts[i].kernel.numel() * 4, alignment);
        if bytes > room || chunks.is_empty() {
            chunks.push(Vec::new());
            room = limit;
        }
        room = room.saturating_sub(bytes);
        chunks.last_mut().expect("a chunk was just pushed").push(i);
    }
    chunks.retain(|c| c.len() > 1);
    chunks
}

/// Members with persistent tensors in the same pages of a layout, in page order. If they do not fill the
/// pages from the front, because another plan merged others with them, they stay alone.
fn in_pages(
    drafts: &[Draft],
    buffers: &[Buffer],
    members: &[usize],
    layout: &ParamLayout,
    alignment: usize,
) -> Vec<Vec<usize>> {
    let place = |b: usize| -> Option<Place> {
        let SlotKind::Param(role) = buffers[b].kind else { return None };
        layout.params.iter().find(|p| p.role == role && p.name == buffers[b].name).map(|p| p.place)
    };
    let mut pages: BTreeMap<Vec<Option<usize>>, Vec<(usize, usize)>> = BTreeMap::new();
    for &i in members {
        let all: Vec<Option<Place>> =
            drafts[i].operands.iter().chain(&drafts[i].outputs).map(|&b| place(b)).collect();
        let mut offsets = all.iter().flatten().map(|p| p.offset);
        let Some(offset) = offsets.next().filter(|&first| offsets.all(|o| o == first)) else { continue };
        pages.entry(all.iter().map(|p| p.map(|p| p.slot)).collect()).or_default().push((offset, i));
    }
    let filled = |mut page: Vec<(usize, usize)>| {
        page.sort_unstable();
        let mut end = 0;
        let fits = page.iter().all(|&(offset, i)| {
            let here = offset == end;
            end += aligned(drafts[i].kernel.numel() * 4, alignment);
            here
        });
        (fits && page.len() > 1).then(|| page.into_iter().map(|m| m.1).collect())
    };
    pages.into_values().filter_map(filled).collect()
}

fn merge(
    buffers: &mut Vec<Buffer>,
    drafts: &[Draft],
    pages: &mut Pages,
    (members, shared): (&[usize], &[Option<usize>]),
    alignment: usize,
) -> Draft {
    let first = &drafts[members[0]];
    let mut offsets = Vec::new();
    let mut bytes = 0;
    for &i in members {
        offsets.push(bytes);
        bytes += aligned(drafts[i].kernel.numel() * 4, alignment);
    }
    let mut page = |position: &dyn Fn(&Draft) -> usize| {
        let kind = buffers[position(first)].kind;
        let id = pages.pages.len();
        pages.pages.push((bytes, kind));
        for (&i, &offset) in members.iter().zip(&offsets) {
            pages.members[position(&drafts[i])] = Some(Member { page: id, offset });
        }
        buffers.push(Buffer { ty: Type::f32(&[bytes / 4]), kind, leaf: None, name: String::new() });
        pages.whole.push(buffers.len() - 1);
        buffers.len() - 1
    };
    let operands: Vec<usize> = shared
        .iter()
        .enumerate()
        .map(|(j, shared)| shared.unwrap_or_else(|| page(&|d: &Draft| d.operands[j])))
        .collect();
    let outputs: Vec<usize> = first
        .kernel
        .in_place
        .iter()
        .enumerate()
        .map(|(o, j)| j.map_or_else(|| page(&|d: &Draft| d.outputs[o]), |j| operands[j]))
        .collect();
    let shape = vec![bytes / 4];
    let mut kernel = first.kernel.clone();
    for instr in &mut kernel.epilogue.instrs {
        if let Instr::Load { operand, view } = instr {
            *view = match shared[*operand] {
                Some(_) => View { strides: vec![0], ..View::contiguous(&shape) },
                None => View::contiguous(&shape),
            };
        }
    }
    let paged = kernel.operands.iter_mut().zip(shared).filter(|(_, shared)| shared.is_none());
    paged.for_each(|(ty, _)| *ty = Type::f32(&shape));
    kernel.shape = shape;
    Draft { kernel, scope: first.scope.clone(), operands, outputs }
}
