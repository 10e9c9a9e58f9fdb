//! The product of one subgroup in registers for software adapters, `shaders/common/subgroup_tile.wgsl`: its tile, and how
//! the lanes read both operands.

use super::problem::Problem;
use super::{finish, hooks};
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported};
use crate::table::ROWS_STORED;
use crate::wgsl::module::{Grid, Module, opaque_loops};
use wgrad_types::Caps;

/// Load order of `b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// Four columns at a depth as one vector.
    Vector,
    /// Four depths of a column as one vector.
    DepthVector,
    /// Element by element.
    Scalars,
}

/// A register tile: the subgroup's size and the rows of a workgroup.
pub(super) struct Registers<'a> {
    pub(super) problem: &'a Problem,
    pub(super) size: usize,
    pub(super) rows: usize,
    /// Depths of a trip, a divisor of `size`: lane l holds depth `l % depths` of every `size / depths`-th row.
    pub(super) depths: usize,
    pub(super) splits: usize,
    /// Set if the problem's rows and columns are exchanged.
    pub(super) exchanged: bool,
    /// Operands of the epilogue: a buffer is bound either as vectors or as scalars, so these stay scalar.
    pub(super) also_read: &'a [usize],
}

impl Registers<'_> {
    /// Columns of a workgroup.
    pub(super) fn columns(&self) -> usize {
        4 * self.size
    }

    /// Workgroups of one part.
    pub(super) fn groups(&self) -> usize {
        self.problem.batch * self.problem.m.div_ceil(self.rows) * self.problem.n.div_ceil(self.columns())
    }

    pub(super) fn name(&self) -> String {
        let exchanged = if self.exchanged { "t" } else { "" };
        format!("subgroup{exchanged}{}x{}", self.rows, self.columns())
    }

    /// Loop trips of an invocation.
    pub(super) fn trips(&self) -> usize {
        self.problem.k.div_ceil(self.depths * self.splits)
    }

    fn row_vectors(&self) -> bool {
        let a = &self.problem.a;
        self.rows.is_multiple_of(4) && a.row_quads() && !self.also_read.contains(&a.operand)
    }

    fn columns_by(&self) -> Columns {
        let b = &self.problem.b;
        if self.also_read.contains(&b.operand) {
            Columns::Scalars
        } else if b.row_quads() {
            Columns::Vector
        } else if b.depth_quads() && self.size.is_multiple_of(4) {
            Columns::DepthVector
        } else {
            Columns::Scalars
        }
    }

    /// The launch.
    pub(super) fn launch(&self, kernel: &Kernel, caps: &Caps) -> Result<Launch, Unsupported> {
        let p = self.problem;
        let label = format!("{}.{}", kernel.name(), self.name());
        let mut module = Module::new(kernel, caps);
        let (vector_a, by) = (self.row_vectors(), self.columns_by());
        let mut hooks = hooks::hooks(&mut module, p, [vector_a, by != Columns::Scalars]);
        let mut scalar = Vec::new();
        scalar.extend((!vector_a).then_some(p.a.operand));
        scalar.extend((by == Columns::Scalars).then_some(p.b.operand));
        let (stores, four) = finish::hooks(&mut module, p, self.splits, &scalar);
        hooks.extend(stores);
        let grid = Grid::new(&label, self.groups() * self.splits, caps)?;
        // One stride is cheaper to work out than to hand round.
        let plain = p.b.depth.stride().is_some() && !p.b.guarded();
        let own_depth = !plain && by != Columns::DepthVector;
        let mut figures = hooks::figures(kernel, p, self.splits);
        figures.extend([
            ("SIZE", self.size.into()),
            ("ROWS", self.rows.into()),
            ("DEPTHS", self.depths.into()),
            ("STORED", ROWS_STORED.into()),
            opaque_loops(caps),
            ("A_UNIT", hooks::unit(vector_a).into()),
            ("B_UNIT", hooks::unit(by == Columns::Vector).into()),
            ("B_SCALAR", (by == Columns::Scalars).into()),
            ("B_DEPTHS", (by == Columns::DepthVector).into()),
            ("B_OWN_DEPTH", own_depth.into()),
            ("B_EVERY_DEPTH", (plain && by != Columns::DepthVector).into()),
            ("STORE_FOUR", four.into()),
        ]);
        let shader = (hooks::shader(kernel), Some(("common/tile", "common/subgroup_tile")));
        module.launch_shader_with(&label, shader, figures, &hooks, &grid)
    }
}
