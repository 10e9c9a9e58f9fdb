//! Programs beside the same expressions computed one element at a time, and in pieces of any size.

use super::*;
use crate::cpu::Prepared;
use crate::cpu::output::Shared;
use crate::expr::{Expr, Instr, Reg};
use wgrad_types::{View, coordinates, numel};

/// An operand's element at a coordinate, 0 outside.
fn element(view: &View, at: &[usize], words: &[u32]) -> f32 {
    let inside = |m: &Vec<(usize, usize)>| at.iter().zip(m).all(|(i, m)| (m.0..m.1).contains(i));
    if !view.mask.as_ref().is_none_or(inside) {
        return 0.0;
    }
    let place: isize =
        view.offset + at.iter().zip(&view.strides).map(|(&i, &s)| i as isize * s).sum::<isize>();
    f32::from_bits(words[place as usize])
}

/// The results' elements one at a time, in f64.
fn expected(expr: &Expr, shape: &[usize], operands: &[&[u32]], acc: &[u32]) -> Vec<Vec<f64>> {
    let mut results = vec![Vec::new(); expr.results.len()];
    for (i, &held) in acc.iter().enumerate() {
        let at = coordinates(i, shape);
        let mut regs: Vec<f64> = Vec::new();
        for instr in &expr.instrs {
            let r = |x: &Reg| regs[*x];
            regs.push(match instr {
                Instr::Acc => f64::from(f32::from_bits(held)),
                Instr::Load { operand, view } => f64::from(element(view, &at, operands[*operand])),
                Instr::Const(v) => *v,
                Instr::Unary(kind, x) => kind.eval(r(x)),
                Instr::Binary(kind, a, b) => kind.eval(r(a), r(b)),
                Instr::Compare(CompareKind::Gt, a, b) => f64::from(u8::from(r(a) > r(b))),
                Instr::Select(c, a, b) => {
                    if r(c) != 0.0 {
                        r(a)
                    } else {
                        r(b)
                    }
                }
                Instr::Masked { value, mask } => {
                    let inside = at.iter().zip(mask).all(|(i, m)| (m.0..m.1).contains(i));
                    if inside { r(value) } else { 0.0 }
                }
                other => unreachable!("{other:?} is in no test"),
            });
        }
        results.iter_mut().zip(&expr.results).for_each(|(to, &x)| to.push(regs[x]));
    }
    results
}

/// Runs an expression whole and in pieces: both must give the same bits, close to the expected values.
fn holds(expr: &Expr, shape: &[usize], operands: &[Vec<u32>], in_place: &[Option<usize>]) {
    let slices: Vec<&[u32]> = operands.iter().map(Vec::as_slice).collect();
    let total = numel(shape);
    let acc: Vec<u32> = (0..total).map(|i| number(i + 77)).collect();
    let held = |o: usize| match in_place.get(o).copied().flatten() {
        Some(j) => operands[j].clone(),
        None => acc.clone(),
    };
    let program = Program::expr(expr, in_place, shape);
    let none = nothing();
    let reads = Reads { operands: &slices, scalars: &[], prepared: &none };
    let run = |piece: usize| {
        let mut outs: Vec<Vec<u32>> = (0..expr.results.len()).map(held).collect();
        let shared: Vec<Shared> = outs.iter_mut().map(|o| Shared::new(o)).collect();
        for start in (0..total).step_by(piece) {
            #[expect(unsafe_code, reason = "as tasks do")]
            // SAFETY: one piece after the other, and the outputs are borrowed meanwhile.
            unsafe {
                program.elements(start..total.min(start + piece), reads, &shared);
            }
        }
        outs
    };
    let whole = run(total);
    for piece in [1, 7, 64, 100, 1500] {
        assert_eq!(run(piece), whole, "pieces of {piece} in {shape:?}");
    }
    for (got, want) in whole.iter().zip(expected(expr, shape, &slices, &acc)) {
        for (i, (&got, want)) in got.iter().zip(want).enumerate() {
            let got = f64::from(f32::from_bits(got));
            let close = (got - want).abs() <= 2e-6 * want.abs().max(1.0);
            assert!(close || got.is_nan() && want.is_nan(), "{got} for {want} at {i} of {shape:?}");
        }
    }
}

/// Code of no kernel: expressions are run by themselves.
fn nothing() -> Prepared {
    Prepared { first: Program::default(), last: Program::default(), lists: crate::cpu::Lists::None }
}

fn number(i: usize) -> u32 {
    ((i.wrapping_mul(2_654_435_761) >> 9 & 0xfff) as f32 / 1024.0 - 2.0).to_bits()
}

fn numbers(n: usize) -> Vec<u32> {
    (0..n).map(number).collect()
}

fn load(expr: &mut Expr, operand: usize, shape: &[usize], strides: &[isize]) -> Reg {
    let view = View { strides: strides.to_vec(), ..View::contiguous(shape) };
    expr.push(Instr::Load { operand, view }, DType::F32)
}

fn binary(expr: &mut Expr, kind: BinaryKind, a: Reg, b: Reg) -> Reg {
    expr.push(Instr::Binary(kind, a, b), DType::F32)
}

/// Every combined pair of operations, over contiguous rows, per-row values, one row for all, and a transposed
/// operand.
#[test]
fn program_operands_of_every_kind() {
    use BinaryKind::{Add, Div, Maximum, Mul, Sub};
    for (rows, width) in [(1, 5), (3, 1), (5, 33), (40, 100), (4, 256), (3, 1500), (130, 8)] {
        let shape = [rows, width];
        let operands = [numbers(rows * width), numbers(rows), numbers(width), numbers(rows * width)];
        let strides = [[width as isize, 1], [1, 0], [0, 1], [1, rows as isize]];
        for (x, y, z) in [(0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 3, 0), (1, 1, 2), (3, 2, 1)] {
            for (f, g) in
                [(Add, Mul), (Sub, Mul), (Mul, Add), (Mul, Sub), (Sub, Sub), (Mul, Mul), (Maximum, Add)]
            {
                let mut expr = Expr::default();
                let [a, b, c] = [x, y, z].map(|o| load(&mut expr, o, &shape, &strides[o]));
                let one = binary(&mut expr, f, a, b);
                let two = binary(&mut expr, g, one, c);
                let three = binary(&mut expr, g, c, two);
                let four = expr.push(Instr::Unary(UnaryKind::Erf, three), DType::F32);
                let shifted = expr.push(Instr::Const(4.5), DType::F32);
                let five = binary(&mut expr, Add, b, shifted);
                let six = binary(&mut expr, Div, four, five);
                expr.results = vec![six, two];
                holds(&expr, &shape, &operands, &[]);
            }
        }
    }
}

/// One value per channel, for all places and images: unevenly spaced rows.
#[test]
fn program_unevenly_spaced_rows() {
    for places in [9, 40, 300, 1100] {
        let shape = [2, 3, places];
        let mut expr = Expr::default();
        let image = [3 * places as isize, places as isize, 1];
        let x = load(&mut expr, 0, &shape, &image);
        let channel = load(&mut expr, 1, &shape, &[0, 1, 0]);
        let acc = expr.push(Instr::Acc, DType::F32);
        let sum = binary(&mut expr, BinaryKind::Add, x, channel);
        let all = binary(&mut expr, BinaryKind::Mul, sum, acc);
        expr.results = vec![all];
        holds(&expr, &shape, &[numbers(6 * places), numbers(3)], &[]);
    }
}

/// A gate, a mask, and outputs that take operands' memory, also each other's.
#[test]
fn program_gate_mask_and_in_place_outputs() {
    for width in [50, 1300] {
        let shape = [4, width];
        let mut expr = Expr::default();
        let a = load(&mut expr, 0, &shape, &[width as isize, 1]);
        let b = load(&mut expr, 1, &shape, &[width as isize, 1]);
        let zero = expr.push(Instr::Const(0.0), DType::F32);
        let above = expr.push(Instr::Compare(CompareKind::Gt, a, zero), DType::Bool);
        let gate = expr.push(Instr::Select(above, b, zero), DType::F32);
        let mask = vec![(1, 3), (7, width - 1)];
        let masked = expr.push(Instr::Masked { value: gate, mask }, DType::F32);
        expr.results = vec![b, masked];
        let operands = [numbers(4 * width), numbers(8 * width)[4 * width..].to_vec()];
        holds(&expr, &shape, &operands, &[Some(0), Some(1)]);
        expr.results = vec![b, a];
        holds(&expr, &shape, &operands, &[Some(0), Some(1)]);
    }
}

/// Division of a row by one number: neither overflow nor underflow of its inverse may show.
#[test]
fn program_division_by_row_value_is_safe() {
    let by: Vec<u32> =
        [3.0, 1e-37, 3e38, 0.0, f32::INFINITY, -7e37, 1e30].iter().map(|v: &f32| v.to_bits()).collect();
    let shape = [by.len(), 40];
    let mut expr = Expr::default();
    let x = load(&mut expr, 0, &shape, &[40, 1]);
    let divisor = load(&mut expr, 1, &shape, &[1, 0]);
    let large = expr.push(Instr::Const(1e20), DType::F32);
    let quotient = binary(&mut expr, BinaryKind::Div, x, divisor);
    let scaled = binary(&mut expr, BinaryKind::Mul, x, large);
    let other = binary(&mut expr, BinaryKind::Div, scaled, divisor);
    expr.results = vec![quotient, other];
    let program = Program::expr(&expr, &[], &shape);
    let x = numbers(shape[0] * 40);
    let mut outs = [vec![0; x.len()], vec![0; x.len()]];
    let shared = outs.each_mut().map(|o| Shared::new(o));
    #[expect(unsafe_code, reason = "as a task does")]
    // SAFETY: the outputs are borrowed meanwhile.
    unsafe {
        program.elements(
            0..x.len(),
            Reads { operands: &[&x, &by], scalars: &[], prepared: &nothing() },
            &shared,
        );
    }
    for (out, scale) in outs.iter().zip([1.0f32, 1e20]) {
        for (i, (&got, &x)) in out.iter().zip(&x).enumerate() {
            let want = f32::from_bits(x) * scale / f32::from_bits(by[i / 40]);
            let got = f32::from_bits(got);
            // Numbers below the normal ones may count as zero.
            let close = (got - want).abs() <= 2e-7 * want.abs().max(f32::MIN_POSITIVE * 1e7);
            assert!(close || got == want || got.is_nan() && want.is_nan(), "{got:e} for {want:e} at {i}");
        }
    }
}
