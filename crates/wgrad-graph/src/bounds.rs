//! A graph's requirements on integer inputs: labels and tokens are indices, and an index outside its axis
//! would silently read 0.

use crate::graph::{Graph, Value};
use crate::ops::{Compare, CompareKind, Leaf, Op};
use std::collections::BTreeMap;

/// An input with elements indexing an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexBound {
    /// The input's name.
    pub input: String,
    /// Extent of the shortest indexed axis: elements must be from 0 to one less.
    pub extent: usize,
    /// Legal elements outside that range: constants the graph compares the input with, as `ignore_index`.
    pub allowed: Vec<i32>,
}

/// The inputs used directly, or reshaped, as indices by an output or an update. Computed indices are not
/// examined.
pub fn index_bounds(graph: &Graph) -> Vec<IndexBound> {
    let live = graph.live();
    // The input rearranged by each node, if it is one.
    let mut of: Vec<Option<Value>> = vec![None; graph.nodes.len()];
    let mut extents: BTreeMap<Value, usize> = BTreeMap::new();
    let mut allowed: BTreeMap<Value, Vec<i32>> = BTreeMap::new();
    for (i, node) in graph.nodes.iter().enumerate().filter(|(i, _)| live[*i]) {
        let from = |operand: usize| of[node.inputs[operand].index()];
        match &node.op {
            Op::Leaf(Leaf::Input { .. }) => of[i] = Some(Value(i as u32)),
            Op::Reshape(_) | Op::Permute(_) | Op::Broadcast(_) | Op::Detach(_) => of[i] = from(0),
            Op::Gather(gather) => {
                if let Some(input) = from(1) {
                    let extent = graph.ty(node.inputs[0]).shape[gather.axis];
                    extents.entry(input).and_modify(|e| *e = extent.min(*e)).or_insert(extent);
                }
            }
            Op::Compare(Compare(CompareKind::Eq | CompareKind::Ne)) => {
                for (a, b) in [(0, 1), (1, 0)] {
                    if let (Some(input), Op::Leaf(Leaf::Const { value, .. })) =
                        (from(a), &graph.node(node.inputs[b]).op)
                    {
                        allowed.entry(input).or_default().push(*value as i32);
                    }
                }
            }
            _ => {}
        }
    }
    let bound = |(input, extent): (Value, usize)| match &graph.node(input).op {
        Op::Leaf(Leaf::Input { name, .. }) => {
            let allowed = allowed.get(&input).cloned().unwrap_or_default();
            Some(IndexBound { input: name.clone(), extent, allowed })
        }
        _ => None,
    };
    extents.into_iter().filter_map(bound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, CrossEntropy, Role};
    use wgrad_types::Type;

    #[test]
    fn index_bounds_of_labels_and_tokens() {
        let b = Builder::new();
        let (tokens, labels) = (b.input("tokens", Type::i32(&[2, 3])), b.input("labels", Type::i32(&[2, 3])));
        let x = b.param("table", &[7, 5], Role::Weight).embedding(&tokens);
        let loss = x.reshape(&[6, 5]).cross_entropy(&labels.reshape(&[6]), CrossEntropy::default());
        b.output("loss", &loss);
        let bound = |input: &str, extent, allowed: &[i32]| IndexBound {
            input: input.into(),
            extent,
            allowed: allowed.to_vec(),
        };
        assert_eq!(index_bounds(&b.graph()), [bound("tokens", 7, &[]), bound("labels", 5, &[-100])]);
    }
}
