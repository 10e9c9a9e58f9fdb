//! Memory: lifetimes, best-fit slots, element-wise results in place of operands at their last use.

use crate::PlanOptions;
use crate::cost::cost;
use crate::merge::Pages;
use crate::plan::{
    Buffer, Draft, Flow, Named, ParamLayout, ParamPlace, Place, Plan, PlanError, PlannedKernel, Slot,
    SlotKind,
};
use std::collections::{BTreeMap, BTreeSet};
use wgrad_graph::Graph;
use wgrad_graph::ops::{Leaf, Op, OpDef};
use wgrad_kernels::{Core, Instr, Variant};
use wgrad_types::{AdapterClass, Caps, HostTensor};

/// Everything decided before memory.
pub(crate) struct Drafts {
    pub buffers: Vec<Buffer>,
    pub drafts: Vec<Draft>,
    pub outputs: Vec<(String, usize)>,
    pub pages: Pages,
    pub scalars: Vec<String>,
}

/// Size of a buffer: at least a word and whole vec4s, so that no binding is empty or ragged.
fn footprint(bytes: usize) -> usize {
    bytes.max(4).next_multiple_of(16)
}

struct Placer<'a> {
    slots: Vec<Slot>,
    free: Vec<usize>,
    places: Vec<Option<Place>>,
    pages: &'a Pages,
    page_slots: Vec<Option<usize>>,
}

impl Placer<'_> {
    fn slot(&mut self, bytes: usize, kind: SlotKind) -> usize {
        self.slots.push(Slot { bytes: footprint(bytes), kind });
        self.slots.len() - 1
    }

    /// Range of a buffer inside a page, or of the page itself.
    fn paged(&mut self, b: usize, bytes: usize) -> Option<Place> {
        let (page, offset) = match self.pages.members[b] {
            Some(m) => (m.page, m.offset),
            None => (self.pages.whole.iter().position(|&w| w == b)?, 0),
        };
        if self.page_slots[page].is_none() {
            let (size, kind) = self.pages.pages[page];
            self.page_slots[page] = Some(self.slot(size, kind));
        }
        Some(Place { slot: self.page_slots[page]?, offset, bytes })
    }

    fn new_slot(&mut self, bytes: usize, kind: SlotKind) -> Place {
        Place { slot: self.slot(bytes, kind), offset: 0, bytes }
    }

    /// A free slot: the smallest large enough, else the largest one grown, else a new one of this kind.
    fn passing(&mut self, bytes: usize, kind: SlotKind) -> Place {
        let size = footprint(bytes);
        let fits = self
            .free
            .iter()
            .copied()
            .filter(|&s| self.slots[s].bytes >= size)
            .min_by_key(|&s| (self.slots[s].bytes, s));
        // A slot far too large is left for larger values.
        let chosen = fits.filter(|&s| self.slots[s].bytes <= size.saturating_mul(8)).or_else(|| {
            let largest = self.free.iter().copied().max_by_key(|&s| (self.slots[s].bytes, s))?;
            (self.slots[largest].bytes < size && self.slots[largest].bytes * 4 >= size).then_some(largest)
        });
        match chosen {
            Some(s) => {
                self.free.retain(|&f| f != s);
                self.slots[s].bytes = self.slots[s].bytes.max(size);
                Place { slot: s, offset: 0, bytes }
            }
            None => self.new_slot(bytes, kind),
        }
    }

    /// True if a buffer's memory is reused after its last reader: activations, and gradients outside pages.
    fn passes(&self, buffers: &[Buffer], b: usize) -> bool {
        match buffers[b].kind {
            SlotKind::Activation => true,
            SlotKind::Gradient => self.pages.members[b].is_none() && !self.pages.whole.contains(&b),
            _ => false,
        }
    }
}

/// Chooses kernels and places every buffer.
pub(crate) fn place(
    graph: &Graph,
    caps: &Caps,
    options: &PlanOptions<'_>,
    d: Drafts,
) -> Result<Plan, PlanError> {
    let layout = options.layout;
    let Drafts { buffers, mut drafts, outputs, pages, scalars } = d;
    let mut flow = flow(&buffers, &drafts, &outputs, &pages);
    let mut last = vec![None; buffers.len()];
    for (i, d) in drafts.iter().enumerate() {
        for &b in &d.operands {
            last[b] = Some(i);
        }
    }
    let mut placer = Placer {
        slots: layout.map(|l| l.slots.clone()).unwrap_or_default(),
        free: Vec::new(),
        places: vec![None; buffers.len()],
        page_slots: vec![None; pages.pages.len()],
        pages: &pages,
    };
    let layout = params(&buffers, &mut placer, layout)?;
    let mut inputs = Vec::new();
    let mut literals = Vec::new();
    for (b, buffer) in buffers.iter().enumerate() {
        let bytes = buffer.ty.bytes();
        match buffer.kind {
            SlotKind::Input => {
                let place = placer.new_slot(bytes, SlotKind::Input);
                placer.places[b] = Some(place);
                inputs.push(Named { name: buffer.name.clone(), ty: buffer.ty.clone(), place });
            }
            SlotKind::Literal => {
                let place = placer.new_slot(bytes, SlotKind::Literal);
                placer.places[b] = Some(place);
                let node = graph.node(buffer.leaf.expect("literals are leaves"));
                literals.push((place, literal(node)));
            }
            _ => {}
        }
    }
    let written: BTreeSet<usize> = drafts.iter().flat_map(|d| d.outputs.iter().copied()).collect();
    let constant: Vec<bool> = (0..buffers.len())
        .map(|b| {
            let param = matches!(buffers[b].kind, SlotKind::Param(_));
            param && !written.contains(&b) && pages.members[b].is_none()
        })
        .collect();
    let mut kernels = Vec::with_capacity(drafts.len());
    for (i, draft) in drafts.iter_mut().enumerate() {
        take_over(draft, &buffers, &last, i);
        let draft = &*draft;
        let mut given_away = Vec::new();
        for (o, &b) in draft.outputs.iter().enumerate() {
            if placer.places[b].is_some() {
                continue;
            }
            let bytes = buffers[b].ty.bytes();
            let over = draft.kernel.in_place[o].map(|j| draft.operands[j]);
            let place = match (placer.paged(b, bytes), over) {
                (Some(place), _) => place,
                (None, Some(from)) => {
                    given_away.push(from);
                    let place = placer.places[from].expect("an operand is placed before its reader");
                    Place { bytes, ..place }
                }
                (None, None) if placer.passes(&buffers, b) => placer.passing(bytes, buffers[b].kind),
                (None, None) => placer.new_slot(bytes, buffers[b].kind),
            };
            placer.places[b] = Some(place);
        }
        check_bindings(draft, caps, &buffers)?;
        let rank = if options.only.is_none_or(|only| only == i) { options.variant } else { 0 };
        let variant = choose(draft, caps, options, rank)?;
        let kept =
            if options.packed && caps.class == AdapterClass::Cpu { packed(draft, &constant) } else { None };
        let scratch: Vec<Place> = match kept {
            Some((_, bytes)) => vec![placer.new_slot(bytes, SlotKind::Packed)],
            None => scratch(draft, caps, &variant)
                .iter()
                .map(|&b| placer.passing(b, SlotKind::Activation))
                .collect(),
        };
        let at = |placer: &mut Placer<'_>, b: usize| {
            placer.places[b]
                .or_else(|| placer.paged(b, buffers[b].ty.bytes()))
                .expect("every buffer read is placed")
        };
        let operands: Vec<Place> = draft.operands.iter().map(|&b| at(&mut placer, b)).collect();
        let results: Vec<Place> = draft.outputs.iter().map(|&b| at(&mut placer, b)).collect();
        // Free dead buffers: operands not taken over, results without readers, scratch.
        let mut dead: Vec<usize> = scratch.iter().map(|p| p.slot).collect();
        for &b in draft.operands.iter().chain(&draft.outputs) {
            let over = last[b].is_none_or(|l| l <= i);
            if placer.passes(&buffers, b) && over && !given_away.contains(&b) {
                dead.push(placer.places[b].expect("placed above").slot);
            }
        }
        for s in dead {
            let lent = matches!(placer.slots[s].kind, SlotKind::Activation | SlotKind::Gradient)
                && !placer.page_slots.contains(&Some(s));
            if lent && !placer.free.contains(&s) {
                placer.free.push(s);
            }
        }
        kernels.push(PlannedKernel {
            cost: cost(&draft.kernel),
            kernel: draft.kernel.clone(),
            scope: draft.scope.clone(),
            operands,
            outputs: results,
            scratch,
            packed: kept.map(|k| k.0),
            variant,
        });
    }
    let outputs = outputs
        .into_iter()
        .map(|(name, b)| {
            let place = placer.places[b].expect("results are computed");
            Named { name, ty: buffers[b].ty.clone(), place }
        })
        .collect();
    let leaves = (0..buffers.len()).filter(|&b| buffers[b].leaf.is_some());
    flow.given = leaves.filter_map(|b| Some((b, placer.places[b]?))).collect();
    Ok(Plan { slots: placer.slots, kernels, inputs, outputs, layout, literals, scalars, flow })
}

/// Values read and written per kernel, before memory is placed.
fn flow(buffers: &[Buffer], drafts: &[Draft], outputs: &[(String, usize)], pages: &Pages) -> Flow {
    let mut in_page: BTreeMap<usize, Vec<(usize, usize, usize)>> = BTreeMap::new();
    for (b, member) in pages.members.iter().enumerate() {
        let Some(m) = member else { continue };
        in_page.entry(pages.whole[m.page]).or_default().push((b, m.offset, buffers[b].ty.bytes()));
    }
    Flow {
        reads: drafts.iter().map(|d| d.operands.clone()).collect(),
        writes: drafts.iter().map(|d| d.outputs.clone()).collect(),
        given: Vec::new(),
        results: outputs.iter().map(|o| o.1).collect(),
        pages: in_page,
    }
}

/// Places persistent tensors: by the layout given, or anew (pages first come from merged updates).
fn params(
    buffers: &[Buffer],
    placer: &mut Placer<'_>,
    given: Option<&ParamLayout>,
) -> Result<ParamLayout, PlanError> {
    let mut params = Vec::new();
    for (b, buffer) in buffers.iter().enumerate() {
        let (SlotKind::Param(role), Some(_)) = (buffer.kind, buffer.leaf) else { continue };
        let place = match given {
            Some(layout) => {
                let missing = || PlanError::Layout { name: buffer.name.clone() };
                let same = |p: &&ParamPlace| p.role == role && p.name == buffer.name && p.ty == buffer.ty;
                let place = layout.params.iter().find(same).ok_or_else(missing)?.place;
                if let Some(m) = placer.pages.members[b] {
                    let slot = *placer.page_slots[m.page].get_or_insert(place.slot);
                    if (place.slot, place.offset) != (slot, m.offset) {
                        return Err(missing());
                    }
                }
                place
            }
            None => match placer.paged(b, buffer.ty.bytes()) {
                Some(place) => place,
                None => placer.new_slot(buffer.ty.bytes(), buffer.kind),
            },
        };
        placer.places[b] = Some(place);
        params.push(ParamPlace { name: buffer.name.clone(), role, ty: buffer.ty.clone(), place });
    }
    match given {
        Some(layout) => Ok(layout.clone()),
        None => Ok(ParamLayout { slots: placer.slots.clone(), params }),
    }
}

fn literal(node: &wgrad_graph::Node) -> HostTensor {
    match &node.op {
        Op::Leaf(leaf @ Leaf::Literal { .. }) => leaf.reference(&[]).to_host(node.ty.dtype),
        op => unreachable!("{} is no literal", op.variant()),
    }
}

/// Writes an element-wise result over an operand at its last use, element by element.
fn take_over(draft: &mut Draft, buffers: &[Buffer], last: &[Option<usize>], i: usize) {
    if draft.kernel.core != Core::Map || draft.outputs.len() != 1 || draft.kernel.in_place[0].is_some() {
        return;
    }
    let out = draft.outputs[0];
    if buffers[out].kind != SlotKind::Activation {
        return;
    }
    let fits = |j: usize| {
        let b = draft.operands[j];
        let only_in_order = draft.kernel.epilogue.instrs.iter().all(|instr| match instr {
            Instr::Load { operand, view } if *operand == j => view.is_contiguous(),
            _ => true,
        });
        buffers[b].kind == SlotKind::Activation
            && last[b] == Some(i)
            && buffers[b].ty.numel() == draft.kernel.numel()
            && buffers[b].ty.bytes() == buffers[out].ty.bytes()
            && only_in_order
    };
    draft.kernel.in_place[0] = (0..draft.operands.len()).find(|&j| fits(j));
}

fn choose(draft: &Draft, caps: &Caps, options: &PlanOptions<'_>, rank: usize) -> Result<Variant, PlanError> {
    if caps.class == AdapterClass::Cpu {
        return Ok(Variant { name: String::new(), launches: Vec::new(), scratch: Vec::new() });
    }
    let kernel = place_name(draft);
    let mut found = wgrad_kernels::variants(&draft.kernel, caps)
        .map_err(|e| PlanError::Unsupported { kernel: kernel.clone(), why: e.0 })?;
    match found.len() {
        0 => Err(PlanError::Unsupported { kernel, why: "no kernel variant".into() }),
        n => {
            let chosen = options.choices.and_then(|choices| choices.of(&found));
            Ok(found.swap_remove(chosen.unwrap_or(rank.min(n - 1))))
        }
    }
}

/// The constant operand packed by the draft's kernel, and its packed size in bytes.
fn packed(draft: &Draft, constant: &[bool]) -> Option<(usize, usize)> {
    let (operand, words) = wgrad_kernels::cpu::packed(&draft.kernel)?;
    constant[draft.operands[operand]].then_some((operand, words * 4))
}

fn scratch(draft: &Draft, caps: &Caps, variant: &Variant) -> Vec<usize> {
    if caps.class != AdapterClass::Cpu {
        return variant.scratch.clone();
    }
    match wgrad_kernels::cpu::scratch_words(&draft.kernel) {
        0 => Vec::new(),
        words => vec![words * 4],
    }
}

/// Names a tensor too large to bind before kernels are asked for.
fn check_bindings(draft: &Draft, caps: &Caps, buffers: &[Buffer]) -> Result<(), PlanError> {
    let limit = caps.limits.binding_bytes;
    let all = draft.operands.iter().chain(&draft.outputs).map(|&b| &buffers[b]);
    match all.max_by_key(|b| b.ty.bytes()) {
        Some(buffer) if buffer.ty.bytes() > limit => {
            let (what, bytes) = (format!("a tensor of {}", place_name(draft)), buffer.ty.bytes());
            let batched = !matches!(buffer.kind, SlotKind::Param(_) | SlotKind::Gradient | SlotKind::Literal);
            let remedy = if batched {
                "a smaller batch or a narrower model"
            } else {
                "a narrower model or another device"
            };
            Err(PlanError::TooLarge { what, bytes, limit, remedy })
        }
        _ => Ok(()),
    }
}

/// A kernel and its layer, for messages.
fn place_name(draft: &Draft) -> String {
    let scope = if draft.scope.is_empty() { "the loss" } else { &draft.scope };
    format!("{} in {scope}", draft.kernel.name())
}
