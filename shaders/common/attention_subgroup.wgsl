// Extents and parts of the attention kernels of one subgroup, for software adapters: no workgroup memory, no barrier.
//
// A workgroup is a subgroup of SIZE lanes and owns TALL rows: queries, or keys in the gradients of keys and values. The
// others, its columns, come in blocks of ACROSS per lane. Lanes load a row each and hand its elements round by
// subgroupShuffle; a block's weights stay in the lane that made them and go round the same way when they multiply rows of
// an operand whose elements the lanes own, four each. A loop writes each of its sums once per trip, under a mask, and a
// loaded vector is a hundred branches: a trip does much with its loads, and sequences that run one after another in any
// case (stores of rows, a block's columns) are written once.

const BATCH: u32 = 1u;
const HEADS: u32 = 2u;
// Heads of queries per head of keys.
const SHARE: u32 = 1u;
const QUERIES: u32 = 16u;
const KEYS: u32 = 16u;
const DEPTH: u32 = 8u;
const WIDTH: u32 = 8u;
const SCALE: f32 = 0.5f;
const CAUSAL: bool = true;
const SIZE: u32 = 8u;
const TALL: u32 = 16u;
// Columns of a block per lane.
const ACROSS: u32 = 2u;
// Some columns of a block are seen by no row, or do not exist.
const MASKED: bool = true;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 2u;
// More workgroups run than there are blocks of rows.
const FOLDED: bool = false;
// Loops begin at a value unknown to the compiler, since a software adapter's would unroll them.
const OPAQUE_LOOPS: bool = false;
// Rows of the operand owned by the subgroup, and their heads.
const ROWS: u32 = 16u;
const ROW_HEADS: u32 = 2u;
// Strides of the operands, in elements.
const Q_BATCH: u32 = 256u;
const Q_HEAD: u32 = 128u;
const Q_ROW: u32 = 8u;
const Q_OFFSET: u32 = 0u;
const K_BATCH: u32 = 256u;
const K_HEAD: u32 = 128u;
const K_ROW: u32 = 8u;
const K_OFFSET: u32 = 0u;
const V_BATCH: u32 = 256u;
const V_HEAD: u32 = 128u;
const V_ROW: u32 = 8u;
const V_OFFSET: u32 = 0u;

const BLOCK: u32 = ACROSS * SIZE;
const BLOCKS: u32 = (ROWS + TALL - 1u) / TALL;
// Rows loaded by a lane.
const OWN_LOADS: u32 = (TALL + SIZE - 1u) / SIZE;
// Quads of an operand's columns owned by a lane.
const DEPTH_QUADS: u32 = (DEPTH + 4u * SIZE - 1u) / (4u * SIZE);
const WIDTH_QUADS: u32 = (WIDTH + 4u * SIZE - 1u) / (4u * SIZE);
// Below any score, and finite, since WGSL may assume finite numbers.
const LOWEST: f32 = -1e30f;

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

fn q_begin(batch: u32, head: u32) -> u32 {
    return batch * Q_BATCH + head * Q_HEAD + Q_OFFSET;
}

fn k_begin(batch: u32, head: u32) -> u32 {
    return batch * K_BATCH + head * K_HEAD + K_OFFSET;
}
