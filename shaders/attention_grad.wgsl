// attention_grad: the gradients of `attention` by queries, keys and values. With p[i, j] = exp(score[i, j] - lse[i]), the
// weights made again, and slope[i, j] = p[i, j] (dy[i] . v[j] - delta[i]), delta[i] = y[i] . dy[i]:
//     dq[i] = SCALE sum over j of slope[i, j] k[j]      dk[j] = SCALE sum over i of slope[i, j] q[i]
//     dv[j] = sum over i of p[i, j] dy[i]               (Dao, "FlashAttention-2", 2023)
//
// Operands as in `attention`, each at its own strides; dy [BATCH, QUERIES, HEADS, WIDTH], lse and delta [BATCH, HEADS,
// QUERIES]. Results: dq [BATCH, QUERIES, HEADS, DEPTH], dk [BATCH, KEYS, HEADS / SHARE, DEPTH], dv [.., WIDTH]. A launch
// computes one of them, so its rows fit the registers.
//
// Owners: an invocation owns a row of the result, a query or a key; the others pass by one at a time, at one address for
// all invocations of a workgroup. Invocations beyond the last row repeat it and store nothing. No barriers, no atomics.
// Sums run over heads sharing keys, then over positions, in their order.

// The launch's result, and its rows: QUERIES, or KEYS.
const OF_QUERIES: bool = true;
const OF_KEYS: bool = true;
const OF_VALUES: bool = true;
const ROWS: u32 = 16u;
const WORKGROUP: u32 = 64u;

// #import common/attention
// #import common/attention_grad

const SHARED: bool = SHARE > 1u;
const BLOCKS: u32 = (ROWS + WORKGROUP - 1u) / WORKGROUP;
const DEPTH_QUADS: u32 = (DEPTH + 3u) / 4u;
const WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

@group(0) @binding(6) var<storage, read_write> y0: array<vec4<f32>>;

// #hook store_row
// Stores four elements from a column of the row at an address, those that exist.
fn store_row(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end

// #if OF_QUERIES
fn queries(batch: u32, head: u32, asked: u32, zero: u32) {
    let query = min(asked, QUERIES - 1u);
    var q: array<vec4<f32>, DEPTH_QUADS>;
    let q_at = q_begin(batch, head) + query * Q_ROW;
    for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
        q[c] = q_quad(q_at, 4u * c) * SCALE;
    }
    var dy: array<vec4<f32>, WIDTH_QUADS>;
    let dy_at = dy_begin(batch, head) + query * DY_ROW;
    for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
        dy[c] = dy_quad(dy_at, 4u * c);
    }
    let lse = lse_at(lse_begin(batch, head) + query * LSE_ROW);
    let delta = delta_at(delta_begin(batch, head) + query * DELTA_ROW);
    let k_first = k_begin(batch, head / SHARE);
    let v_first = v_begin(batch, head / SHARE);
    var sums: array<vec4<f32>, DEPTH_QUADS>;
    var end = KEYS;
    // #if CAUSAL
    end = min(query + 1u, KEYS); // #label causal_end
    // #end
    for (var j = zero; j < end; j += 1u) {
        let k_at = k_first + j * K_ROW;
        let v_at = v_first + j * V_ROW;
        var dp = dot(dy[0], v_quad(v_at, 0u));
        for (var c = 1u; c < WIDTH_QUADS; c += 1u) { // #unroll
            dp += dot(dy[c], v_quad(v_at, 4u * c));
        }
        var score = dot(q[0], k_quad(k_at, 0u));
        for (var c = 1u; c < DEPTH_QUADS; c += 1u) { // #unroll
            score += dot(q[c], k_quad(k_at, 4u * c));
        }
        let slope = exp(score - lse) * (dp - delta); // #label slope
        for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
            sums[c] = sums[c] + slope * k_quad(k_at, 4u * c);
        }
    }
    if (asked < QUERIES) {
        let at = ((batch * QUERIES + query) * HEADS + head) * DEPTH;
        for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
            store_row(at, 4u * c, sums[c] * SCALE);
        }
    }
}
// #end

// #if !OF_QUERIES
// The gradient of keys (OF_KEYS) or of values (OF_VALUES).
fn keys(batch: u32, head: u32, block: u32, asked: u32, zero: u32) {
    let key = min(asked, KEYS - 1u);
    var k: array<vec4<f32>, DEPTH_QUADS>;
    let k_at = k_begin(batch, head) + key * K_ROW;
    for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
        k[c] = k_quad(k_at, 4u * c) * SCALE;
    }
    // #if !OF_VALUES
    var v: array<vec4<f32>, WIDTH_QUADS>;
    let v_at = v_begin(batch, head) + key * V_ROW;
    for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
        v[c] = v_quad(v_at, 4u * c);
    }
    // #end
    // #if OF_KEYS
    var dk: array<vec4<f32>, DEPTH_QUADS>;
    // #end
    // #if OF_VALUES
    var dv: array<vec4<f32>, WIDTH_QUADS>;
    // #end
    var first = zero;
    // #if CAUSAL
    // The first query that sees a key of the workgroup, so that all invocations read the same one.
    first = block * WORKGROUP + zero;
    // #end
    var own_head = head;
    // #if SHARED
    for (var member = zero; member < SHARE; member += 1u) {
        own_head = head * SHARE + member;
    // #end
        let q_first = q_begin(batch, own_head);
        let dy_first = dy_begin(batch, own_head);
        let lse_first = lse_begin(batch, own_head);
        let delta_first = delta_begin(batch, own_head);
        for (var i = first; i < QUERIES; i += 1u) {
            let q_at = q_first + i * Q_ROW;
            let dy_at = dy_first + i * DY_ROW;
            // #if !OF_VALUES
            var dp = dot(v[0], dy_quad(dy_at, 0u));
            for (var c = 1u; c < WIDTH_QUADS; c += 1u) { // #unroll
                dp += dot(v[c], dy_quad(dy_at, 4u * c));
            }
            // #end
            var score = dot(k[0], q_quad(q_at, 0u));
            for (var c = 1u; c < DEPTH_QUADS; c += 1u) { // #unroll
                score += dot(k[c], q_quad(q_at, 4u * c));
            }
            var p = exp(score - lse_at(lse_first + i * LSE_ROW));
            // #if CAUSAL
            p = select(0.0, p, i >= key); // #label causal_weight
            // #end
            // #if OF_KEYS
            let slope = p * (dp - delta_at(delta_first + i * DELTA_ROW)); // #label slope
            for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
                dk[c] = dk[c] + slope * q_quad(q_at, 4u * c);
            }
            // #end
            // #if OF_VALUES
            for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
                dv[c] = dv[c] + p * dy_quad(dy_at, 4u * c);
            }
            // #end
        }
    // #if SHARED
    }
    // #end
    if (asked < KEYS) {
        let row = (batch * KEYS + key) * KEY_HEADS + head;
        // #if OF_KEYS
        for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
            store_row(row * DEPTH, 4u * c, dk[c] * SCALE);
        }
        // #end
        // #if OF_VALUES
        for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
            store_row(row * WIDTH, 4u * c, dv[c]);
        }
        // #end
    }
}
// #end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let zero = select(0u, wg.z, OPAQUE_LOOPS);
    // Blocks from both ends in turn: causal work grows along them.
    let turn = id % BLOCKS;
    let block = select(BLOCKS - 1u - turn / 2u, turn / 2u, turn % 2u == 0u);
    let asked = block * WORKGROUP + li;
    // #if OF_QUERIES
    queries(id / (BLOCKS * HEADS), id / BLOCKS % HEADS, asked, zero);
    // #end
    // #if !OF_QUERIES
    keys(id / (BLOCKS * KEY_HEADS), id / BLOCKS % KEY_HEADS, block, asked, zero);
    // #end
}
