// attention_grad by subgroups: formulas and shapes as in `attention_grad`; for software adapters. DEPTH and WIDTH are
// multiples of 4. A launch makes dq, or dk and dv (OF_KEYS); or, instead of dk, the slopes [BATCH, HEADS,
// QUERIES, KEPT_KEYS] from which `attention_slopes_grad` makes dk and dq (KEEP_SLOPES).
//
// Owners: a subgroup owns TALL rows, queries or (OF_KEYS) keys; of a block of the others, a lane has the scores
// and slopes of ACROSS, and of every row that it adds up quads of its own. Rows beyond the last repeat it and are not
// stored; columns beyond the last weigh nothing. No barriers, no atomics.

const WANT_DK: bool = false;
const WANT_DV: bool = false;
const KEEP_SLOPES: bool = false;
// Slopes are needed: unless only dv is wanted.
const SLOPES: bool = true;
// Slopes per query: keys in whole blocks of every loop.
const KEPT_KEYS: u32 = 16u;

// #import common/attention_subgroup
// #import common/attention_scores
// #import common/attention_grad

@group(0) @binding(6) var<storage, read_write> y0: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> y1: array<vec4<f32>>;

// #hook store_dq
// Stores four elements from a column of the row at an address.
fn store_dq(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end
// #hook store_dk
fn store_dk(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end
// #hook store_dv
fn store_dv(at: u32, column: u32, value: vec4<f32>) {
    y1[(at + column) / 4u] = value;
}
// #end
// #hook store_slopes
// Stores the slopes of four keys.
fn store_slopes(at: u32, value: vec4<f32>) {
    y0[at / 4u] = value;
}
// #end

fn lse_of(batch: u32, head: u32, query: u32) -> f32 {
    return lse_at(lse_begin(batch, head) + min(query, QUERIES - 1u) * LSE_ROW);
}

// #if SLOPES
fn delta_of(batch: u32, head: u32, query: u32) -> f32 {
    return delta_at(delta_begin(batch, head) + min(query, QUERIES - 1u) * DELTA_ROW);
}
// #end

// True if a query sees a key, and the column exists.
fn sees(row: u32, column: u32) -> bool {
    var seen = true;
    // #if !OF_KEYS
    seen = column < KEYS; // #label masked
    // #if CAUSAL
    seen = column < min(row + 1u, KEYS); // #label masked
    // #end
    // #end
    // #if OF_KEYS
    seen = column < QUERIES; // #label masked
    // #if CAUSAL
    seen = (column >= row) & (column < QUERIES); // #label masked
    // #end
    // #end
    return seen;
}

// #if SLOPES
// Products of dy and v, as `scores`.
fn value_products(own_at: array<u32, OWN_LOADS>, other_at: array<u32, ACROSS>) -> array<f32, ACROSS * TALL> {
    var sum: array<f32, ACROSS * TALL>;
    var own: array<vec4<f32>, OWN_LOADS>;
    var other: array<vec4<f32>, ACROSS>;
    for (var d = 0u; d < WIDTH; d += 4u) {
        for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
            // #if !OF_KEYS
            own[i] = dy_quad(own_at[i], d);
            // #end
            // #if OF_KEYS
            own[i] = v_quad(own_at[i], d);
            // #end
        }
        for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
            // #if !OF_KEYS
            other[c] = v_quad(other_at[c], d);
            // #end
            // #if OF_KEYS
            other[c] = dy_quad(other_at[c], d);
            // #end
        }
        sum = with_products(sum, own, other);
    }
    return sum;
}
// #end

// #if !OF_KEYS
fn queries(batch: u32, head: u32, row0: u32, li: u32, zero: u32) {
    let q_first = q_begin(batch, head);
    let dy_first = dy_begin(batch, head);
    let k_first = k_begin(batch, head / SHARE);
    let v_first = v_begin(batch, head / SHARE);
    var q_at: array<u32, OWN_LOADS>;
    var dy_at: array<u32, OWN_LOADS>;
    for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
        q_at[i] = q_first + own_row(row0, i, li) * Q_ROW;
        dy_at[i] = dy_first + own_row(row0, i, li) * DY_ROW;
    }
    var lse: array<f32, TALL>;
    var delta: array<f32, TALL>;
    for (var r = 0u; r < TALL; r += 1u) { // #unroll
        lse[r] = lse_of(batch, head, row0 + r);
        delta[r] = delta_of(batch, head, row0 + r);
    }
    var dq: array<vec4<f32>, TALL * DEPTH_QUADS>;
    var score: array<f32, ACROSS * TALL>;
    var product: array<f32, ACROSS * TALL>;
    var slope: array<f32, TALL>;
    var k_at: array<u32, ACROSS>;
    var v_at: array<u32, ACROSS>;
    var end = KEYS;
    // #if CAUSAL
    end = min(row0 + TALL, KEYS);
    // #end
    for (var n0 = zero; n0 < end; n0 += BLOCK) {
        for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
            k_at[c] = k_first + min(n0 + c * SIZE + li, KEYS - 1u) * K_ROW;
            v_at[c] = v_first + min(n0 + c * SIZE + li, KEYS - 1u) * V_ROW;
        }
        score = scores(q_at, k_at);
        product = value_products(dy_at, v_at);
        for (var turn = n0; turn < min(n0 + BLOCK, end); turn += SIZE) {
            for (var r = 0u; r < TALL; r += 1u) { // #unroll
                var weight = exp(score[r] * SCALE - lse[r]);
                // #if MASKED
                weight = select(0.0, weight, sees(row0 + r, turn + li));
                // #end
                slope[r] = weight * (product[r] - delta[r]); // #label slope
            }
            dq = with_turn(dq, slope, k_first, turn, li, zero);
            // The numbers of the lane's next column take the place of these.
            for (var i = TALL; i < ACROSS * TALL; i += 1u) { // #unroll
                score[i - TALL] = score[i];
                product[i - TALL] = product[i];
            }
        }
    }
    for (var row = row0 + zero; row < min(row0 + TALL, QUERIES); row += 1u) {
        let at = ((batch * QUERIES + row) * HEADS + head) * DEPTH;
        for (var i = 0u; i < DEPTH_QUADS; i += 1u) { // #unroll
            let column = i * (4u * SIZE) + li * 4u;
            if (column < DEPTH) {
                store_dq(at, column, dq[i] * SCALE);
            }
        }
        for (var i = DEPTH_QUADS; i < TALL * DEPTH_QUADS; i += 1u) { // #unroll
            dq[i - DEPTH_QUADS] = dq[i];
        }
    }
}
// #end

// #if OF_KEYS
fn keys(batch: u32, head: u32, row0: u32, li: u32, zero: u32) {
    let k_first = k_begin(batch, head);
    var k_at: array<u32, OWN_LOADS>;
    for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
        k_at[i] = k_first + own_row(row0, i, li) * K_ROW;
    }
    var score: array<f32, ACROSS * TALL>;
    var weight: array<f32, TALL>;
    var q_at: array<u32, ACROSS>;
    // #if SLOPES
    let v_first = v_begin(batch, head);
    var v_at: array<u32, OWN_LOADS>;
    for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
        v_at[i] = v_first + own_row(row0, i, li) * V_ROW;
    }
    var product: array<f32, ACROSS * TALL>;
    var slope: array<f32, TALL>;
    var dy_at: array<u32, ACROSS>;
    // #end
    // #if WANT_DK
    var dk: array<vec4<f32>, TALL * DEPTH_QUADS>;
    // #end
    // #if WANT_DV
    var dv: array<vec4<f32>, TALL * WIDTH_QUADS>;
    var dy: array<vec4<f32>, 2u * WIDTH_QUADS>;
    // #end
    for (var own_head = head * SHARE + zero; own_head < head * SHARE + SHARE; own_head += 1u) {
        let q_first = q_begin(batch, own_head);
        let dy_first = dy_begin(batch, own_head);
        var first = zero;
        // #if CAUSAL
        first = row0 + zero;
        // #end
        for (var n0 = first; n0 < QUERIES; n0 += BLOCK) {
            for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
                q_at[c] = q_first + min(n0 + c * SIZE + li, QUERIES - 1u) * Q_ROW;
            }
            score = scores(k_at, q_at);
            // #if SLOPES
            for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
                dy_at[c] = dy_first + min(n0 + c * SIZE + li, QUERIES - 1u) * DY_ROW;
            }
            product = value_products(v_at, dy_at);
            // #end
            for (var turn = n0; turn < min(n0 + BLOCK, QUERIES); turn += SIZE) {
                let column = turn + li;
                let lse = lse_of(batch, own_head, column);
                for (var r = 0u; r < TALL; r += 1u) { // #unroll
                    weight[r] = exp(score[r] * SCALE - lse);
                    // #if MASKED
                    weight[r] = select(0.0, weight[r], sees(row0 + r, column));
                    // #end
                }
                // #if WANT_DV
                for (var lane = zero; lane < SIZE; lane += 2u) {
                    for (var j = 0u; j < 2u; j += 1u) { // #unroll
                        let at = dy_first + min(turn + lane + j, QUERIES - 1u) * DY_ROW;
                        for (var i = 0u; i < WIDTH_QUADS; i += 1u) { // #unroll
                            dy[j * WIDTH_QUADS + i] = dy_quad(at, own_column(i, li, WIDTH));
                        }
                    }
                    dv = with_width_rows(dv, weight, lane, dy);
                }
                // #end
                // #if SLOPES
                let delta = delta_of(batch, own_head, column);
                for (var r = 0u; r < TALL; r += 1u) { // #unroll
                    slope[r] = weight[r] * (product[r] - delta); // #label slope
                }
                // #end
                // #if KEEP_SLOPES
                if (column < QUERIES) {
                    let at = ((batch * HEADS + own_head) * QUERIES + column) * KEPT_KEYS + row0;
                    for (var r = 0u; r < TALL; r += 4u) { // #unroll
                        store_slopes(at + r, vec4<f32>(slope[r], slope[r + 1u], slope[r + 2u], slope[r + 3u]));
                    }
                }
                // #end
                // #if WANT_DK
                dk = with_turn(dk, slope, q_first, turn, li, zero);
                // #end
                // The numbers of the lane's next column take the place of these.
                for (var i = TALL; i < ACROSS * TALL; i += 1u) { // #unroll
                    score[i - TALL] = score[i];
                    // #if SLOPES
                    product[i - TALL] = product[i];
                    // #end
                }
            }
        }
    }
    // #if WANT_DV
    for (var row = row0 + zero; row < min(row0 + TALL, KEYS); row += 1u) {
        let at = ((batch * KEYS + row) * (HEADS / SHARE) + head) * WIDTH;
        for (var i = 0u; i < WIDTH_QUADS; i += 1u) { // #unroll
            let column = i * (4u * SIZE) + li * 4u;
            if (column < WIDTH) {
                store_dv(at, column, dv[i]);
            }
        }
        for (var i = WIDTH_QUADS; i < TALL * WIDTH_QUADS; i += 1u) { // #unroll
            dv[i - WIDTH_QUADS] = dv[i];
        }
    }
    // #end
    // #if WANT_DK
    for (var row = row0 + zero; row < min(row0 + TALL, KEYS); row += 1u) {
        let at = ((batch * KEYS + row) * (HEADS / SHARE) + head) * DEPTH;
        for (var i = 0u; i < DEPTH_QUADS; i += 1u) { // #unroll
            let column = i * (4u * SIZE) + li * 4u;
            if (column < DEPTH) {
                store_dk(at, column, dk[i] * SCALE);
            }
        }
        for (var i = DEPTH_QUADS; i < TALL * DEPTH_QUADS; i += 1u) { // #unroll
            dk[i - DEPTH_QUADS] = dk[i];
        }
    }
    // #end
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
    // #if !OF_KEYS
    queries(own.x, own.y, own.z, li, zero);
    // #end
    // #if OF_KEYS
    keys(own.x, own.y, own.z, li, zero);
    // #end
}
