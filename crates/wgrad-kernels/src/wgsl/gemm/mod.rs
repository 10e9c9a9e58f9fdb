//! Matrix products: one generator for `matmul` and the three convolutions, in two variants.
//!
//! A kernel becomes a [`Problem`]: extents, and index maps of rows, columns and depth in the operands. [`tile`] prints it
//! for GPUs, [`subgroup`] for software adapters. All extents are constants of the text.

mod finish;
mod hooks;
mod index_map;
mod problem;
mod subgroup;
mod tile;

use super::reduce::combine_partials;
use crate::kernel::Kernel;
use crate::launch::{Launch, Unsupported, Variant};
use crate::table::{Figures, MAX_TRIPS, figures};
use problem::Problem;
use subgroup::Registers;
use tile::Tile;
use wgrad_graph::ops::ReduceKind;
use wgrad_types::{AdapterClass, Caps, DType};

/// Tiles, largest first.
const TILES: [Tile; 4] = [
    Tile::new([128, 128, 8], [8, 8]),
    Tile::new([64, 64, 16], [4, 4]),
    Tile::new([64, 64, 16], [8, 8]),
    Tile::new([32, 32, 16], [4, 4]),
];

/// Rows of a register tile and depths of its step. Their product decides how long a driver compiles the body: Mesa
/// 25 takes a second for 64, and twice that for 128, which are no faster.
const REGISTER_ROWS: usize = 16;
const REGISTER_DEPTHS: usize = 4;

/// Depths of a part at least.
const SHORTEST_PART: usize = 64;

/// Minimum number of multiply-adds for one kernel per phase of a strided gradient.
const PHASED_WORK: usize = 1 << 24;

/// True if the kernel is a matrix product.
pub(super) fn is_product(kernel: &Kernel) -> bool {
    Problem::of(kernel).is_some()
}

/// Variants of a matrix product, best guess first. `None` for an empty sum.
pub(super) fn variants(kernel: &Kernel, caps: &Caps) -> Result<Option<Vec<Variant>>, Unsupported> {
    let Some(problem) = Problem::of(kernel).filter(|p| p.k > 0) else { return Ok(None) };
    // The best tile in other numbers of parts comes last: only measuring tells.
    let (mut variants, mut more) = (Vec::new(), Vec::new());
    let work = problem.batch * problem.m * problem.n * problem.k;
    if let Some(phases) = Problem::phases(kernel).filter(|_| work >= PHASED_WORK) {
        variants.push(phased(kernel, caps, &phases)?);
    }
    if let (AdapterClass::Software, Some(size @ 4..)) = (caps.class, caps.subgroup) {
        let exchanged = problem.exchanged();
        let also_read = kernel.epilogue.operands();
        let tiles = registers(&problem, &exchanged, size as usize, &also_read);
        for tile in &tiles {
            variants.push(finished(kernel, caps, tile.name(), tile.launch(kernel, caps)?, tile.splits)?);
        }
        if let Some(best) = tiles.into_iter().next() {
            for splits in other_splits(&problem, best.splits, caps) {
                let tile = Registers { splits, ..best };
                if tile.trips() <= MAX_TRIPS {
                    more.push(finished(kernel, caps, tile.name(), tile.launch(kernel, caps)?, splits)?);
                }
            }
        }
    }
    for (rank, tile) in tiles(&problem, caps).into_iter().take(figures(caps).tiles).enumerate() {
        let splits = tile_splits(&problem, tile, caps);
        let variant = |splits| {
            let launch = tile::launch(kernel, caps, &problem, tile, splits)?;
            finished(kernel, caps, tile.name(), launch, splits)
        };
        variants.push(variant(splits)?);
        if rank == 0 && caps.class != AdapterClass::Software {
            for splits in other_splits(&problem, splits, caps) {
                more.push(variant(splits)?);
            }
        }
    }
    variants.append(&mut more);
    Ok(Some(variants))
}

/// Best guess for a product in one launch, unsplit; `None` for an empty sum.
pub(super) fn undivided(kernel: &Kernel, caps: &Caps) -> Result<Option<Launch>, Unsupported> {
    let Some(problem) = Problem::of(kernel).filter(|p| p.k > 0) else { return Ok(None) };
    one_launch(kernel, caps, &problem).map(Some)
}

fn one_launch(kernel: &Kernel, caps: &Caps, problem: &Problem) -> Result<Launch, Unsupported> {
    let (exchanged, also_read) = (problem.exchanged(), kernel.epilogue.operands());
    let size = caps.subgroup.filter(|_| caps.class == AdapterClass::Software).unwrap_or(0) as usize;
    if size >= REGISTER_DEPTHS
        && let Some(mut tile) = registers(problem, &exchanged, size, &also_read).into_iter().next()
    {
        tile.splits = 1;
        return tile.launch(kernel, caps);
    }
    tile::launch(kernel, caps, problem, tiles(problem, caps)[0], 1)
}

/// One launch for every phase of a stride.
fn phased(kernel: &Kernel, caps: &Caps, phases: &[Problem]) -> Result<Variant, Unsupported> {
    let launches = phases.iter().map(|p| one_launch(kernel, caps, p)).collect::<Result<Vec<_>, _>>()?;
    Ok(Variant { name: format!("phases{}", phases.len()), launches, scratch: Vec::new() })
}

/// Variant of one launch and, for a split product, a second launch adding the parts.
fn finished(
    kernel: &Kernel,
    caps: &Caps,
    name: String,
    launch: Launch,
    splits: usize,
) -> Result<Variant, Unsupported> {
    if splits == 1 {
        return Ok(Variant { name, launches: vec![launch], scratch: Vec::new() });
    }
    let combine = combine_partials(kernel, ReduceKind::Sum, splits, caps)?;
    let mut scratch = vec![splits * kernel.numel() * DType::F32.bytes()];
    scratch.extend(kernel.sums.as_ref().map(|s| splits * s.spans[1] * DType::F32.bytes()));
    Ok(Variant { name: format!("{name}.split{splits}"), launches: vec![launch, combine], scratch })
}

/// Tiles within the adapter's limits, best guess first: the largest ones keeping it busy and in registers.
fn tiles(problem: &Problem, caps: &Caps) -> Vec<Tile> {
    let fits = |t: &&Tile| {
        t.invocations() <= caps.limits.workgroup_size && t.workgroup_bytes() <= caps.limits.workgroup_bytes
    };
    let mut tiles: Vec<Tile> = TILES.iter().filter(fits).copied().collect();
    let Figures { busy, results, .. } = *figures(caps);
    // Wasted work beyond the edges, and too few workgroups to fill the adapter.
    let cost = |t: &Tile| {
        let padded = t.groups(problem) * t.rows * t.columns;
        let groups = t.groups(problem) * tile_splits(problem, *t, caps);
        let idle = (busy as f64 / groups as f64).max(1.0);
        let per_result = 1.0 + 8.0 / (t.own_rows * t.own_columns) as f64;
        padded as f64 * idle * per_result
    };
    let large = |t: &Tile| t.own_rows * t.own_columns > results;
    tiles.sort_by(|a, b| large(a).cmp(&large(b)).then(cost(a).total_cmp(&cost(b))));
    tiles
}

/// Parts a tiled product is split into: as many as it takes to keep the adapter busy, none of them short.
fn tile_splits(problem: &Problem, tile: Tile, caps: &Caps) -> usize {
    let (busy, shortest) = figures(caps).split;
    let wanted = busy / tile.groups(problem).max(1);
    bounded_splits(problem, wanted.min(problem.k / shortest), caps)
}

/// Other numbers of parts worth measuring: twice as many, and one.
fn other_splits(problem: &Problem, splits: usize, caps: &Caps) -> impl Iterator<Item = usize> {
    let twice = bounded_splits(problem, 2 * splits, caps);
    let twice = (twice > splits && problem.k / twice >= SHORTEST_PART).then_some(twice);
    twice.into_iter().chain((splits > 1).then_some(1))
}

/// At least one part, and no more than a binding holds.
fn bounded_splits(problem: &Problem, splits: usize, caps: &Caps) -> usize {
    let bytes = (problem.batch * problem.m * problem.n * DType::F32.bytes()).max(1);
    splits.clamp(1, (caps.limits.binding_bytes / bytes).clamp(1, 64))
}

/// Register tiles for a subgroup size, best guess first.
fn registers<'a>(
    problem: &'a Problem,
    exchanged: &'a Problem,
    size: usize,
    also_read: &'a [usize],
) -> Vec<Registers<'a>> {
    let tile = |problem: &'a Problem, exchanged: bool| {
        let rows = problem.m.div_ceil(problem.m.div_ceil(REGISTER_ROWS));
        // Rows in fours can be read as vectors.
        let rows = if problem.a.row_quads() { rows.next_multiple_of(4) } else { rows };
        let mut tile =
            Registers { problem, size, rows, depths: REGISTER_DEPTHS, splits: 1, exchanged, also_read };
        tile.splits = register_splits(&tile);
        tile
    };
    let mut tiles = vec![tile(problem, false), tile(exchanged, true)];
    tiles.sort_by(|a, b| register_cost(a).total_cmp(&register_cost(b)));
    tiles.retain(|t| t.trips() <= MAX_TRIPS);
    tiles
}

fn register_splits(tile: &Registers<'_>) -> usize {
    let p = tile.problem;
    let wanted = (16 / tile.groups()).min(p.k / 128);
    let needed = p.k.div_ceil(tile.depths * MAX_TRIPS);
    wanted.max(needed).clamp(1, 64)
}

/// Rough cycles of a register tile's launch: loads by lane, arithmetic by subgroup.
fn register_cost(tile: &Registers<'_>) -> f64 {
    let p = tile.problem;
    let load = 8.0 * tile.size as f64;
    let a = if p.a.row_quads() { 0.6 } else { 1.0 } * tile.rows as f64 / tile.size as f64 * load;
    let b = if p.b.row_quads() || p.b.depth_quads() { 0.6 } else { 1.0 } * 4.0 * load;
    let arithmetic = 9.0 * tile.rows as f64;
    (tile.groups() * p.k) as f64 * (a + b + arithmetic)
}
