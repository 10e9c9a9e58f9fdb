// The product in tiles: y[z, m, n] = sum over k of a[z, m, k] * b[z, n, k].
//
// A workgroup makes a tile of ROWS x COLUMNS results. Block by block of DEPTH it stages both operands in its memory, as
// quads of rows (of columns), so that the inner loop reads vectors; an invocation adds up OWN_ROWS x OWN_COLUMNS results
// in registers. A split product has PARTS workgroups per tile, each with its share of the depth.
//
// The importing file names elements by hooks. `a_row(m)` and `a_depth(k)` are row m's and depth k's summands of an address
// (.x) and of the image coordinates that decide on padding (.y, .z); `a_at` reads the element at such a sum, `a_four` a
// vector. `b_` names the same of b, whose rows are the result's columns. `out_row(m)` and `out_column(n)` are summands of a
// result's address; `store` finishes a result.
//
// Owners: invocation li owns quad (tx, ty) of the tile, and every (QUADS / OWN)-th after it. Edges: rows beyond the last
// read the last one and are not stored; depths beyond the last count as 0. Barriers: one after a block is loaded, one
// after it is used; both stand in uniform control flow.

const BATCH: u32 = 1u;
const PARTS: u32 = 1u;
const M: u32 = 8u;
const N: u32 = 8u;
const K: u32 = 8u;
const ROWS: u32 = 8u;
const COLUMNS: u32 = 8u;
const DEPTH: u32 = 4u;
const OWN_ROWS: u32 = 4u;
const OWN_COLUMNS: u32 = 4u;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 1u;
// More workgroups run than there are tiles.
const FOLDED: bool = false;
// Loops begin at a value unknown to the compiler, since a software adapter's would unroll them.
const OPAQUE_LOOPS: bool = false;
// Neighbouring invocations load neighbouring rows, else neighbouring depths.
const A_ROW_FIRST: bool = false;
const B_ROW_FIRST: bool = false;
// Rows of a (of b) per load: 4 if they are a vector in memory.
const A_UNIT: u32 = 1u;
const B_UNIT: u32 = 1u;
// The sums of a (of b) over the depth are a second result, of the first tile along the other axis.
const SUM_A: bool = false;
const SUM_B: bool = false;
// Four columns are stored at once.
const STORE_FOUR: bool = false;

const ROW_TILES: u32 = (M + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = (N + COLUMNS - 1u) / COLUMNS;
const RAGGED_ROWS: bool = M % ROWS != 0u;
const RAGGED_COLUMNS: bool = N % COLUMNS != 0u;
const RAGGED_DEPTH: bool = K % DEPTH != 0u;
const BLOCKS: u32 = (K + DEPTH - 1u) / DEPTH;
const CHUNK: u32 = (BLOCKS + PARTS - 1u) / PARTS * DEPTH;
const A_QUADS: u32 = ROWS / 4u;
const B_QUADS: u32 = COLUMNS / 4u;
const OWN_A: u32 = OWN_ROWS / 4u;
const OWN_B: u32 = OWN_COLUMNS / 4u;
const ACROSS: u32 = COLUMNS / OWN_COLUMNS;
const WORKGROUP: u32 = ROWS / OWN_ROWS * ACROSS;
const A_LOADS: u32 = (A_QUADS * DEPTH + WORKGROUP - 1u) / WORKGROUP;
const B_LOADS: u32 = (B_QUADS * DEPTH + WORKGROUP - 1u) / WORKGROUP;
// Unrolled depths of the inner loop.
const WRITTEN_OUT: u32 = min(4u, DEPTH);
const A_VECTOR: bool = A_UNIT == 4u;
const B_VECTOR: bool = B_UNIT == 4u;
const B_SCALAR: bool = B_UNIT == 1u;

// #import common/product_hooks

var<workgroup> block_a: array<vec4<f32>, A_QUADS * DEPTH>;
var<workgroup> block_b: array<vec4<f32>, B_QUADS * DEPTH>;

// Quad (.x) and depth (.y) of an invocation's load j of a block.
fn a_load_place(li: u32, j: u32) -> vec2<u32> {
    let depth_first = vec2<u32>(li / DEPTH + j * (WORKGROUP / DEPTH), li % DEPTH);
    let row_first = vec2<u32>(li % A_QUADS, li / A_QUADS + j * (WORKGROUP / A_QUADS));
    return select(depth_first, row_first, A_ROW_FIRST);
}

fn b_load_place(li: u32, j: u32) -> vec2<u32> {
    let depth_first = vec2<u32>(li / DEPTH + j * (WORKGROUP / DEPTH), li % DEPTH);
    let row_first = vec2<u32>(li % B_QUADS, li / B_QUADS + j * (WORKGROUP / B_QUADS));
    return select(depth_first, row_first, B_ROW_FIRST);
}

// Row m, or the last valid start of a load.
fn a_inside(m: u32) -> u32 {
    var row = m;
    // #if RAGGED_ROWS
    row = min(m, M - A_UNIT);
    // #end
    return row;
}

fn b_inside(n: u32) -> u32 {
    var row = n;
    // #if RAGGED_COLUMNS
    row = min(n, N - B_UNIT);
    // #end
    return row;
}

// Rows m .. m + 3 of the batch that begins at an address.
fn a_rows(begin: vec3<u32>, m: u32) -> array<vec3<u32>, 4> {
    return array<vec3<u32>, 4>(
        begin + a_row(a_inside(m)),
        begin + a_row(a_inside(m + 1u)),
        begin + a_row(a_inside(m + 2u)),
        begin + a_row(a_inside(m + 3u))
    );
}

fn b_rows(begin: vec3<u32>, n: u32) -> array<vec3<u32>, 4> {
    return array<vec3<u32>, 4>(
        begin + b_row(b_inside(n)),
        begin + b_row(b_inside(n + 1u)),
        begin + b_row(b_inside(n + 2u)),
        begin + b_row(b_inside(n + 3u))
    );
}

// Four rows at depth k, 0 beyond the last depth.
fn a_quad(rows: array<vec3<u32>, 4>, k: u32) -> vec4<f32> {
    var depth = k;
    // #if RAGGED_DEPTH
    depth = min(k, K - 1u);
    // #end
    var quad = a_load(rows, a_depth(depth));
    // #if RAGGED_DEPTH
    quad = select(vec4<f32>(0.0), quad, k < K);
    // #end
    return quad;
}

fn b_quad(rows: array<vec3<u32>, 4>, k: u32) -> vec4<f32> {
    var depth = k;
    // #if RAGGED_DEPTH
    depth = min(k, K - 1u);
    // #end
    var quad = b_load(rows, b_depth(depth));
    // #if RAGGED_DEPTH
    quad = select(vec4<f32>(0.0), quad, k < K);
    // #end
    return quad;
}

// #import common/store_columns

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let zero = select(0u, wg.z, OPAQUE_LOOPS);
    let batch = id / (PARTS * ROW_TILES * COLUMN_TILES);
    let part = id / (ROW_TILES * COLUMN_TILES) % PARTS;
    let row0 = id / COLUMN_TILES % ROW_TILES * ROWS;
    let column0 = id % COLUMN_TILES * COLUMNS;
    let tx = li % ACROSS;
    let ty = li / ACROSS;

    // Addresses constant over all blocks.
    let begin_a = vec3<u32>(a_batch(batch), 0u, 0u);
    let begin_b = vec3<u32>(b_batch(batch), 0u, 0u);
    var rows_a: array<array<vec3<u32>, 4>, A_LOADS>;
    var rows_b: array<array<vec3<u32>, 4>, B_LOADS>;
    for (var j = 0u; j < A_LOADS; j += 1u) { // #unroll
        rows_a[j] = a_rows(begin_a, row0 + a_load_place(li, j).x * 4u);
    }
    for (var j = 0u; j < B_LOADS; j += 1u) { // #unroll
        rows_b[j] = b_rows(begin_b, column0 + b_load_place(li, j).x * 4u);
    }

    var acc: array<vec4<f32>, OWN_ROWS * OWN_B>;
    var a: array<vec4<f32>, OWN_A>;
    var b: array<vec4<f32>, OWN_B>;
    // #if SUM_A
    var sums_a: array<vec4<f32>, A_LOADS>;
    // #end
    // #if SUM_B
    var sums_b: array<vec4<f32>, B_LOADS>;
    // #end

    let depth_end = min(part * CHUNK + CHUNK, BLOCKS * DEPTH);
    for (var k0 = part * CHUNK + zero; k0 < depth_end; k0 += DEPTH) { // #label depth_loop
        for (var j = 0u; j < A_LOADS; j += 1u) { // #unroll
            let at = a_load_place(li, j);
            let quad = a_quad(rows_a[j], k0 + at.y);
            block_a[at.y * A_QUADS + at.x] = quad;
            // #if SUM_A
            sums_a[j] += quad; // #label sum_beside
            // #end
        }
        for (var j = 0u; j < B_LOADS; j += 1u) { // #unroll
            let at = b_load_place(li, j);
            let quad = b_quad(rows_b[j], k0 + at.y);
            block_b[at.y * B_QUADS + at.x] = quad;
            // #if SUM_B
            sums_b[j] += quad; // #label sum_beside
            // #end
        }
        workgroupBarrier(); // #label loaded
        for (var kk = zero; kk < DEPTH; kk += WRITTEN_OUT) {
            for (var u = 0u; u < WRITTEN_OUT; u += 1u) { // #unroll
                for (var i = 0u; i < OWN_A; i += 1u) { // #unroll
                    a[i] = block_a[(kk + u) * A_QUADS + ty + i * (A_QUADS / OWN_A)]; // #label tile_a
                }
                for (var j = 0u; j < OWN_B; j += 1u) { // #unroll
                    b[j] = block_b[(kk + u) * B_QUADS + tx + j * (B_QUADS / OWN_B)]; // #label tile_b
                }
                for (var r = 0u; r < OWN_ROWS; r += 1u) { // #unroll
                    for (var j = 0u; j < OWN_B; j += 1u) { // #unroll
                        acc[r * OWN_B + j] += a[r / 4u][r % 4u] * b[j]; // #label accumulate
                    }
                }
            }
        }
        workgroupBarrier(); // #label used
    }

    // Sums beside the product: added up through the block's memory, by the first tile along the other axis.
    // #if SUM_A
    for (var j = 0u; j < A_LOADS; j += 1u) { // #unroll
        let at = a_load_place(li, j);
        block_a[at.y * A_QUADS + at.x] = sums_a[j];
    }
    workgroupBarrier();
    if (column0 == 0u && li < ROWS && row0 + li < M) {
        var total = 0.0;
        for (var d = 0u; d < DEPTH; d += 1u) {
            total += block_a[d * A_QUADS + li / 4u][li % 4u];
        }
        store_sum(part, batch * M + row0 + li, total);
    }
    // #end
    // #if SUM_B
    for (var j = 0u; j < B_LOADS; j += 1u) { // #unroll
        let at = b_load_place(li, j);
        block_b[at.y * B_QUADS + at.x] = sums_b[j];
    }
    workgroupBarrier();
    if (row0 == 0u && li < COLUMNS && column0 + li < N) {
        var total = 0.0;
        for (var d = 0u; d < DEPTH; d += 1u) {
            total += block_b[d * B_QUADS + li / 4u][li % 4u];
        }
        store_sum(part, batch * N + column0 + li, total);
    }
    // #end

    let begin_out = out_batch(batch);
    var places: array<vec4<u32>, OWN_B>;
    for (var j = 0u; j < OWN_B; j += 1u) { // #unroll
        places[j] = column_places(column0 + (tx + j * (B_QUADS / OWN_B)) * 4u);
    }
    for (var r = 0u; r < OWN_ROWS; r += 1u) { // #unroll
        let m = row0 + (ty + r / 4u * (A_QUADS / OWN_A)) * 4u + r % 4u;
        // #if RAGGED_ROWS
        if (m < M) { // #label edge_row
        // #end
            for (var j = 0u; j < OWN_B; j += 1u) { // #unroll
                let n = column0 + (tx + j * (B_QUADS / OWN_B)) * 4u;
                store_columns(part, begin_out + out_row(m), n, places[j], acc[r * OWN_B + j]);
            }
        // #if RAGGED_ROWS
        }
        // #end
    }
}
