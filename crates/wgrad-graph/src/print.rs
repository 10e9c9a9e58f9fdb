//! A stable text form of a graph, for people and for snapshot tests: one live node per line.

use crate::ops::{Attention, AttentionGrad, AttentionLse, Leaf, Op, OpDef};
use crate::{Graph, Node};
use std::fmt::Write;

/// The graph as text. Dead nodes are left out; numbering is the graph's own.
pub fn print(graph: &Graph) -> String {
    let mut text = String::new();
    for (i, (node, live)) in graph.nodes.iter().zip(graph.live()).enumerate() {
        if live {
            let inputs: Vec<String> = node.inputs.iter().map(|v| format!("%{}", v.0)).collect();
            let attributes = attributes(node);
            let scope = if node.scope.is_empty() { String::new() } else { format!("  # {}", node.scope) };
            let _ = writeln!(
                text,
                "%{i} = {}({}{}{attributes}): {}{scope}",
                node.op.name(),
                inputs.join(", "),
                if inputs.is_empty() || attributes.is_empty() { "" } else { "; " },
                node.ty
            );
        }
    }
    for (name, v) in &graph.outputs {
        let _ = writeln!(text, "output {name} = %{}", v.0);
    }
    for u in &graph.updates {
        let _ = writeln!(text, "update %{} <- %{} (group {})", u.target.0, u.value.0, u.group);
    }
    text
}

fn attributes(node: &Node) -> String {
    match &node.op {
        Op::Leaf(Leaf::Input { name, .. } | Leaf::Scalar { name }) => format!("{name:?}"),
        Op::Leaf(Leaf::Param { name, role, .. }) => format!("{name:?}, {role:?}"),
        Op::Leaf(Leaf::Const { value, .. }) => format!("{value:?}"),
        Op::Leaf(Leaf::Literal { data, .. }) => format!("{} values", data.len()),
        Op::Leaf(Leaf::Iota { axis, .. }) => format!("axis {axis}"),
        Op::Leaf(Leaf::Random { stream, .. }) => format!("stream {stream}"),
        Op::Reduce(r) => format!("{:?}", r.axes),
        Op::ArgMax(a) => format!("{}", a.axis),
        Op::Permute(p) => format!("{:?}", p.0),
        Op::Slice(s) => format!("{:?}", s.0),
        Op::Pad(p) => format!("{:?}", p.0),
        Op::Gather(g) => format!("axis {}", g.axis),
        Op::GatherGrad(g) => format!("axis {}", g.axis),
        Op::Conv2d(c) => spec(&c.0),
        Op::Conv2dInputGrad(c) => spec(&c.spec),
        Op::Conv2dWeightGrad(c) => spec(&c.spec),
        Op::MaxPool2d(p) => window(&p.0),
        Op::MaxPool2dGrad(p) => window(&p.0),
        Op::AvgPool2d(p) => window(&p.0),
        Op::AvgPool2dGrad(p) => window(&p.window),
        Op::Attention(Attention { causal })
        | Op::AttentionLse(AttentionLse { causal })
        | Op::AttentionGrad(AttentionGrad { causal, .. }) => {
            if *causal {
                "causal".into()
            } else {
                String::new()
            }
        }
        Op::Custom(c) => c.text().to_owned(),
        Op::Cast(_) | Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select(_) | Op::Reshape(_) => {
            String::new()
        }
        Op::Broadcast(_) | Op::MatMul(_) | Op::Detach(_) => String::new(),
    }
}

fn spec(c: &crate::ops::ConvSpec) -> String {
    format!("stride {:?} padding {:?} dilation {:?} groups {}", c.stride, c.padding, c.dilation, c.groups)
}

fn window(w: &crate::ops::Window) -> String {
    format!("kernel {:?} stride {:?} padding {:?}", w.kernel, w.stride, w.padding)
}
