//! Combines neighbouring operations into one loop, which saves a pass over the cache.

use super::lane::{Function, summed};
use super::{Action, Operand, Program, Target};
use wgrad_graph::ops::ReduceKind;

impl Program {
    /// Combines pairs of operations if a loop for both exists.
    pub(super) fn combine(&mut self) {
        let mut uses = vec![0; self.nodes.len()];
        for from in self.nodes.iter().flat_map(|n| n.args) {
            if let Operand::Node(n) = from {
                uses[n] += 1;
            }
        }
        for n in 0..self.nodes.len() {
            let reads = self.nodes[n].reads;
            // The operation that computes an operand, if nothing else reads it.
            let behind = |program: &Self, i: usize| match program.nodes[n].args[i] {
                Operand::Node(p) => {
                    let node = &program.nodes[p];
                    let own = uses[p] == 1 && matches!(node.to, Target::Slot(_)) && node.width == reads;
                    match node.action {
                        Action::Apply(f) if own => Some((p, f, node.args)),
                        _ => None,
                    }
                }
                _ => None,
            };
            let [a, b, c] = self.nodes[n].args;
            let merged = match self.nodes[n].action {
                // Zero if another value is not above it.
                Action::Apply(Function::Choose) if b == Operand::Word(0) => behind(self, 0)
                    .filter(|&(_, f, [_, y, _])| f == Function::LessEqual && y == Operand::Word(0))
                    .map(|(p, _, [x, ..])| (p, Action::Apply(Function::Gate), [x, c, Operand::Nowhere])),
                Action::Apply(f) => {
                    let left =
                        behind(self, 0).and_then(|(p, g, [x, y, _])| Some((p, together(g, f)?, [x, y, b])));
                    let right =
                        || behind(self, 1).and_then(|(p, g, [x, y, _])| Some((p, swapped(f, g)?, [x, y, a])));
                    left.or_else(right).map(|(p, f, args)| (p, Action::Apply(f), args))
                }
                Action::Fold(ReduceKind::Sum, Function::Copy) => behind(self, 0)
                    .filter(|&(_, f, _)| summed(f))
                    .map(|(p, f, args)| (p, Action::Fold(ReduceKind::Sum, f), args)),
                _ => None,
            };
            if let Some((p, action, args)) = merged {
                (self.nodes[n].action, self.nodes[n].args) = (action, args);
                self.nodes[p].args = [Operand::Nowhere; 3];
                self.nodes[p].width = 0;
            }
        }
    }
}

/// `f(g(x, y), z)` as one function of three.
fn together(g: Function, f: Function) -> Option<Function> {
    use Function::{
        Add, AddAdd, AddMul, Erf, ErfMul, Exp, ExpSub, Mul, MulAdd, MulMul, MulSub, Square, SquareSub, Sub,
        SubMul, SubSub,
    };
    Some(match (g, f) {
        (Add, Add) => AddAdd,
        (Add, Mul) => AddMul,
        (Sub, Mul) => SubMul,
        (Sub, Sub) => SubSub,
        (Mul, Mul) => MulMul,
        (Mul, Add) => MulAdd,
        (Mul, Sub) => MulSub,
        (Sub, Exp) => ExpSub,
        (Mul, Erf) => ErfMul,
        (Sub, Square) => SquareSub,
        _ => return None,
    })
}

/// `f(z, g(x, y))` as one function of `x`, `y`, `z`.
fn swapped(f: Function, g: Function) -> Option<Function> {
    match (f, g) {
        (Function::Add | Function::Mul, _) => together(g, f),
        (Function::Sub, Function::Mul) => Some(Function::NegMulAdd),
        _ => None,
    }
}
