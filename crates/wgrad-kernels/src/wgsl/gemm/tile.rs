//! The tiled product: a workgroup stages blocks of both operands in its memory, an invocation owns a square of the
//! block's results in registers.
//!
//! Blocks are held as quads of rows (columns), so that the inner loop reads vectors. Rows beyond the edge read the
//! last row and are never stored; depths beyond the edge read as 0. Every barrier stands in uniform control flow, and
//! one follows every read of a block before it is overwritten.

use super::finish::{Finish, columns};
use super::index_map::{Address, Matrix};
use super::problem::{Problem, Side};
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported};
use crate::wgsl::module::{Grid, Module, Width, opaque_start};
use crate::wgsl::text::{decode, indented};
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

/// Steps of the inner loop that are written out.
const UNROLLED_DEPTHS: usize = 4;

/// One side of the product: the operand, its block, and how the workgroup shares its loading.
struct Block<'a> {
    matrix: &'a Matrix,
    letter: char,
    /// Rows of the block and of the operand.
    rows: usize,
    extent: usize,
    tile: Tile,
    depth_extent: usize,
    /// Neighbouring invocations take neighbouring rows, else neighbouring depths.
    row_first: bool,
    vector: bool,
    /// Whether the sums of rows over the depth are wanted.
    summed: bool,
}

/// One invocation's loads of a block: names of the places, and of the parts that stay the same in the loop.
struct Loads {
    /// Per load: row quad in the block, depth in the block, and number of the row parts.
    places: Vec<(String, String, usize)>,
    rows: Vec<Vec<Address>>,
}

impl Block<'_> {
    fn quads(&self) -> usize {
        self.rows / 4
    }

    /// Lines that work out what does not change from block to block.
    fn prepare(&self, first: &str, lines: &mut Vec<String>) -> Loads {
        let (quads, depth, threads) = (self.quads(), self.tile.depth, self.tile.invocations());
        let inner = if self.row_first { quads } else { depth };
        let mut loads = Loads { places: Vec::new(), rows: Vec::new() };
        for j in 0..(quads * depth).div_ceil(threads) {
            let l = self.letter;
            let fast = format!("{l}f{j}");
            let slow = format!("{l}s{j}");
            if threads.is_multiple_of(inner) {
                let from = j * (threads / inner);
                lines.push(format!("let {fast} = li % {inner}u;"));
                lines.push(format!("let {slow} = li / {inner}u + {from}u;"));
            } else {
                let e = format!("(li + {}u)", j * threads);
                lines.push(format!("let {fast} = {e} % {inner}u;"));
                lines.push(format!("let {slow} = {e} / {inner}u;"));
            }
            let (quad, depth) = if self.row_first { (fast, slow) } else { (slow, fast) };
            let same_rows = self.row_first && threads.is_multiple_of(inner);
            if !(same_rows && j > 0) {
                loads.rows.push(self.row_parts(first, &quad, j, lines));
            }
            loads.places.push((quad, depth, loads.rows.len() - 1));
        }
        loads
    }

    /// The row parts of a quad of rows: one where it is read as a vector, else four.
    fn row_parts(&self, first: &str, quad: &str, j: usize, lines: &mut Vec<String>) -> Vec<Address> {
        let l = self.letter;
        let ragged = !self.extent.is_multiple_of(self.rows);
        (0..if self.vector { 1 } else { 4 })
            .map(|c| {
                let plus = if c == 0 { String::new() } else { format!(" + {c}u") };
                let mut at = format!("{first} + {quad} * 4u{plus}");
                if ragged {
                    let last = self.extent - if self.vector { 4 } else { 1 };
                    at = format!("min({at}, {last}u)");
                }
                let index = format!("{l}r{j}_{c}");
                lines.push(format!("let {index} = {at};"));
                self.matrix.rows.print(&index, &format!("{index}_"), lines)
            })
            .collect()
    }

    /// Lines that add the invocations' sums of what they loaded, through the block's memory, and store them: the first
    /// tile along the other axis has them all.
    fn store_sums(&self, finish: &Finish, loads: &Loads, lines: &mut Vec<String>) {
        let (l, quads) = (self.letter, self.quads());
        for (j, (quad, depth, _)) in loads.places.iter().enumerate() {
            lines.push(format!("block_{l}[{depth} * {quads}u + {quad}] = sums{j};"));
        }
        let (own, other) = if l == 'a' { ("row0", "column0") } else { ("column0", "row0") };
        let row = format!("{own} + li");
        lines.push("workgroupBarrier();".to_owned());
        lines.push(format!("if ({other} == 0u && li < {}u && {row} < {}u) {{", self.rows, self.extent));
        lines.push("    var total = 0.0;".to_owned());
        lines.push(format!("    for (var d = 0u; d < {}u; d += 1u) {{", self.tile.depth));
        lines.push(format!("        total += block_{l}[d * {quads}u + li / 4u][li % 4u];"));
        lines.push("    }".to_owned());
        lines.push(format!("    {}", finish.store_sum(&row, "total")));
        lines.push("}".to_owned());
    }

    /// Lines that load the invocation's share of the block at depth `k0` and store it.
    fn stage(&self, buffer: &str, loads: &Loads, lines: &mut Vec<String>) {
        let l = self.letter;
        let ragged = !self.depth_extent.is_multiple_of(self.tile.depth);
        for (j, (quad, depth, rows)) in loads.places.iter().enumerate() {
            lines.push(format!("let {l}k{j} = k0 + {depth};"));
            let mut index = format!("{l}k{j}");
            if ragged {
                lines.push(format!("let {l}m{j} = min({index}, {}u);", self.depth_extent - 1));
                index = format!("{l}m{j}");
            }
            let depth_part = self.matrix.depth.print(&index, &format!("{l}p{j}_"), lines);
            let element = |c: usize, lines: &mut Vec<String>| {
                let tag = format!("{l}e{j}_{c}_");
                self.matrix.element(buffer, [&loads.rows[*rows][c], &depth_part], &tag, lines)
            };
            let mut value = match self.vector {
                true => self.matrix.quad(buffer, [&loads.rows[*rows][0], &depth_part]),
                false => {
                    let elements: Vec<String> = (0..4).map(|c| element(c, lines)).collect();
                    format!("vec4<f32>({})", elements.join(", "))
                }
            };
            if ragged {
                value = format!("select(vec4<f32>(0.0), {value}, {l}k{j} < {}u)", self.depth_extent);
            }
            if self.summed {
                lines.push(format!("let value{j} = {value};"));
                lines.push(format!("sums{j} += value{j};"));
                value = format!("value{j}");
            }
            lines.push(format!("block_{l}[{depth} * {}u + {quad}] = {value};", self.quads()));
        }
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
    // A buffer is bound either as vectors or as scalars: what the epilogue reads too stays scalar.
    let also_read = kernel.epilogue.operands();
    let side = |letter, rows, extent| {
        let matrix = if letter == 'a' { &problem.a } else { &problem.b };
        let vector = matrix.row_quads() && !also_read.contains(&matrix.operand);
        let row_first = matrix.rows.dense() || !matrix.depth.dense();
        let summed = problem.sums == Some(if letter == 'a' { Side::A } else { Side::B });
        Block { matrix, letter, rows, extent, tile, depth_extent: problem.k, row_first, vector, summed }
    };
    let a = side('a', tile.rows, problem.m);
    let b = side('b', tile.columns, problem.n);
    let names = [&a, &b].map(|s| {
        let width = if s.vector { Width::Four } else { Width::One };
        let quads = s.quads() * tile.depth;
        module.declare(&format!("var<workgroup> block_{}: array<vec4<f32>, {quads}>;\n", s.letter));
        module.operand(s.matrix.operand, width)
    });
    let scalar: Vec<usize> = [&a, &b].iter().filter(|s| !s.vector).map(|s| s.matrix.operand).collect();
    let finish = Finish::new(&mut module, problem, splits, &scalar);
    let grid = Grid::new(&label, tile.groups(problem) * splits, caps)?;
    let mut head = grid.id();
    decode_group(problem, tile, splits, &mut head);
    let loads = [a.prepare("row0", &mut head), b.prepare("column0", &mut head)];
    batch_parts(problem, &mut head);
    let loads = with_batch(loads);
    head.extend(accumulators(tile));
    for (_, loads) in [(&a, &loads[0]), (&b, &loads[1])].iter().filter(|side| side.0.summed) {
        head.extend((0..loads.places.len()).map(|j| format!("var sums{j} = vec4<f32>(0.0);")));
    }
    let mut stage = Vec::new();
    a.stage(&names[0], &loads[0], &mut stage);
    b.stage(&names[1], &loads[1], &mut stage);
    let mut main = indented(&head, 1);
    main += &depth_loop(problem, tile, splits, caps);
    main += &indented(&stage, 2);
    main += "        workgroupBarrier();\n";
    main += &inner_loop(tile, caps);
    main += "        workgroupBarrier();\n    }\n";
    let mut tail = Vec::new();
    for (block, loads) in [(&a, &loads[0]), (&b, &loads[1])].iter().filter(|side| side.0.summed) {
        block.store_sums(&finish, loads, &mut tail);
    }
    store(problem, tile, &finish, &mut tail);
    main += &indented(&tail, 1);
    module.launch(&label, tile.invocations(), &main, &grid)
}

/// Lines that name the workgroup's block: `row0`, `column0`, `batch`, `part`.
fn decode_group(problem: &Problem, tile: Tile, splits: usize, lines: &mut Vec<String>) {
    let (mt, nt) = (problem.m.div_ceil(tile.rows), problem.n.div_ceil(tile.columns));
    let at = decode("id", &[problem.batch, splits, mt, nt], &[true; 4]);
    lines.push(format!("let batch = {};", at[0]));
    lines.push(format!("let part = {};", at[1]));
    lines.push(format!("let row0 = {} * {}u;", at[2], tile.rows));
    lines.push(format!("let column0 = {} * {}u;", at[3], tile.columns));
    let across = tile.columns / tile.own_columns;
    lines.push(format!("let tx = li % {across}u;"));
    lines.push(format!("let ty = li / {across}u;"));
}

fn batch_parts(problem: &Problem, lines: &mut Vec<String>) {
    for (tag, map) in [("za", &problem.a.batch), ("zb", &problem.b.batch), ("zo", &problem.out_batch)] {
        let part = map.print("batch", &format!("{tag}_"), lines);
        lines.push(format!("let {tag} = {};", part.addr));
    }
}

/// The row parts with the batch's address added.
fn with_batch(loads: [Loads; 2]) -> [Loads; 2] {
    let mut loads = loads;
    for (side, tag) in loads.iter_mut().zip(["za", "zb"]) {
        for part in side.rows.iter_mut().flatten() {
            part.addr = format!("{tag} + {}", part.addr);
        }
    }
    loads
}

fn accumulators(tile: Tile) -> Vec<String> {
    let one = |r: usize, j: usize| format!("var c{r}_{j} = vec4<f32>(0.0);");
    (0..tile.own_rows).flat_map(|r| (0..tile.own_columns / 4).map(move |j| one(r, j))).collect()
}

fn depth_loop(problem: &Problem, tile: Tile, splits: usize, caps: &Caps) -> String {
    let blocks = problem.k.div_ceil(tile.depth);
    if splits == 1 {
        let end = blocks * tile.depth;
        return format!(
            "    for (var k0 = {}; k0 < {end}u; k0 += {}u) {{\n",
            opaque_start("0u", caps),
            tile.depth
        );
    }
    let chunk = blocks.div_ceil(splits) * tile.depth;
    let end = blocks * tile.depth;
    format!(
        "    let k_end = min(part * {chunk}u + {chunk}u, {end}u);\n    \
         for (var k0 = {}; k0 < k_end; k0 += {}u) {{\n",
        opaque_start(&format!("part * {chunk}u"), caps),
        tile.depth
    )
}

fn inner_loop(tile: Tile, caps: &Caps) -> String {
    let (qa, qb) = (tile.rows / 4, tile.columns / 4);
    let (own_a, own_b) = (tile.own_rows / 4, tile.own_columns / 4);
    let unrolled = UNROLLED_DEPTHS.min(tile.depth);
    let mut lines = vec![format!(
        "for (var kk = {}; kk < {}u; kk += {unrolled}u) {{",
        opaque_start("0u", caps),
        tile.depth
    )];
    for u in 0..unrolled {
        for i in 0..own_a {
            let at = format!("(kk + {u}u) * {qa}u + ty + {}u", i * (qa / own_a));
            lines.push(format!("    let a{u}_{i} = block_a[{at}];"));
        }
        for j in 0..own_b {
            let at = format!("(kk + {u}u) * {qb}u + tx + {}u", j * (qb / own_b));
            lines.push(format!("    let b{u}_{j} = block_b[{at}];"));
        }
        for r in 0..tile.own_rows {
            for j in 0..own_b {
                let a = format!("a{u}_{}.{}", r / 4, ["x", "y", "z", "w"][r % 4]);
                lines.push(format!("    c{r}_{j} += {a} * b{u}_{j};"));
            }
        }
    }
    lines.push("}".to_owned());
    indented(&lines, 2)
}

fn store(problem: &Problem, tile: Tile, finish: &Finish, lines: &mut Vec<String>) {
    let (qa, qb) = (tile.rows / 4, tile.columns / 4);
    let (own_a, own_b) = (tile.own_rows / 4, tile.own_columns / 4);
    let mut places = Vec::new();
    for j in 0..own_b {
        lines.push(format!("let n{j} = column0 + (tx + {}u) * 4u;", j * (qb / own_b)));
        places.push(columns(problem, finish.four(), &format!("n{j}"), &format!("q{j}"), lines));
    }
    for r in 0..tile.own_rows {
        let at = format!("(ty + {}u) * 4u + {}u", r / 4 * (qa / own_a), r % 4);
        lines.push(format!("let m{r} = row0 + {at};"));
        let row = problem.out_rows.print(&format!("m{r}"), &format!("w{r}"), lines);
        let mut stores = Vec::new();
        for (j, places) in places.iter().enumerate() {
            for (c, place) in places.iter().enumerate() {
                let value = if finish.four() { format!("c{r}_{j}") } else { format!("c{r}_{j}[{c}]") };
                let store = finish.store(["zo", &row.addr, &place.addr], &value);
                stores.push(match problem.n.is_multiple_of(tile.columns) {
                    true => store,
                    false => format!("if (q{j}n{c} < {}u) {{ {store} }}", problem.n),
                });
            }
        }
        if problem.m.is_multiple_of(tile.rows) {
            lines.extend(stores);
        } else {
            lines.push(format!("if (m{r} < {}u) {{", problem.m));
            lines.extend(stores.into_iter().map(|s| format!("    {s}")));
            lines.push("}".to_owned());
        }
    }
}
