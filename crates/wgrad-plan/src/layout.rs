//! One layout shared by the plans of several graphs: generator and discriminator of a GAN, or gradients
//! accumulated over several batches and their update.

use crate::PlanOptions;
use crate::plan::{ParamLayout, ParamPlace, PlanError};
use crate::planner::plan;
use wgrad_graph::Graph;
use wgrad_graph::ops::{Leaf, Op};
use wgrad_types::Caps;

/// Places of all persistent tensors of the graphs. A tensor lies as in the plan of the first graph that
/// updates it, so that this plan's updates merge into few kernels; otherwise as in the first graph that reads
/// it.
///
/// # Errors
/// If a graph has no plan, or two graphs give a tensor different shapes.
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

/// True if a layout has a tensor; with `alike`, of the same type too.
fn has(layout: &ParamLayout, p: &ParamPlace, alike: bool) -> bool {
    layout.params.iter().any(|q| q.role == p.role && q.name == p.name && (!alike || q.ty == p.ty))
}

/// Adds the slots of `from` holding wanted tensors not placed yet.
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
