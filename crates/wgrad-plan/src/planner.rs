//! The function `plan`: kernels in order, and the passes over them.

use crate::emit::{Context, Emitted, MustStore};
use crate::fuse::{Class, class, fuse};
use crate::plan::{Buffer, Draft, Plan, PlanError, SlotKind};
use crate::{PlanOptions, attention, memory, merge, row_chain, sums};
use std::collections::{BTreeMap, BTreeSet};
use wgrad_graph::ops::{Leaf, Op};
use wgrad_graph::{Graph, Value, simplify};
use wgrad_types::{AdapterClass, Caps, Type};

/// Plans a graph for an adapter.
///
/// # Errors
/// If a tensor or kernel exceeds the adapter's limits, or the layout lacks a parameter.
pub fn plan(graph: &Graph, caps: &Caps, options: &PlanOptions<'_>) -> Result<Plan, PlanError> {
    let mut graph = simplify(graph);
    graph.materialized = graph.materialized.iter().map(|&v| behind_reshapes(&graph, v)).collect();
    let scalars = scalar_names(&graph);
    let mut forced = BTreeSet::new();
    let (mut buffers, mut drafts, outputs) = loop {
        match draft(&graph, &forced, &scalars, caps) {
            Ok(done) => break done,
            Err(MustStore(v)) => assert!(forced.insert(v), "a forced value is read as it is"),
        }
    };
    if !caps.f16 {
        buffers.iter_mut().for_each(|b| b.ty = b.ty.widened());
        drafts.iter_mut().for_each(|d| d.kernel = d.kernel.widened());
    }
    attention::merge(&mut drafts);
    sums::merge(&mut drafts, caps);
    let pages = merge::updates(&mut buffers, &mut drafts, caps, options.layout);
    merge::hoist_updates(&mut drafts, &pages);
    let results: Vec<usize> = outputs.iter().map(|o| o.1).collect();
    row_chain::merge(&buffers, &mut drafts, &results, caps);
    memory::place(&graph, caps, options, memory::Drafts { buffers, drafts, outputs, pages, scalars })
}

/// Value behind a chain of reshapes, with the same memory.
fn behind_reshapes(graph: &Graph, v: Value) -> Value {
    match graph.node(v).op {
        Op::Reshape(_) => behind_reshapes(graph, graph.node(v).inputs[0]),
        _ => v,
    }
}

fn scalar_names(graph: &Graph) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for node in &graph.nodes {
        if let Op::Leaf(Leaf::Scalar { name }) = &node.op
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

type Drafted = (Vec<Buffer>, Vec<Draft>, Vec<(String, usize)>);

/// Kernels in order, their buffers, and the named results.
fn draft(
    graph: &Graph,
    forced: &BTreeSet<Value>,
    scalars: &[String],
    caps: &Caps,
) -> Result<Drafted, MustStore> {
    let fusion = fuse(graph, forced);
    let max_buffers = if caps.class == AdapterClass::Cpu { usize::MAX } else { caps.limits.storage_buffers };
    let cx = Context { graph, fusion: &fusion, scalars, max_buffers };
    let updates = update_kernels(&cx)?;
    let mut copies = Vec::new();
    for (name, v) in &graph.outputs {
        // A result computed by a kernel is read in place; leaves and views are copied.
        let own = fusion.stored[v.index()] && class(&graph.node(*v).op) != Class::Stored;
        copies.push((name, *v, if own { None } else { Some(cx.map(&[(*v, None)])?) }));
    }
    // From the results backwards: a node's kernel is written only if something reads its memory.
    let mut needed: BTreeSet<Value> = BTreeSet::new();
    for e in updates.iter().map(|u| &u.0).chain(copies.iter().filter_map(|c| c.2.as_ref())) {
        needed.extend(&e.operands);
    }
    needed.extend(copies.iter().filter(|c| c.2.is_none()).map(|c| c.1));
    let mut kernels: Vec<(Value, Emitted)> = Vec::new();
    for i in (0..graph.nodes.len()).rev() {
        let v = Value(i as u32);
        if needed.contains(&v) && class(&graph.node(v).op) != Class::Stored {
            let emitted = cx.node(v)?;
            needed.extend(&emitted.operands);
            kernels.push((v, emitted));
        }
    }
    kernels.reverse();
    let materialized: BTreeSet<Value> = graph.materialized.iter().copied().collect();
    let results: BTreeSet<Value> = copies.iter().filter(|c| c.2.is_none()).map(|c| c.1).collect();
    let mut table = Table { graph, buffers: Vec::new(), of: BTreeMap::new() };
    for i in (0..graph.nodes.len()).filter(|&i| fusion.live[i] && class(&graph.nodes[i].op) == Class::Stored)
    {
        table.leaf(Value(i as u32));
    }
    let mut drafts = Vec::new();
    for (v, emitted) in kernels {
        let kind = match (results.contains(&v), materialized.contains(&v)) {
            (true, _) => SlotKind::Output,
            (_, true) => SlotKind::Gradient,
            _ => SlotKind::Activation,
        };
        let out = table.buffer(graph.ty(v).clone(), kind, None, String::new());
        table.of.insert(v, out);
        let operands = emitted.operands.iter().map(|v| table.of[v]).collect();
        let own = &graph.node(v).scope;
        let core = emitted.absorbed.filter(|_| own.is_empty()).map_or(own, |h| &graph.node(h).scope);
        let scope = core.to_string();
        drafts.push(Draft { kernel: emitted.kernel, scope, operands, outputs: vec![out] });
    }
    let mut outputs = Vec::new();
    for (name, v, copy) in copies {
        let at = match copy {
            None => table.of[&v],
            Some(emitted) => {
                let out = table.buffer(graph.ty(v).clone(), SlotKind::Output, None, String::new());
                let operands = emitted.operands.iter().map(|v| table.of[v]).collect();
                drafts.push(Draft {
                    kernel: emitted.kernel,
                    scope: String::new(),
                    operands,
                    outputs: vec![out],
                });
                out
            }
        };
        outputs.push((name.clone(), at));
    }
    for (emitted, targets) in updates {
        let operands: Vec<usize> = emitted.operands.iter().map(|v| table.of[v]).collect();
        let outputs: Vec<usize> = targets.iter().map(|v| table.of[v]).collect();
        let mut kernel = emitted.kernel;
        for (o, out) in outputs.iter().enumerate() {
            kernel.in_place[o] = operands.iter().position(|x| x == out);
        }
        drafts.push(Draft { kernel, scope: "optimizer".into(), operands, outputs });
    }
    Ok((table.buffers, drafts, outputs))
}

struct Table<'a> {
    graph: &'a Graph,
    buffers: Vec<Buffer>,
    of: BTreeMap<Value, usize>,
}

impl Table<'_> {
    fn buffer(&mut self, ty: Type, kind: SlotKind, leaf: Option<Value>, name: String) -> usize {
        self.buffers.push(Buffer { ty, kind, leaf, name });
        self.buffers.len() - 1
    }

    fn leaf(&mut self, v: Value) {
        let node = self.graph.node(v);
        let Op::Leaf(leaf) = &node.op else { return };
        let (kind, name) = match leaf {
            Leaf::Input { name, .. } => (SlotKind::Input, name.clone()),
            Leaf::Param { name, role, .. } => (SlotKind::Param(*role), name.clone()),
            _ => (SlotKind::Literal, String::new()),
        };
        let at = self.buffer(node.ty.clone(), kind, Some(v), name);
        self.of.insert(v, at);
    }
}

/// One kernel per update group, with the targets its outputs overwrite. If a group reads another group's
/// target, its values are first computed into memory of their own, so that all updates see old values.
fn update_kernels(cx: &Context<'_>) -> Result<Vec<(Emitted, Vec<Value>)>, MustStore> {
    type Pairs = Vec<(Value, Value)>;
    let mut groups: BTreeMap<(u32, Vec<usize>), Pairs> = BTreeMap::new();
    for u in &cx.graph.updates {
        groups.entry((u.group, cx.graph.ty(u.target).shape.clone())).or_default().push((u.target, u.value));
    }
    let owner: BTreeMap<Value, usize> =
        groups.values().enumerate().flat_map(|(g, pairs)| pairs.iter().map(move |(t, _)| (*t, g))).collect();
    let mut kernels = Vec::new();
    for (g, pairs) in groups.values().enumerate() {
        let values: Vec<(Value, Option<Value>)> = pairs.iter().map(|(_, v)| (*v, None)).collect();
        let targets: Vec<Value> = pairs.iter().map(|p| p.0).collect();
        let emitted = cx.map_onto(&values, &targets)?;
        if emitted.operands.iter().any(|v| owner.get(v).is_some_and(|&o| o != g)) {
            let unsaved = pairs.iter().map(|p| p.1).find(|v| !cx.fusion.stored[v.index()]);
            if let Some(v) = unsaved {
                return Err(MustStore(v));
            }
        }
        kernels.push((emitted, targets));
    }
    Ok(kernels)
}
