// Extents and parts of the attention kernels of one subgroup, for software adapters: no workgroup memory, no barrier.
//
// A workgroup is a subgroup of SIZE lanes and owns TALL rows: queries, or keys in the gradients of keys and values. The
// others, its columns, come in blocks of ACROSS per lane. Lanes load a row each and hand its elements round by
// subgroupShuffle; a block's weights stay in the lane that made them and go round the same way when they multiply rows of
// an operand whose elements the lanes own, four each. A loop writes each of its sums once per trip, under a mask, and a
// loaded vector is a hundred branches: a trip does much with its loads, and sequences that run one after another in any
// case (stores of rows, a block's columns) are written once.

const SIZE: u32 = 8u;
const TALL: u32 = 16u;
// Columns of a block per lane.
const ACROSS: u32 = 2u;
// Some columns of a block are hidden from every row, or do not exist.
const MASKED: bool = true;
// The subgroup's rows are keys, and its columns queries; else the other way round.
const OF_KEYS: bool = false;
// Rows in all, and their heads.
const ROWS: u32 = 16u;
const ROW_HEADS: u32 = 2u;

// #import common/attention

const BLOCK: u32 = ACROSS * SIZE;
const BLOCKS: u32 = (ROWS + TALL - 1u) / TALL;
// Rows loaded by a lane.
const OWN_LOADS: u32 = (TALL + SIZE - 1u) / SIZE;
// Quads of an operand's columns owned by a lane.
const DEPTH_QUADS: u32 = (DEPTH + 4u * SIZE - 1u) / (4u * SIZE);
const WIDTH_QUADS: u32 = (WIDTH + 4u * SIZE - 1u) / (4u * SIZE);

// Place of a workgroup: batch, head and first row. Blocks from both ends in turn: an adapter that halves the grid halves
// causal work too.
fn place(id: u32) -> vec3<u32> {
    let turn = id % BLOCKS;
    let block = select(BLOCKS - 1u - turn / 2u, turn / 2u, turn % 2u == 0u);
    return vec3<u32>(id / (BLOCKS * ROW_HEADS), id / BLOCKS % ROW_HEADS, block * TALL);
}

// Row i of those loaded by a lane.
fn own_row(row0: u32, i: u32, li: u32) -> u32 {
    return min(row0 + i * SIZE + li % TALL, ROWS - 1u);
}

// Column of the lane's quad i of an operand's row.
fn own_column(i: u32, li: u32, columns: u32) -> u32 {
    return min(i * (4u * SIZE) + li * 4u, columns - 4u);
}

// Sums per row of DEPTH columns, and a turn's columns more: the rows of k (of q) at `turn` and after it, a lane's weights each,
// two at a time. `begin` is the address of row 0.
fn with_turn(
    sums: array<vec4<f32>, TALL * DEPTH_QUADS>,
    weight: array<f32, TALL>,
    begin: u32,
    turn: u32,
    li: u32,
    zero: u32
) -> array<vec4<f32>, TALL * DEPTH_QUADS> {
    var sum = sums;
    var x: array<vec4<f32>, 2u * DEPTH_QUADS>;
    for (var lane = zero; lane < SIZE; lane += 2u) {
        for (var j = 0u; j < 2u; j += 1u) { // #unroll
            for (var i = 0u; i < DEPTH_QUADS; i += 1u) { // #unroll
                // #if !OF_KEYS
                x[j * DEPTH_QUADS + i] = k_quad(begin + min(turn + lane + j, KEYS - 1u) * K_ROW, own_column(i, li, DEPTH));
                // #end
                // #if OF_KEYS
                x[j * DEPTH_QUADS + i] = q_quad(begin + min(turn + lane + j, QUERIES - 1u) * Q_ROW, own_column(i, li, DEPTH));
                // #end
            }
        }
        for (var r = 0u; r < TALL; r += 1u) { // #unroll
            let p0 = subgroupShuffle(weight[r], lane);
            let p1 = subgroupShuffle(weight[r], lane + 1u);
            for (var i = 0u; i < DEPTH_QUADS; i += 1u) { // #unroll
                sum[r * DEPTH_QUADS + i] = sum[r * DEPTH_QUADS + i] + p0 * x[i] + p1 * x[DEPTH_QUADS + i];
            }
        }
    }
    return sum;
}

// Sums per row of WIDTH columns, and two lanes' weights times rows x of v (of dy) more: the lane's quads of the first lane's row
// before those of the second's.
fn with_width_rows(
    sums: array<vec4<f32>, TALL * WIDTH_QUADS>,
    weight: array<f32, TALL>,
    lane: u32,
    x: array<vec4<f32>, 2u * WIDTH_QUADS>
) -> array<vec4<f32>, TALL * WIDTH_QUADS> {
    var sum = sums;
    for (var r = 0u; r < TALL; r += 1u) { // #unroll
        let p0 = subgroupShuffle(weight[r], lane);
        let p1 = subgroupShuffle(weight[r], lane + 1u);
        for (var i = 0u; i < WIDTH_QUADS; i += 1u) { // #unroll
            sum[r * WIDTH_QUADS + i] = sum[r * WIDTH_QUADS + i] + p0 * x[i] + p1 * x[WIDTH_QUADS + i];
        }
    }
    return sum;
}
