// The product of one subgroup in registers: y[z, m, n] = sum over k of a[z, m, k] * b[z, n, k]. No workgroup memory, no
// barrier: for software adapters, whose loads cost most and whose arithmetic is as wide as the subgroup.
//
// A workgroup is one subgroup of SIZE lanes, which lie along the result's columns, four each; every lane owns ROWS rows of
// its columns. A step takes DEPTHS (4) depths: lane l loads elements of a at depth k0 + l % DEPTHS and hands them round by
// subgroupShuffle with a constant lane, so that each is loaded once. A split product has PARTS workgroups per tile, the
// last of which takes the depths left over.
//
// Hooks as in `common/tile`; the product may be exchanged, rows for columns. Edges: rows and columns beyond the last read the last one and are not stored.

const BATCH: u32 = 1u;
const PARTS: u32 = 1u;
const M: u32 = 8u;
const N: u32 = 8u;
const K: u32 = 8u;
const SIZE: u32 = 8u;
const ROWS: u32 = 8u;
const DEPTHS: u32 = 4u;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 1u;
// More workgroups run than there are tiles.
const FOLDED: bool = false;
// Loops begin at a value unknown to the compiler, since a software adapter's would unroll them.
const OPAQUE_LOOPS: bool = false;
// Rows of a (of b) per load: 4 if they are a vector in memory.
const A_UNIT: u32 = 1u;
const B_UNIT: u32 = 1u;
// b is read element by element.
const B_SCALAR: bool = true;
// A lane loads four depths of a column of b as one vector.
const B_DEPTHS: bool = false;
// Addresses of depths of b take work: a lane works out its own and hands it round.
const B_OWN_DEPTH: bool = false;
const B_EVERY_DEPTH: bool = true;
// The sums of a (of b) over the depth are a second result, of the first tile along the other axis.
const SUM_A: bool = false;
const SUM_B: bool = false;
// Four columns are stored at once.
const STORE_FOUR: bool = false;
// Rows stored by one piece of text; the others in further trips of a loop.
const STORED: u32 = 4u;

const COLUMNS: u32 = 4u * SIZE;
const ROW_TILES: u32 = (M + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = (N + COLUMNS - 1u) / COLUMNS;
// Rows (or quads of rows) loaded by the lanes at a time, one depth each.
const AT_ONCE: u32 = SIZE / DEPTHS;
const A_LOADS: u32 = (ROWS + A_UNIT * AT_ONCE - 1u) / (A_UNIT * AT_ONCE);
const CLAMPED_ROWS: bool = M % ROWS + ROWS % (A_UNIT * AT_ONCE) != 0u;
const RAGGED_COLUMNS: bool = N % COLUMNS != 0u;
const REST: u32 = K % DEPTHS;
const RAGGED_DEPTH: bool = REST != 0u;
const WHOLE: u32 = K - REST;
const CHUNK: u32 = (WHOLE / DEPTHS + PARTS - 1u) / PARTS * DEPTHS;
const STORE_LOOP: bool = ROWS > STORED;
const STORED_ROWS: u32 = min(ROWS, STORED);
const GUARDED_STORE: bool = M % ROWS + ROWS % STORED_ROWS != 0u;
// Passes over the depth: whole blocks of DEPTHS if there are any, then the remainder if there is one.
const FIRST_PASS: u32 = 1u - min(WHOLE, 1u);
const PASSES: u32 = 1u + min(REST, 1u);
const A_VECTOR: bool = A_UNIT == 4u;
const B_VECTOR: bool = B_UNIT == 4u;

// #import common/product_hooks

// #import common/store_columns

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let zero = select(0u, wg.z, OPAQUE_LOOPS);
    let batch = id / (PARTS * COLUMN_TILES * ROW_TILES);
    let part = id / (COLUMN_TILES * ROW_TILES) % PARTS;
    let column0 = id / ROW_TILES % COLUMN_TILES * COLUMNS;
    let row0 = id % ROW_TILES * ROWS;
    let n = column0 + li * 4u;
    let own_depth = li % DEPTHS;
    let own_row = li / DEPTHS * A_UNIT;

    // Rows of a loaded by this lane, and its columns.
    let begin_a = vec3<u32>(a_batch(batch), 0u, 0u);
    let begin_b = vec3<u32>(b_batch(batch), 0u, 0u);
    var rows_a: array<vec3<u32>, A_LOADS>;
    for (var i = 0u; i < A_LOADS; i += 1u) { // #unroll
        var row = row0 + i * (A_UNIT * AT_ONCE) + own_row;
        // #if CLAMPED_ROWS
        row = min(row, M - A_UNIT); // #label last_row
        // #end
        rows_a[i] = begin_a + a_row(row);
    }
    var rows_b: array<vec3<u32>, 4>;
    for (var c = 0u; c < 4u; c += 1u) { // #unroll
        var column = n + c;
        // #if RAGGED_COLUMNS
        column = min(column, N - B_UNIT);
        // #end
        rows_b[c] = begin_b + b_row(column);
    }

    var acc: array<vec4<f32>, ROWS>;
    // Four rows per load, or one in component 0.
    var a: array<vec4<f32>, A_LOADS>;
    var b: vec4<f32>;
    // #if SUM_A
    var sums_a: array<vec4<f32>, A_LOADS>;
    // #end
    // #if SUM_B
    var sums_b: vec4<f32>;
    // #end

    for (var rest = FIRST_PASS; rest < PASSES; rest += 1u) { // #unroll
        let begin = select(part * CHUNK, WHOLE, rest == 1u); // #label depth_begin
        let rest_end = select(WHOLE, K, part == PARTS - 1u);
        let end = select(min(part * CHUNK + CHUNK, WHOLE), rest_end, rest == 1u);
        for (var k0 = begin + zero; k0 < end; k0 += DEPTHS) { // #label depth_loop
            var k = k0 + own_depth;
            // #if RAGGED_DEPTH
            k = min(k, K - 1u);
            // #end
            let depth_a = a_depth(k);
            for (var i = 0u; i < A_LOADS; i += 1u) { // #unroll
                // #if A_VECTOR
                a[i] = a_four(rows_a[i].x + depth_a.x);
                // #end
                // #if !A_VECTOR
                a[i].x = a_at(rows_a[i], depth_a);
                // #end
                // #if SUM_A
                sums_a[i] += select(vec4<f32>(0.0), a[i], rest == 0u || own_depth < REST); // #label sum_beside
                // #end
            }
            // #if B_DEPTHS
            let depth_of_four = b_depth(k0);
            let b0 = b_four(rows_b[0].x + depth_of_four.x);
            let b1 = b_four(rows_b[1].x + depth_of_four.x);
            let b2 = b_four(rows_b[2].x + depth_of_four.x);
            let b3 = b_four(rows_b[3].x + depth_of_four.x);
            // #end
            // #if B_OWN_DEPTH
            let own_depth_b = b_depth(k);
            // #end
            for (var d = 0u; d < min(DEPTHS, K - rest * WHOLE); d += 1u) { // #unroll
                // #if B_DEPTHS
                b = vec4<f32>(b0[d], b1[d], b2[d], b3[d]);
                // #end
                // #if B_OWN_DEPTH
                b = b_load(rows_b, subgroupShuffle(own_depth_b, d));
                // #end
                // #if B_EVERY_DEPTH
                b = b_load(rows_b, b_depth(k0 + d));
                // #end
                for (var r = 0u; r < ROWS; r += 1u) { // #unroll
                    acc[r] += subgroupShuffle(a[r / A_UNIT / AT_ONCE][r % A_UNIT], r / A_UNIT % AT_ONCE * DEPTHS + d) * b; // #label accumulate
                }
                // #if SUM_B
                sums_b += b; // #label sum_beside
                // #end
            }
        }
    }

    let begin_out = out_batch(batch);
    let places = column_places(n);
    let row_end = min(row0 + ROWS, M);
    var first = row0;
    // #if STORE_LOOP
    for (; first < row_end; first += STORED_ROWS) {
    // #end
        for (var r = 0u; r < STORED_ROWS; r += 1u) { // #unroll
            var value = acc[r];
            for (var other = r + STORED_ROWS; other < ROWS; other += STORED_ROWS) { // #unroll
                value = select(value, acc[other], first == row0 + other - r);
            }
            // #if GUARDED_STORE
            if (first + r < row_end) { // #label edge_row
            // #end
                store_columns(part, begin_out + out_row(first + r), n, places, value);
            // #if GUARDED_STORE
            }
            // #end
        }
    // #if STORE_LOOP
    }
    // #end

    // Sums beside the product, by the first tile along the other axis.
    // #if SUM_A
    for (var i = 0u; i < A_LOADS; i += 1u) { // #unroll
        sums_a[i] += subgroupShuffleXor(sums_a[i], 1u);
        sums_a[i] += subgroupShuffleXor(sums_a[i], 2u);
        for (var c = 0u; c < A_UNIT; c += 1u) { // #unroll
            let row = i * (A_UNIT * AT_ONCE) + c + own_row;
            if (column0 == 0u && own_depth == 0u && row < ROWS && row0 + row < M) {
                store_sum(part, batch * M + row0 + row, sums_a[i][c]);
            }
        }
    }
    // #end
    // #if SUM_B
    if (row0 == 0u) {
        for (var c = 0u; c < 4u; c += 1u) { // #unroll
            if (n + c < N) {
                store_sum(part, batch * N + n + c, sums_b[c]);
            }
        }
    }
    // #end
}
