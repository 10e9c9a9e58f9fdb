//! Functions without a guard for NaN, since plain arithmetic carries it to the result: `x * sigmoid(x)`, GELU, its
//! gradient.
//!
//! WGSL's functions need a guard to keep NaN (`shaders/common/nan.wgsl`). A guard is spent in vain if the result is NaN
//! without it: products and sums keep NaN on every adapter.

use crate::expr::{Expr, Instr, Reg};
use wgrad_graph::ops::{BinaryKind, UnaryKind};
use wgrad_types::DType;

/// Per register: whether the function there must keep NaN itself.
pub(super) fn needed(expr: &Expr) -> Vec<bool> {
    let carried: Vec<Vec<Reg>> = carried(expr);
    let origin = origins(expr);
    let mut needed = vec![false; expr.instrs.len()];
    for &result in &expr.results {
        for r in ancestors(expr, result) {
            needed[r] |= match expr.instrs[r] {
                Instr::Unary(_, x) => !origin[x].is_some_and(|o| carried[result].contains(&o)),
                Instr::Binary(BinaryKind::ClampMin | BinaryKind::ClampMax, x, bound) => {
                    !finite(expr, bound) || !origin[x].is_some_and(|o| carried[result].contains(&o))
                }
                _ => true,
            };
        }
    }
    needed
}

/// `r` and the registers behind it.
fn ancestors(expr: &Expr, r: Reg) -> Vec<Reg> {
    let mut seen = vec![false; r + 1];
    seen[r] = true;
    for at in (0..=r).rev() {
        if seen[at] {
            expr.instrs[at].operands().for_each(|x| seen[x] = true);
        }
    }
    (0..=r).filter(|&at| seen[at]).collect()
}

/// Per register: loaded values with this property: if one is NaN, products, quotients, sums and differences carry it here.
fn carried(expr: &Expr) -> Vec<Vec<Reg>> {
    let mut all: Vec<Vec<Reg>> = Vec::with_capacity(expr.instrs.len());
    for (r, instr) in expr.instrs.iter().enumerate() {
        let mut own = match instr {
            Instr::Unary(UnaryKind::Neg | UnaryKind::Square, x) => all[*x].clone(),
            // A compiler may make 0 of a product with 0, of 0 by a number and of a number less itself, and 1 of one by itself.
            Instr::Binary(BinaryKind::Mul, a, b) if zero(expr, *a) || zero(expr, *b) => Vec::new(),
            Instr::Binary(BinaryKind::Div, a, _) if zero(expr, *a) => Vec::new(),
            Instr::Binary(BinaryKind::Sub | BinaryKind::Div, a, b) if a == b => Vec::new(),
            Instr::Binary(BinaryKind::Add | BinaryKind::Sub | BinaryKind::Mul | BinaryKind::Div, a, b) => {
                [&all[*a][..], &all[*b]].concat()
            }
            _ => Vec::new(),
        };
        if matches!(instr, Instr::Acc | Instr::Load { .. }) && expr.dtypes[r] == DType::F32 {
            own.push(r);
        }
        own.sort_unstable();
        own.dedup();
        all.push(own);
    }
    all
}

/// Per register: the only loaded value able to make it NaN, if there is just one.
fn origins(expr: &Expr) -> Vec<Option<Reg>> {
    let mut all: Vec<Option<Reg>> = Vec::with_capacity(expr.instrs.len());
    for (r, instr) in expr.instrs.iter().enumerate() {
        // Non-zero constants: infinity times 0 is NaN.
        let scale = |c: Reg| finite(expr, c) && !zero(expr, c);
        let own = match *instr {
            Instr::Acc | Instr::Load { .. } => Some(r),
            Instr::Unary(
                UnaryKind::Neg
                | UnaryKind::Abs
                | UnaryKind::Square
                | UnaryKind::Exp
                | UnaryKind::Expm1
                | UnaryKind::Erf
                | UnaryKind::Tanh
                | UnaryKind::Sigmoid
                | UnaryKind::Softplus,
                x,
            ) => all[x],
            Instr::Binary(BinaryKind::Mul, a, b) if a == b => all[a],
            Instr::Binary(BinaryKind::Mul, a, b) if scale(b) => all[a],
            Instr::Binary(BinaryKind::Mul, a, b) if scale(a) => all[b],
            Instr::Binary(BinaryKind::Add | BinaryKind::Sub, a, b) if finite(expr, b) => all[a],
            Instr::Binary(BinaryKind::Add | BinaryKind::Sub, a, b) if finite(expr, a) => all[b],
            Instr::Binary(BinaryKind::ClampMin | BinaryKind::ClampMax, a, b) if finite(expr, b) => all[a],
            _ => None,
        };
        all.push(own.filter(|_| expr.dtypes[r] == DType::F32));
    }
    all
}

fn finite(expr: &Expr, r: Reg) -> bool {
    matches!(expr.instrs[r], Instr::Const(v) if (v as f32).is_finite())
}

/// Also true for subnormal numbers, as adapters may flush them to 0.
fn zero(expr: &Expr, r: Reg) -> bool {
    matches!(expr.instrs[r], Instr::Const(v) if (v as f32).abs() < f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_types::View;

    fn build(results: usize, f: impl FnOnce(&mut dyn FnMut(Instr) -> Reg) -> Vec<Reg>) -> Vec<bool> {
        let mut expr = Expr::default();
        let found = f(&mut |i| expr.push(i, DType::F32));
        assert_eq!(found.len(), results);
        expr.results = found;
        needed(&expr)
    }

    fn load(operand: usize) -> Instr {
        Instr::Load { operand, view: View::contiguous(&[4]) }
    }

    fn unary(kind: UnaryKind, x: Reg) -> Instr {
        Instr::Unary(kind, x)
    }

    fn binary(kind: BinaryKind, a: Reg, b: Reg) -> Instr {
        Instr::Binary(kind, a, b)
    }

    #[test]
    fn product_with_its_own_argument_needs_no_guard() {
        let needed = build(1, |push| {
            let x = push(load(0));
            let s = push(unary(UnaryKind::Sigmoid, x));
            vec![push(binary(BinaryKind::Mul, x, s))]
        });
        assert!(!needed[1]);
    }

    #[test]
    fn guard_stays_if_a_second_result_shows_the_function() {
        let needed = build(2, |push| {
            let x = push(load(0));
            let s = push(unary(UnaryKind::Sigmoid, x));
            vec![push(binary(BinaryKind::Mul, x, s)), s]
        });
        assert!(needed[1]);
    }

    #[test]
    fn guard_stays_if_the_argument_may_become_nan_by_itself() {
        let needed = build(1, |push| {
            let (x, y) = (push(load(0)), push(load(1)));
            let d = push(binary(BinaryKind::Sub, x, y));
            let e = push(unary(UnaryKind::Exp, d));
            vec![push(binary(BinaryKind::Mul, x, e))]
        });
        assert!(needed[3], "infinity minus infinity is NaN though neither is");
    }

    #[test]
    fn guard_stays_if_the_argument_reaches_the_result_by_a_selection() {
        let needed = build(1, |push| {
            let x = push(load(0));
            let e = push(unary(UnaryKind::Exp, x));
            let c = push(Instr::Compare(wgrad_graph::ops::CompareKind::Gt, x, e));
            let s = push(Instr::Select(c, x, e));
            vec![s]
        });
        assert!(needed[1]);
    }

    #[test]
    fn guard_stays_if_the_argument_is_multiplied_by_zero() {
        let needed = build(1, |push| {
            let x = push(load(0));
            let zero = push(Instr::Const(0.0));
            let nothing = push(binary(BinaryKind::Mul, x, zero));
            let e = push(unary(UnaryKind::Exp, x));
            vec![push(binary(BinaryKind::Add, nothing, e))]
        });
        assert!(needed[3]);
    }

    #[test]
    fn guard_stays_beside_a_difference_that_a_compiler_may_fold() {
        let needed = build(1, |push| {
            let x = push(load(0));
            let nothing = push(binary(BinaryKind::Sub, x, x));
            let e = push(unary(UnaryKind::Exp, x));
            vec![push(binary(BinaryKind::Add, nothing, e))]
        });
        assert!(needed[2]);
    }

    #[test]
    fn clamp_between_numbers_in_a_product_needs_no_guard() {
        let needed = build(1, |push| {
            let x = push(load(0));
            let (three, zero, six) =
                (push(Instr::Const(3.0)), push(Instr::Const(0.0)), push(Instr::Const(6.0)));
            let moved = push(binary(BinaryKind::Add, x, three));
            let low = push(binary(BinaryKind::ClampMin, moved, zero));
            let high = push(binary(BinaryKind::ClampMax, low, six));
            vec![push(binary(BinaryKind::Mul, x, high))]
        });
        assert!(!needed[5] && !needed[6]);
    }
}
