// attention: y[b, i, h] = sum over keys j of softmax_j(SCALE q[b, h, i] . k[b, g, j]) v[b, g, j], with g = h / SHARE;
// PyTorch's `scaled_dot_product_attention` (with `enable_gqa` if SHARE > 1). CAUSAL hides from query i every key after i.
//
// One pass over the keys under a running maximum (Dao, "FlashAttention-2", 2023): nothing as large as queries times keys
// is stored. Operands: `common/attention`; y [BATCH, QUERIES, HEADS, WIDTH]; lse [BATCH, HEADS, QUERIES], the logarithm of the sum of exp(scores), for the
// gradient.
//
// Owners: an invocation owns a query, with its elements and sums in registers; keys pass by one at a time, at one address
// for all invocations of a workgroup. Invocations beyond the last query repeat it and store nothing. No barriers. The sum
// runs over keys in their order.

const WANT_Y: bool = true;
const WANT_LSE: bool = true;
const WORKGROUP: u32 = 64u;

// #import common/attention

const BLOCKS: u32 = (QUERIES + WORKGROUP - 1u) / WORKGROUP;
const DEPTH_QUADS: u32 = (DEPTH + 3u) / 4u;
const WIDTH_QUADS: u32 = (WIDTH + 3u) / 4u;

@group(0) @binding(3) var<storage, read_write> y0: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;

// #hook store_y
// Stores the existing ones of four elements from a column of the row at an address.
fn store_y(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end
// #hook store_lse
fn store_lse(at: u32, value: f32) {
    y1[at] = value;
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
    let head = id / BLOCKS % HEADS;
    let batch = id / (BLOCKS * HEADS);
    let asked = block * WORKGROUP + li;
    let query = min(asked, QUERIES - 1u);

    var q: array<vec4<f32>, DEPTH_QUADS>;
    let q_at = q_begin(batch, head) + query * Q_ROW;
    for (var c = 0u; c < DEPTH_QUADS; c += 1u) { // #unroll
        q[c] = q_quad(q_at, 4u * c) * SCALE;
    }
    // #if WANT_Y
    var sums: array<vec4<f32>, WIDTH_QUADS>;
    let v_first = v_begin(batch, head / SHARE);
    // #end
    let k_first = k_begin(batch, head / SHARE);
    var most = LOWEST;
    var total = 0.0;
    var end = KEYS;
    // #if CAUSAL
    end = min(query + 1u, KEYS); // #label causal_end
    // #end
    for (var j = zero; j < end; j += 1u) {
        let k_at = k_first + j * K_ROW;
        var score = dot(q[0], k_quad(k_at, 0u));
        for (var c = 1u; c < DEPTH_QUADS; c += 1u) { // #unroll
            // Quad by quad: a whole key at once would not fit the scalar registers of AMD's compilers.
            score += dot(q[c], k_quad(k_at, 4u * c));
        }
        let next = max(most, score); // #label running_maximum
        let keep = exp(most - next); // #label rescaling
        let weight = exp(score - next);
        total = total * keep + weight;
        // #if WANT_Y
        let v_at = v_first + j * V_ROW;
        for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
            sums[c] = sums[c] * keep + weight * v_quad(v_at, 4u * c);
        }
        // #end
        most = next;
    }

    // #if WANT_Y
    let share = 1.0 / total;
    if (asked < QUERIES) {
        let y_at = ((batch * QUERIES + query) * HEADS + head) * WIDTH;
        for (var c = 0u; c < WIDTH_QUADS; c += 1u) { // #unroll
            store_y(y_at, 4u * c, sums[c] * share);
        }
    }
    // #end
    // #if WANT_LSE
    if (asked < QUERIES) {
        store_lse((batch * HEADS + head) * QUERIES + query, most + log(total));
    }
    // #end
}
