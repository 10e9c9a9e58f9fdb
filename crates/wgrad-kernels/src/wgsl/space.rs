//! The iteration space of an expression, with as few axes as its views allow.
//!
//! Neighbouring axes contiguous in every view are merged, to decode fewer coordinates.

use super::statement::{Kind, Statement};
use super::text::decode;
use crate::expr::{Expr, Instr};
use wgrad_types::View;

/// Expression over a shape, with the axes of a reduction (none in an epilogue).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Space {
    /// The expression; its views have `shape`.
    pub(super) expr: Expr,
    /// Extents.
    pub(super) shape: Vec<usize>,
    /// Per axis, whether it is reduced.
    pub(super) reduced: Vec<bool>,
}

impl Space {
    /// An expression over a shape, collapsed.
    pub(super) fn new(expr: &Expr, shape: &[usize], axes: &[usize]) -> Self {
        let reduced: Vec<bool> = (0..shape.len()).map(|d| axes.contains(&d)).collect();
        let groups = groups(expr, shape, &reduced);
        let merged = |group: &Vec<usize>| group.iter().map(|&d| shape[d]).product();
        let new_shape: Vec<usize> = groups.iter().map(merged).collect();
        let instrs = expr.instrs.iter().map(|i| merge_instr(i, &groups, &new_shape)).collect();
        Self {
            expr: Expr { instrs, ..expr.clone() },
            reduced: groups.iter().map(|g| reduced[g[0]]).collect(),
            shape: new_shape,
        }
    }

    /// Coordinates of element `inner` of the reduced axes at `outer` of the others, and statements defining them; `quads`
    /// says whether these indices count quads.
    pub(super) fn places(
        &self,
        [outer, inner]: [&str; 2],
        quads: [bool; 2],
        prefix: &str,
    ) -> (Vec<Statement>, Vec<String>) {
        let mut axes = vec![String::new(); self.shape.len()];
        let mut places = Vec::new();
        for (reduced, index, quads) in [(false, outer, quads[0]), (true, inner, quads[1])] {
            let own: Vec<usize> = (0..axes.len()).filter(|&d| self.reduced[d] == reduced).collect();
            let mut shape: Vec<usize> = own.iter().map(|&d| self.shape[d]).collect();
            if let (Some(last), true) = (shape.last_mut(), quads) {
                *last /= 4;
            }
            for (d, text) in own.iter().zip(decode(index, &shape, &vec![true; shape.len()])) {
                axes[*d] = text.clone();
                if text != index && text != "0u" {
                    axes[*d] = format!("{prefix}{d}");
                    places.push(Statement::new(Kind::Coordinate, &axes[*d], text, &[index]));
                }
            }
        }
        (places, axes)
    }

    /// The innermost extent, if four elements of it can be taken at a time.
    pub(super) fn quads(&self) -> bool {
        self.shape.last().is_some_and(|n| *n > 0 && n.is_multiple_of(4))
    }
}

/// Load of four neighbouring elements of the innermost axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner {
    /// As one aligned vector.
    Vector,
    /// As one element, four times.
    Splat,
    /// One by one.
    Scattered,
}

/// Load of four elements through a view (of a space with an innermost extent divisible by 4).
pub(super) fn inner(view: &View) -> Inner {
    let Some((last, outer)) = view.strides.split_last() else { return Inner::Splat };
    let aligned = view.offset % 4 == 0
        && outer.iter().zip(&view.shape).all(|(s, &n)| n == 1 || s % 4 == 0)
        && view.mask.is_none();
    match last {
        1 if aligned => Inner::Vector,
        0 if view.mask.is_none() => Inner::Splat,
        _ => Inner::Scattered,
    }
}

/// Half-open ranges, one an axis.
type Mask = Vec<(usize, usize)>;

fn views_and_masks(expr: &Expr) -> (Vec<&View>, Vec<&Mask>) {
    let (mut views, mut masks) = (Vec::new(), Vec::new());
    for instr in &expr.instrs {
        match instr {
            Instr::Load { view, .. } | Instr::Index(view) | Instr::Random { view, .. } => {
                views.push(view);
                masks.extend(&view.mask);
            }
            Instr::Masked { mask, .. } => masks.push(mask),
            _ => {}
        }
    }
    (views, masks)
}

/// Merged axes, outermost first; axes of extent 1 are dropped.
fn groups(expr: &Expr, shape: &[usize], reduced: &[bool]) -> Vec<Vec<usize>> {
    let (views, masks) = views_and_masks(expr);
    let open = |d: usize| masks.iter().all(|m| m[d] == (0, shape[d]));
    let joins = |outer: usize, d: usize| {
        reduced[outer] == reduced[d]
            && open(outer)
            && open(d)
            && views.iter().all(|v| v.strides[outer] == v.strides[d] * shape[d] as isize)
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for d in (0..shape.len()).filter(|&d| shape[d] != 1 || !open(d)) {
        match groups.last_mut() {
            Some(group) if joins(group[group.len() - 1], d) => group.push(d),
            _ => groups.push(vec![d]),
        }
    }
    groups
}

fn merge_mask(mask: &[(usize, usize)], groups: &[Vec<usize>], shape: &[usize]) -> Vec<(usize, usize)> {
    let one = |(g, &n): (&Vec<usize>, &usize)| if g.len() == 1 { mask[g[0]] } else { (0, n) };
    groups.iter().zip(shape).map(one).collect()
}

fn merge_view(view: &View, groups: &[Vec<usize>], shape: &[usize]) -> View {
    View {
        shape: shape.to_vec(),
        strides: groups.iter().map(|g| view.strides[g[g.len() - 1]]).collect(),
        offset: view.offset,
        mask: view
            .mask
            .as_ref()
            .map(|m| merge_mask(m, groups, shape))
            .filter(|m| m.iter().zip(shape).any(|(m, &n)| *m != (0, n))),
    }
}

fn merge_instr(instr: &Instr, groups: &[Vec<usize>], shape: &[usize]) -> Instr {
    let merged = |view: &View| merge_view(view, groups, shape);
    match instr {
        Instr::Load { operand, view } => Instr::Load { operand: *operand, view: merged(view) },
        Instr::Index(view) => Instr::Index(merged(view)),
        Instr::Random { view, stream } => Instr::Random { view: merged(view), stream: *stream },
        Instr::Masked { value, mask } => {
            Instr::Masked { value: *value, mask: merge_mask(mask, groups, shape) }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_types::DType;

    #[test]
    fn axes_walked_in_one_stride_become_one() {
        let mut expr = Expr::default();
        let shape = [2, 3, 4, 5];
        let whole = View::contiguous(&shape);
        expr.push(Instr::Load { operand: 0, view: whole }, DType::F32);
        assert_eq!(Space::new(&expr, &shape, &[]).shape, [120]);
        assert_eq!(Space::new(&expr, &shape, &[0, 2, 3]).shape, [2, 3, 20]);
        let bias = View::contiguous(&[3, 1, 1]).broadcast(&shape);
        expr.push(Instr::Load { operand: 1, view: bias }, DType::F32);
        let space = Space::new(&expr, &shape, &[]);
        assert_eq!(space.shape, [2, 3, 20]);
        let Instr::Load { view, .. } = &space.expr.instrs[1] else { panic!("a load stays a load") };
        assert_eq!(view.strides, [0, 1, 0]);
        assert_eq!(inner(view), Inner::Splat);
    }

    #[test]
    fn masked_axes_stay() {
        let mut expr = Expr::default();
        let view = View::contiguous(&[2, 3, 4]).pad(&[(0, 0), (0, 0), (1, 1)]);
        expr.push(Instr::Load { operand: 0, view }, DType::F32);
        let space = Space::new(&expr, &[2, 3, 6], &[]);
        assert_eq!(space.shape, [6, 6]);
    }
}
