//! Mistakes in the mathematics of a gradient: kernels and reference agree, central differences do not.

use super::{Break, Damage};
use wgrad_graph::ops::{BinaryKind, CompareKind, UnaryKind};
use wgrad_graph::{Graph, Op, Value};

pub(super) const BREAKS: &[Break] = &[
    wrong("gradient-function", "the derivative of sin is sin", |g, loss| {
        behind(g, loss, |op| match op {
            Op::Unary(u) if u.0 == UnaryKind::Cos => replace(&mut u.0, UnaryKind::Sin),
            _ => false,
        })
    }),
    wrong("gradient-factor", "the product rule adds", |g, loss| {
        behind(g, loss, |op| binary(op, BinaryKind::Mul, BinaryKind::Add))
    }),
    wrong("gradient-sum", "gradients of two users are subtracted", |g, loss| {
        behind(g, loss, |op| binary(op, BinaryKind::Add, BinaryKind::Sub))
    }),
    wrong("gradient-sign", "a sign is lost", |g, loss| {
        behind(g, loss, |op| match op {
            Op::Unary(u) if u.0 == UnaryKind::Neg => replace(&mut u.0, UnaryKind::Abs),
            _ => false,
        })
    }),
    wrong("gradient-branch", "the gradient takes the other branch", |g, loss| {
        behind(g, loss, |op| match op {
            Op::Compare(c) if c.0 == CompareKind::Gt => replace(&mut c.0, CompareKind::Lt),
            _ => false,
        })
    }),
    wrong("gradient-window", "the pool's gradient looks at other windows", |g, loss| {
        behind(g, loss, |op| match op {
            Op::MaxPool2dGrad(p) if p.0.padding != [0; 2] => replace(&mut p.0.padding, [0; 2]),
            _ => false,
        })
    }),
    wrong("gradient-exponential", "an exponential on the way back is a sign", |g, loss| {
        behind(g, loss, |op| match op {
            Op::Unary(u) if u.0 == UnaryKind::Exp => replace(&mut u.0, UnaryKind::Sign),
            _ => false,
        })
    }),
];

const fn wrong(name: &'static str, what: &'static str, damage: fn(&mut Graph, Value) -> bool) -> Break {
    Break { kind: "gradient", name, what, damage: Damage::Gradient(damage) }
}

/// Applies `change` to the first live node behind the loss that accepts it.
fn behind(graph: &mut Graph, loss: Value, change: impl Fn(&mut Op) -> bool) -> bool {
    let live = graph.live();
    let after = graph.nodes.iter_mut().zip(live).skip(loss.index() + 1);
    after.filter(|(_, live)| *live).any(|(node, _)| change(&mut node.op))
}

fn binary(op: &mut Op, from: BinaryKind, to: BinaryKind) -> bool {
    match op {
        Op::Binary(b) if b.0 == from => replace(&mut b.0, to),
        _ => false,
    }
}

fn replace<T>(place: &mut T, with: T) -> bool {
    *place = with;
    true
}
