//! Mistakes in a kernel before its variants are written: operands, masks, paddings, epilogues. The CPU makes
//! them too.

use super::{Break, Damage};
use wgrad_graph::ops::{BinaryKind, ConvSpec, UnaryKind};
use wgrad_kernels::{Core, Expr, Instr, Kernel};
use wgrad_types::View;

pub(super) const BREAKS: &[Break] = &[
    kernel("epilogue", "epilogue-sign", "an epilogue subtracts what it should add", |s| {
        s.core != Core::Map && first(s, |i| swap_binary(i, BinaryKind::Add, BinaryKind::Sub))
    }),
    kernel("epilogue", "epilogue-relu", "a relu at the end of a kernel turns negatives round", |s| {
        let relu = |i: &mut Instr| match i {
            Instr::Unary(kind, _) if *kind == UnaryKind::Relu => {
                *kind = UnaryKind::Abs;
                true
            }
            _ => false,
        };
        s.core != Core::Map && first(s, relu)
    }),
    kernel("index", "operand-stuck", "an operand is read at its first element everywhere", |s| {
        first(s, |i| match i {
            Instr::Load { view, .. } if view.strides.iter().any(|s| *s != 0) && view.mask.is_none() => {
                view.strides.fill(0);
                true
            }
            _ => false,
        })
    }),
    kernel("mask", "mask-short", "a masked operand ends an element early", |s| {
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
    kernel("index", "matmul-transposed", "the right matrix is read transposed", |s| {
        let Core::MatMul { b, .. } = &mut s.core else { return false };
        let [.., k, n] = &b.shape[..] else { return false };
        let plain = b.strides.ends_with(&[*n as isize, 1]) && *k > 1 && *n > 1;
        if plain {
            let (at, k) = (b.strides.len() - 2, *k as isize);
            (b.strides[at], b.strides[at + 1]) = (1, k);
        }
        plain
    }),
    kernel("index", "matmul-batch", "every product of a batch uses the first left matrix", |s| {
        let Core::MatMul { a, .. } = &mut s.core else { return false };
        let rank = a.strides.len();
        let moves = a.strides[..rank - 2].iter().any(|s| *s != 0);
        a.strides[..rank - 2].fill(0);
        moves
    }),
    kernel("padding", "conv-padding", "a convolution forgets its padding at the top", |s| {
        spec(s, |c| c.padding[0] = 0)
    }),
    kernel("index", "conv-dilation", "a convolution's taps lie side by side", |s| {
        spec(s, |c| c.dilation = [1; 2])
    }),
    kernel("padding", "conv-input-grad-padding", "the gradient of the image is a row off", |s| {
        let Core::Conv2dInputGrad(c) = &mut s.core else { return false };
        c.padding[0] = c.padding[0].saturating_sub(1);
        true
    }),
    kernel("padding", "conv-weight-grad-padding", "the gradient of the weights is a row off", |s| {
        let Core::Conv2dWeightGrad(c) = &mut s.core else { return false };
        c.padding[0] = c.padding[0].saturating_sub(1);
        true
    }),
    kernel("axis", "axis-stride", "a convolution's strides are exchanged", |s| {
        convs(s, |c| c.stride.reverse())
    }),
    kernel("axis", "axis-padding", "a convolution's paddings are exchanged", |s| {
        convs(s, |c| c.padding.reverse())
    }),
    kernel("axis", "axis-dilation", "a convolution's dilations are exchanged", |s| {
        convs(s, |c| c.dilation.reverse())
    }),
    kernel("axis", "axis-pool-padding", "a pool's paddings are exchanged", |s| match &mut s.core {
        Core::MaxPool2d(w) | Core::MaxPool2dGrad(w) | Core::AvgPool2d(w) | Core::AvgPool2dGrad(w) => {
            w.padding.reverse();
            true
        }
        _ => false,
    }),
    kernel("large argument", "no-maximum", "exp is taken without the maximum subtracted", |s| {
        expressions(s, &mut |expr| {
            let plain = |r: usize| match expr.instrs[r] {
                Instr::Binary(BinaryKind::Sub, a, _) => Some(a),
                _ => None,
            };
            let found = expr.instrs.iter().enumerate().find_map(|(i, instr)| match instr {
                Instr::Unary(UnaryKind::Exp, r) => Some((i, plain(*r)?)),
                _ => None,
            });
            found.is_some_and(|(i, a)| {
                expr.instrs[i] = Instr::Unary(UnaryKind::Exp, a);
                true
            })
        })
    }),
    kernel("random stream", "shared-stream", "two draws of random numbers take the same stream", |s| {
        expressions(s, &mut |expr| {
            let mut changed = false;
            for instr in &mut expr.instrs {
                if let Instr::Random { stream, .. } = instr {
                    changed |= *stream != 0;
                    *stream = 0;
                }
            }
            changed
        })
    }),
];

const fn kernel(
    kind: &'static str,
    name: &'static str,
    what: &'static str,
    damage: fn(&mut Kernel) -> bool,
) -> Break {
    Break { kind, name, what, damage: Damage::Kernel(damage) }
}

/// Applies `change` to the first instruction of prologue or epilogue that accepts it.
fn first(kernel: &mut Kernel, mut change: impl FnMut(&mut Instr) -> bool) -> bool {
    walk(kernel, &mut change)
}

fn walk(kernel: &mut Kernel, change: &mut dyn FnMut(&mut Instr) -> bool) -> bool {
    expressions(kernel, &mut |expr| expr.instrs.iter_mut().any(&mut *change))
}

/// Changes the first expression `change` accepts, prologue before epilogue.
fn expressions(kernel: &mut Kernel, change: &mut dyn FnMut(&mut Expr) -> bool) -> bool {
    if let Core::RowChain(chain) = &mut kernel.core {
        return chain.links.iter_mut().any(|link| expressions(&mut link.kernel, change));
    }
    if let Core::Reduce { prologue, .. } = &mut kernel.core
        && change(prologue)
    {
        return true;
    }
    change(&mut kernel.epilogue)
}

/// Changes a convolution, forward or either gradient.
fn convs(kernel: &mut Kernel, change: impl Fn(&mut ConvSpec)) -> bool {
    match &mut kernel.core {
        Core::Conv2d(spec) | Core::Conv2dInputGrad(spec) | Core::Conv2dWeightGrad(spec) => {
            change(spec);
            true
        }
        _ => false,
    }
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

fn spec(kernel: &mut Kernel, change: impl Fn(&mut ConvSpec)) -> bool {
    match &mut kernel.core {
        Core::Conv2d(spec) => {
            change(spec);
            true
        }
        _ => false,
    }
}
