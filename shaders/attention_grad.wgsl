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

const BATCH: u32 = 1u;
const HEADS: u32 = 2u;
// Heads of queries per head of keys.
const SHARE: u32 = 1u;
const QUERIES: u32 = 4u;
const KEYS: u32 = 4u;
const DEPTH: u32 = 4u;
const WIDTH: u32 = 4u;
const SCALE: f32 = 0.5f;
const CAUSAL: bool = true;
// The launch's result, and its rows: QUERIES, or KEYS.
const OF_QUERIES: bool = true;
const OF_KEYS: bool = true;
const OF_VALUES: bool = true;
const ROWS: u32 = 4u;
const WORKGROUP: u32 = 64u;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 2u;
// More workgroups run than there are blocks of rows.
const FOLDED: bool = false;
// Loops begin at a value unknown to the compiler, since a software adapter's would unroll them.
const OPAQUE_LOOPS: bool = false;
// Strides of the operands, in elements.
const Q_BATCH: u32 = 32u;
const Q_HEAD: u32 = 16u;
const Q_ROW: u32 = 4u;
const Q_OFFSET: u32 = 0u;
const K_BATCH: u32 = 32u;
const K_HEAD: u32 = 16u;
const K_ROW: u32 = 4u;
const K_OFFSET: u32 = 0u;
const V_BATCH: u32 = 32u;
const V_HEAD: u32 = 16u;
const V_ROW: u32 = 4u;
const V_OFFSET: u32 = 0u;
const DY_BATCH: u32 = 32u;
const DY_HEAD: u32 = 4u;
const DY_ROW: u32 = 8u;
const DY_OFFSET: u32 = 0u;
const LSE_BATCH: u32 = 8u;
const LSE_HEAD: u32 = 4u;
const LSE_ROW: u32 = 1u;
const LSE_OFFSET: u32 = 0u;
const DELTA_BATCH: u32 = 8u;
const DELTA_HEAD: u32 = 4u;
const DELTA_ROW: u32 = 1u;
const DELTA_OFFSET: u32 = 0u;

// Slopes are needed: not for values.
const SLOPES: bool = true;
const SHARED: bool = SHARE > 1u;
const BLOCKS: u32 = (ROWS + WORKGROUP - 1u) / WORKGROUP;
const DEPTH_QUADS: u32 = (DEPTH + 3u) / 4u;
const WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> x3: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> x4: array<f32>;
@group(0) @binding(5) var<storage, read> x5: array<f32>;
@group(0) @binding(6) var<storage, read_write> y0: array<vec4<f32>>;

// #hook q_quad
// Four elements from a column of the row at an address, 0 beyond the last column.
fn q_quad(at: u32, column: u32) -> vec4<f32> {
    return x0[(at + column) / 4u];
}
// #end
// #hook k_quad
fn k_quad(at: u32, column: u32) -> vec4<f32> {
    return x1[(at + column) / 4u];
}
// #end
// #hook v_quad
fn v_quad(at: u32, column: u32) -> vec4<f32> {
    return x2[(at + column) / 4u];
}
// #end
// #hook dy_quad
fn dy_quad(at: u32, column: u32) -> vec4<f32> {
    return x3[(at + column) / 4u];
}
// #end
// #hook lse_at
fn lse_at(at: u32) -> f32 {
    return x4[at];
}
// #end
// #hook delta_at
fn delta_at(at: u32) -> f32 {
    return x5[at];
}
// #end
// #hook store_row
// Stores the existing ones of four elements from a column of the row at an address.
fn store_row(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end

fn q_begin(batch: u32, head: u32) -> u32 {
    return batch * Q_BATCH + head * Q_HEAD + Q_OFFSET;
}

fn k_begin(batch: u32, head: u32) -> u32 {
    return batch * K_BATCH + head * K_HEAD + K_OFFSET;
}

fn dy_begin(batch: u32, head: u32) -> u32 {
    return batch * DY_BATCH + head * DY_HEAD + DY_OFFSET;
}

fn lse_begin(batch: u32, head: u32) -> u32 {
    return batch * LSE_BATCH + head * LSE_HEAD + LSE_OFFSET;
}

// #if SLOPES
fn v_begin(batch: u32, head: u32) -> u32 {
    return batch * V_BATCH + head * V_HEAD + V_OFFSET;
}

fn delta_begin(batch: u32, head: u32) -> u32 {
    return batch * DELTA_BATCH + head * DELTA_HEAD + DELTA_OFFSET;
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

// #if OF_KEYS
fn keys(batch: u32, head: u32, block: u32, asked: u32, zero: u32) {
    let key = min(asked, KEYS - 1u);
    var k: array<vec4<f32>, DEPTH_QUADS>;
    let k_at = k_begin(batch, head) + key * K_ROW;
    for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
        k[c] = k_quad(k_at, 4u * c) * SCALE;
    }
    var v: array<vec4<f32>, WIDTH_QUADS>;
    let v_at = v_begin(batch, head) + key * V_ROW;
    for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
        v[c] = v_quad(v_at, 4u * c);
    }
    var sums: array<vec4<f32>, DEPTH_QUADS>;
    var first = zero;
    // #if CAUSAL
    // The first query with a visible key of the workgroup: all invocations read the same one.
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
            var dp = dot(v[0], dy_quad(dy_at, 0u));
            for (var c = 1u; c < WIDTH_QUADS; c += 1u) { // #unroll
                dp += dot(v[c], dy_quad(dy_at, 4u * c));
            }
            var score = dot(k[0], q_quad(q_at, 0u));
            for (var c = 1u; c < DEPTH_QUADS; c += 1u) { // #unroll
                score += dot(k[c], q_quad(q_at, 4u * c));
            }
            var p = exp(score - lse_at(lse_first + i * LSE_ROW));
            // #if CAUSAL
            p = select(0.0, p, i >= key); // #label causal_weight
            // #end
            let slope = p * (dp - delta_at(delta_first + i * DELTA_ROW)); // #label slope
            for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
                sums[c] = sums[c] + slope * q_quad(q_at, 4u * c);
            }
        }
    // #if SHARED
    }
    // #end
    if (asked < KEYS) {
        let at = ((batch * KEYS + key) * (HEADS / SHARE) + head) * DEPTH;
        for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
            store_row(at, 4u * c, sums[c] * SCALE);
        }
    }
}
// #end

// #if OF_VALUES
fn values(batch: u32, head: u32, block: u32, asked: u32, zero: u32) {
    let key = min(asked, KEYS - 1u);
    var k: array<vec4<f32>, DEPTH_QUADS>;
    let k_at = k_begin(batch, head) + key * K_ROW;
    for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
        k[c] = k_quad(k_at, 4u * c) * SCALE;
    }
    var sums: array<vec4<f32>, WIDTH_QUADS>;
    var first = zero;
    // #if CAUSAL
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
        for (var i = first; i < QUERIES; i += 1u) {
            let q_at = q_first + i * Q_ROW;
            let dy_at = dy_first + i * DY_ROW;
            var score = dot(k[0], q_quad(q_at, 0u));
            for (var c = 1u; c < DEPTH_QUADS; c += 1u) { // #unroll
                score += dot(k[c], q_quad(q_at, 4u * c));
            }
            var p = exp(score - lse_at(lse_first + i * LSE_ROW));
            // #if CAUSAL
            p = select(0.0, p, i >= key); // #label causal_weight
            // #end
            for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
                sums[c] = sums[c] + p * dy_quad(dy_at, 4u * c);
            }
        }
    // #if SHARED
    }
    // #end
    if (asked < KEYS) {
        let at = ((batch * KEYS + key) * (HEADS / SHARE) + head) * WIDTH;
        for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
            store_row(at, 4u * c, sums[c]);
        }
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
    // #if OF_KEYS
    keys(id / (BLOCKS * (HEADS / SHARE)), id / BLOCKS % (HEADS / SHARE), block, asked, zero);
    // #end
    // #if OF_VALUES
    values(id / (BLOCKS * (HEADS / SHARE)), id / BLOCKS % (HEADS / SHARE), block, asked, zero);
    // #end
}
