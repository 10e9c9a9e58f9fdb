//! The f64 interpreter: evaluates a graph by its operations' references. Slow, obvious, the truth in every test.

use crate::ops::{Leaf, Op, OpDef};
use crate::philox;
use crate::{Graph, Role};
use std::collections::BTreeMap;
use wgrad_types::{Array, DType};

/// Values from outside: inputs, parameters and scalars by name, and the seed and step of random draws.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// Inputs and scalars by name.
    pub inputs: BTreeMap<String, Array>,
    /// Parameters, buffers and optimizer states by name.
    pub params: BTreeMap<(Role, String), Array>,
    /// Seed of every `Random` leaf.
    pub seed: u32,
    /// Step number of every `Random` leaf.
    pub step: u32,
}

/// Every node's value (`None` for nodes nothing needs), in f64.
///
/// # Panics
/// If `env` lacks a name or has it with another shape: a test's bug.
#[track_caller]
pub fn interpret(graph: &Graph, env: &Env) -> Vec<Option<Array>> {
    interpret_rounded(graph, env, |v| v)
}

/// Like [`interpret`], with every element of an f32 node rounded by `round`: to f32, say, to reproduce
/// overflow and loss of precision.
///
/// # Panics
/// As [`interpret`].
#[track_caller]
pub fn interpret_rounded(graph: &Graph, env: &Env, round: impl Fn(f64) -> f64) -> Vec<Option<Array>> {
    let live = graph.live();
    let mut values: Vec<Option<Array>> = Vec::with_capacity(graph.nodes.len());
    for (node, live) in graph.nodes.iter().zip(live) {
        if !live {
            values.push(None);
            continue;
        }
        let mut value = match &node.op {
            Op::Leaf(Leaf::Input { name, .. } | Leaf::Scalar { name }) => {
                env.inputs.get(name).unwrap_or_else(|| panic!("interpret: no input {name:?}")).clone()
            }
            Op::Leaf(Leaf::Param { name, role, .. }) => {
                let key = (*role, name.clone());
                env.params.get(&key).unwrap_or_else(|| panic!("interpret: no {role:?} {name:?}")).clone()
            }
            Op::Leaf(Leaf::Random { shape, stream }) => {
                Array::from_fn(shape, |i| f64::from(philox::uniform(env.seed, env.step, *stream, i as u32)))
            }
            op => {
                let operands: Vec<Array> = node
                    .inputs
                    .iter()
                    .map(|v| values[v.index()].clone().expect("operands of a live node are live"))
                    .collect();
                op.reference(&operands)
            }
        };
        if node.ty.dtype == DType::F32 {
            value.data.iter_mut().for_each(|v| *v = round(*v));
        }
        assert_eq!(
            value.shape,
            node.ty.shape,
            "interpret: {} has another shape than inferred",
            node.op.name()
        );
        values.push(Some(value));
    }
    values
}
