//! Mistakes in a step before its kernels are written: operands, masks, paddings, epilogues. The CPU makes them too.

use super::{Break, Damage};
use wgrad_graph::ops::{BinaryKind, ConvSpec, UnaryKind};
use wgrad_kernels::{Core, Instr, Step};
use wgrad_types::View;

pub(super) const BREAKS: &[Break] = &[
    step("epilogue-sign", "an epilogue subtracts what it should add", |s| {
        s.core != Core::Map && first(s, |i| swap_binary(i, BinaryKind::Add, BinaryKind::Sub))
    }),
    step("epilogue-relu", "a relu at the end of a kernel turns negatives round", |s| {
        let relu = |i: &mut Instr| match i {
            Instr::Unary(kind, _) if *kind == UnaryKind::Relu => {
                *kind = UnaryKind::Abs;
                true
            }
            _ => false,
        };
        s.core != Core::Map && first(s, relu)
    }),
    step("operand-stuck", "an operand is read at its first element everywhere", |s| {
        first(s, |i| match i {
            Instr::Load { view, .. } if view.strides.iter().any(|s| *s != 0) && view.mask.is_none() => {
                view.strides.fill(0);
                true
            }
            _ => false,
        })
    }),
    step("mask-short", "a masked operand ends an element early", |s| {
        first(s, |i| match i {
            Instr::Load { view: View { mask: Some(mask), .. }, .. } | Instr::Masked { mask, .. } => {
                mask.iter_mut().any(|m| {
                    let wide = m.1 > m.0 + 1;
                    m.1 -= usize::from(wide);
                    wide
                })
            }
            _ => false,
        })
    }),
    step("matmul-transposed", "the right matrix is read transposed", |s| {
        let Core::MatMul { b, .. } = &mut s.core else { return false };
        let [.., k, n] = &b.shape[..] else { return false };
        let plain = b.strides.ends_with(&[*n as isize, 1]) && *k > 1 && *n > 1;
        if plain {
            let (at, k) = (b.strides.len() - 2, *k as isize);
            (b.strides[at], b.strides[at + 1]) = (1, k);
        }
        plain
    }),
    step("matmul-batch", "every product of a batch uses the first left matrix", |s| {
        let Core::MatMul { a, .. } = &mut s.core else { return false };
        let rank = a.strides.len();
        let moves = a.strides[..rank - 2].iter().any(|s| *s != 0);
        a.strides[..rank - 2].fill(0);
        moves
    }),
    step("conv-padding", "a convolution forgets its padding at the top", |s| spec(s, |c| c.padding[0] = 0)),
    step("conv-dilation", "a convolution's taps lie side by side", |s| spec(s, |c| c.dilation = [1; 2])),
    step("conv-input-grad-padding", "the gradient of the image is a row off", |s| {
        let Core::Conv2dInputGrad(c) = &mut s.core else { return false };
        c.padding[0] = c.padding[0].saturating_sub(1);
        true
    }),
    step("conv-weight-grad-padding", "the gradient of the weights is a row off", |s| {
        let Core::Conv2dWeightGrad(c) = &mut s.core else { return false };
        c.padding[0] = c.padding[0].saturating_sub(1);
        true
    }),
];

const fn step(name: &'static str, what: &'static str, damage: fn(&mut Step) -> bool) -> Break {
    Break { name, what, damage: Damage::Step(damage) }
}

/// Changes the first instruction, of the prologue or the epilogue, that lets itself be changed.
fn first(step: &mut Step, mut change: impl FnMut(&mut Instr) -> bool) -> bool {
    walk(step, &mut change)
}

fn walk(step: &mut Step, change: &mut dyn FnMut(&mut Instr) -> bool) -> bool {
    let prologue = match &mut step.core {
        Core::Reduce { prologue, .. } => prologue.instrs.as_mut_slice(),
        Core::Rows(chain) => return chain.links.iter_mut().any(|link| walk(&mut link.step, change)),
        _ => &mut [],
    };
    prologue.iter_mut().chain(&mut step.epilogue.instrs).any(change)
}

fn swap_binary(instr: &mut Instr, from: BinaryKind, to: BinaryKind) -> bool {
    match instr {
        Instr::Binary(kind, ..) if *kind == from => {
            *kind = to;
            true
        }
        _ => false,
    }
}

fn spec(step: &mut Step, change: impl Fn(&mut ConvSpec)) -> bool {
    match &mut step.core {
        Core::Conv2d(spec) => {
            change(spec);
            true
        }
        _ => false,
    }
}
