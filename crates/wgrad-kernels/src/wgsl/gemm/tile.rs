//! Tiled product for GPUs, `shaders/common/tile.wgsl`: its tile, and the load order of a block.

use super::index_map::Matrix;
use super::problem::Problem;
use super::{finish, hooks};
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported};
use crate::wgsl::module::{Grid, Module, opaque_loops};
use wgrad_types::Caps;

/// Extents of the block and of one invocation's share of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) depth: usize,
    pub(super) own_rows: usize,
    pub(super) own_columns: usize,
}

impl Tile {
    pub(super) const fn new(block: [usize; 3], own: [usize; 2]) -> Self {
        Self { rows: block[0], columns: block[1], depth: block[2], own_rows: own[0], own_columns: own[1] }
    }

    pub(super) fn invocations(&self) -> usize {
        self.rows / self.own_rows * (self.columns / self.own_columns)
    }

    pub(super) fn workgroup_bytes(&self) -> usize {
        (self.rows + self.columns) * self.depth * 4
    }

    /// Workgroups for one part of a problem.
    pub(super) fn groups(&self, p: &Problem) -> usize {
        p.batch * p.m.div_ceil(self.rows) * p.n.div_ceil(self.columns)
    }

    pub(super) fn name(&self) -> String {
        let Self { rows, columns, depth, own_rows, own_columns } = self;
        format!("tile{rows}x{columns}x{depth}_{own_rows}x{own_columns}")
    }
}

/// The launch of a problem in tiles, split into `splits` parts along the depth.
pub(super) fn launch(
    kernel: &Kernel,
    caps: &Caps,
    problem: &Problem,
    tile: Tile,
    splits: usize,
) -> Result<Launch, Unsupported> {
    let label = format!("{}.{}", kernel.name(), tile.name());
    let mut module = Module::new(kernel, caps);
    // A buffer is bound either as vectors or as scalars: operands of the epilogue stay scalar.
    let also_read = kernel.epilogue.operands();
    let sides = [&problem.a, &problem.b];
    let vectors = sides.map(|m| m.row_quads() && !also_read.contains(&m.operand));
    let row_first = |m: &Matrix| m.rows.dense() || !m.depth.dense();
    let mut hooks = hooks::hooks(&mut module, problem, vectors);
    let scalar: Vec<usize> =
        sides.iter().zip(vectors).filter(|(_, vector)| !vector).map(|(m, _)| m.operand).collect();
    let (stores, four) = finish::hooks(&mut module, problem, splits, &scalar);
    hooks.extend(stores);
    let grid = Grid::new(&label, tile.groups(problem) * splits, caps)?;
    let mut figures = hooks::figures(kernel, problem, splits);
    figures.extend([
        ("ROWS", tile.rows.into()),
        ("COLUMNS", tile.columns.into()),
        ("DEPTH", tile.depth.into()),
        ("OWN_ROWS", tile.own_rows.into()),
        ("OWN_COLUMNS", tile.own_columns.into()),
        opaque_loops(caps),
        ("A_ROW_FIRST", row_first(&problem.a).into()),
        ("B_ROW_FIRST", row_first(&problem.b).into()),
        ("A_UNIT", hooks::unit(vectors[0]).into()),
        ("B_UNIT", hooks::unit(vectors[1]).into()),
        ("STORE_FOUR", four.into()),
    ]);
    module.launch_shader(&label, hooks::shader(kernel), figures, &hooks, &grid)
}
