//! One layout for several graphs, so that their plans run over the same tensors: two players of a game, a gradient summed
//! over several batches and the update that uses it.

use crate::plan::{ParamLayout, ParamPlace, PlanError, PlanOptions, plan};
use wgrad_graph::Graph;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_types::Caps;

/// Where every tensor is that any of the graphs keeps. A tensor lies where the plan of the first graph that updates it
/// would have it, so that this plan's updates run as few kernels; else where the first graph that reads it would.
///
/// # Errors
/// Where a graph has no plan, or two graphs give a tensor different shapes.
pub fn common_layout(graphs: &[&Graph], caps: &Caps) -> Result<ParamLayout, PlanError> {
    let mut layouts = Vec::with_capacity(graphs.len());
    for graph in graphs {
        layouts.push(plan(graph, caps, &PlanOptions::default())?.layout);
    }
    let mut common = ParamLayout::default();
    for (graph, layout) in graphs.iter().zip(&layouts) {
        let updated = |p: &ParamPlace| {
            graph.updates.iter().any(|u| match &graph.node(u.target).op {
                Op::Leaf(Leaf::Param { name, role, .. }) => *name == p.name && *role == p.role,
                _ => false,
            })
        };
        take(&mut common, layout, &updated);
    }
    for layout in &layouts {
        take(&mut common, layout, &|_| true);
    }
    let missing = layouts.iter().flat_map(|l| &l.params).find(|p| !has(&common, p, true));
    missing.map_or(Ok(()), |p| Err(PlanError::Layout { name: p.name.clone() }))?;
    Ok(common)
}

/// Whether a layout has a tensor; with `alike` also of the same type.
fn has(layout: &ParamLayout, p: &ParamPlace, alike: bool) -> bool {
    layout.params.iter().any(|q| q.role == p.role && q.name == p.name && (!alike || q.ty == p.ty))
}

/// Adds the slots of `from` in which a wanted tensor lies that has no place yet.
fn take(common: &mut ParamLayout, from: &ParamLayout, wanted: &dyn Fn(&ParamPlace) -> bool) {
    for (number, slot) in from.slots.iter().enumerate() {
        let new = |p: &&ParamPlace| p.place.slot == number && !has(common, p, false);
        let inside: Vec<ParamPlace> = from.params.iter().filter(new).cloned().collect();
        if !inside.iter().any(wanted) {
            continue;
        }
        let at = common.slots.len();
        common.slots.push(slot.clone());
        common.params.extend(inside.into_iter().map(|mut p| {
            p.place.slot = at;
            p
        }));
    }
}
