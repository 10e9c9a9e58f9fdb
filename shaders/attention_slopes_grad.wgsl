// The gradients of attention's queries and keys from kept slopes, for software adapters:
//     dq[i] = SCALE sum over j of slope[i, j] k[j]      dk[j] = SCALE sum over i of slope[i, j] q[i]
//
// slopes [BATCH, HEADS, QUERIES, KEPT_KEYS] as stored by `attention_subgroup_grad`, 0 for keys hidden from a query;
// other shapes as there. A launch makes dq, or dk (OF_KEYS). Owners: a subgroup owns TALL rows of the result, a
// lane quads of every row's columns. Rows beyond the last are not stored. No barriers.

const KEPT_KEYS: u32 = 16u;
// A block of slopes has columns beyond the last, or hidden from its rows.
const RAGGED: bool = true;

// #import common/attention_subgroup

@group(0) @binding(3) var<storage, read> slopes: array<f32>;
@group(0) @binding(4) var<storage, read_write> y0: array<vec4<f32>>;

// #hook slope_at
fn slope_at(at: u32) -> f32 {
    return slopes[at];
}
// #end
// #hook slopes_at
// Slopes of four keys.
fn slopes_at(at: u32) -> vec4<f32> {
    return vec4<f32>(slope_at(at), slope_at(at + 1u), slope_at(at + 2u), slope_at(at + 3u));
}
// #end
// #hook store_row
// Stores four elements from a column of the row at an address.
fn store_row(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let zero = select(0u, wg.z, OPAQUE_LOOPS);
    let own = place(id);
    let batch = own.x;
    let head = own.y;
    let row0 = own.z;
    var slope: array<f32, TALL>;
    var sums: array<vec4<f32>, TALL * DEPTH_QUADS>;
    // #if !OF_KEYS
    let k_first = k_begin(batch, head / SHARE);
    var end = KEYS;
    // #if CAUSAL
    end = min(row0 + TALL, KEYS);
    // #end
    for (var turn = zero; turn < end; turn += SIZE) {
        for (var r = 0u; r < TALL; r += 1u) { // #unroll
            let query = min(row0 + r, QUERIES - 1u); // #label slope_row
            slope[r] = slope_at(((batch * HEADS + head) * QUERIES + query) * KEPT_KEYS + turn + li);
            // #if RAGGED
            slope[r] = select(0.0, slope[r], turn + li < end); // #label masked
            // #end
        }
        sums = with_turn(sums, slope, k_first, turn, li, zero);
    }
    // #end
    // #if OF_KEYS
    for (var own_head = head * SHARE + zero; own_head < head * SHARE + SHARE; own_head += 1u) {
        let q_first = q_begin(batch, own_head);
        var first = zero;
        // #if CAUSAL
        first = row0 + zero;
        // #end
        for (var turn = first; turn < QUERIES; turn += SIZE) {
            // A lane has a query's slopes of all rows, side by side.
            let query = min(turn + li, QUERIES - 1u);
            let at = ((batch * HEADS + own_head) * QUERIES + query) * KEPT_KEYS + row0;
            for (var r = 0u; r < TALL; r += 4u) { // #unroll
                var four = slopes_at(at + r);
                // #if RAGGED
                four = select(vec4<f32>(0.0), four, turn + li < QUERIES); // #label masked
                // #end
                slope[r] = four.x;
                slope[r + 1u] = four.y;
                slope[r + 2u] = four.z;
                slope[r + 3u] = four.w;
            }
            sums = with_turn(sums, slope, q_first, turn, li, zero);
        }
    }
    // #end
    for (var row = row0 + zero; row < min(row0 + TALL, ROWS); row += 1u) {
        let at = ((batch * ROWS + row) * ROW_HEADS + head) * DEPTH;
        for (var i = 0u; i < DEPTH_QUADS; i += 1u) { // #unroll
            let column = i * (4u * SIZE) + li * 4u;
            if (column < DEPTH) {
                store_row(at, column, sums[i] * SCALE);
            }
        }
        for (var i = DEPTH_QUADS; i < TALL * DEPTH_QUADS; i += 1u) { // #unroll
            sums[i - DEPTH_QUADS] = sums[i];
        }
    }
}
