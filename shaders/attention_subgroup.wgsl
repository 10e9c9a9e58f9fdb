// attention by subgroups: formula, shapes and order of the sum as in `attention`; for software adapters. DEPTH and WIDTH are
// multiples of 4.
//
// Owners: a subgroup owns TALL queries; of a block of keys, a lane has the scores of ACROSS, and of every row of v (and of
// y) quads of its own. A running maximum per query, as in `attention`; its exponentials are taken a lane per query: one
// takes fifteen instructions, for a query as for a lane's. Queries beyond the last repeat it and are not stored; keys beyond
// the last weigh nothing. No barriers.

const WANT_Y: bool = true;
const WANT_LSE: bool = true;

// #import common/attention_subgroup
// #import common/attention_scores

@group(0) @binding(3) var<storage, read_write> y0: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y1: array<f32>;

// #hook store_y
// Stores four elements from a column of the row at an address.
fn store_y(at: u32, column: u32, value: vec4<f32>) {
    y0[(at + column) / 4u] = value;
}
// #end
// #hook store_lse
fn store_lse(at: u32, value: f32) {
    y1[at] = value;
}
// #end

// End of the keys visible to query `row`.
fn sees_until(row: u32) -> u32 {
    var end = KEYS;
    // #if CAUSAL
    end = min(row + 1u, KEYS); // #label causal_end
    // #end
    return end;
}

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
    let q_first = q_begin(batch, head);
    let k_first = k_begin(batch, head / SHARE);
    var q_at: array<u32, OWN_LOADS>;
    for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
        q_at[i] = q_first + own_row(row0, i, li) * Q_ROW;
    }

    // Scores of the lane's columns, all rows of its first before those of its second.
    var score: array<f32, ACROSS * TALL>;
    var k_at: array<u32, ACROSS>;
    var best: array<f32, TALL>;
    // The maximum of each query so far, for all lanes; and of query `lane` in its lane.
    var most: array<f32, TALL>;
    var own_most: array<f32, OWN_LOADS>;
    var lower: array<f32, OWN_LOADS>;
    var total: array<f32, TALL>;
    var weight: array<f32, TALL>;
    for (var r = 0u; r < TALL; r += 1u) { // #unroll
        most[r] = LOWEST;
    }
    for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
        own_most[i] = LOWEST;
    }
    // #if WANT_Y
    let v_first = v_begin(batch, head / SHARE);
    var y: array<vec4<f32>, TALL * WIDTH_QUADS>;
    var v: array<vec4<f32>, 2u * WIDTH_QUADS>;
    // #end

    let end = sees_until(row0 + TALL - 1u);
    for (var n0 = zero; n0 < end; n0 += BLOCK) {
        for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
            k_at[c] = k_first + min(n0 + c * SIZE + li, KEYS - 1u) * K_ROW;
        }
        score = scores(q_at, k_at);

        for (var r = 0u; r < TALL; r += 1u) { // #unroll
            for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
                score[c * TALL + r] *= SCALE;
                // #if MASKED
                score[c * TALL + r] = select(LOWEST, score[c * TALL + r], n0 + c * SIZE + li < sees_until(row0 + r)); // #label masked
                // #end
            }
            var next = score[r];
            for (var c = 1u; c < ACROSS; c += 1u) { // #unroll
                next = max(next, score[c * TALL + r]);
            }
            best[r] = subgroupMax(next);
        }
        for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
            var own_best = best[i * SIZE];
            for (var r = 1u; r < min(SIZE, TALL - i * SIZE); r += 1u) { // #unroll
                own_best = select(own_best, best[i * SIZE + r], li == r);
            }
            let higher = max(own_most[i], own_best); // #label running_maximum
            lower[i] = exp(own_most[i] - higher);
            own_most[i] = higher;
        }
        for (var r = 0u; r < TALL; r += 1u) { // #unroll
            let keep = subgroupShuffle(lower[r / SIZE], r % SIZE); // #label rescaling
            most[r] = subgroupShuffle(own_most[r / SIZE], r % SIZE);
            total[r] *= keep;
            // #if WANT_Y
            for (var i = 0u; i < WIDTH_QUADS; i += 1u) { // #unroll
                y[r * WIDTH_QUADS + i] *= keep;
            }
            // #end
        }

        // The block's columns, one per lane at a time.
        for (var turn = n0; turn < min(n0 + BLOCK, end); turn += SIZE) {
            for (var r = 0u; r < TALL; r += 1u) { // #unroll
                weight[r] = exp(score[r] - most[r]);
                total[r] += weight[r];
            }
            // #if WANT_Y
            for (var lane = zero; lane < SIZE; lane += 2u) {
                for (var j = 0u; j < 2u; j += 1u) { // #unroll
                    let v_at = v_first + min(turn + lane + j, KEYS - 1u) * V_ROW;
                    for (var i = 0u; i < WIDTH_QUADS; i += 1u) { // #unroll
                        v[j * WIDTH_QUADS + i] = v_quad(v_at, own_column(i, li, WIDTH));
                    }
                }
                y = with_width_rows(y, weight, lane, v);
            }
            // #end
            // The scores of the lane's next column take the place of these.
            for (var i = TALL; i < ACROSS * TALL; i += 1u) { // #unroll
                score[i - TALL] = score[i];
            }
        }
    }

    // Row by row: the numbers of the next row take the place of the first one's.
    for (var row = row0 + zero; row < min(row0 + TALL, QUERIES); row += 1u) {
        let sum = subgroupAdd(total[0]);
        // #if WANT_Y
        let y_at = ((batch * QUERIES + row) * HEADS + head) * WIDTH;
        for (var i = 0u; i < WIDTH_QUADS; i += 1u) { // #unroll
            let column = i * (4u * SIZE) + li * 4u;
            if (column < WIDTH) {
                store_y(y_at, column, y[i] * (1.0 / sum));
            }
        }
        for (var i = WIDTH_QUADS; i < TALL * WIDTH_QUADS; i += 1u) { // #unroll
            y[i - WIDTH_QUADS] = y[i];
        }
        // #end
        // #if WANT_LSE
        if (li == 0u) {
            store_lse((batch * HEADS + head) * QUERIES + row, most[0] + log(sum));
        }
        // #end
        for (var r = 1u; r < TALL; r += 1u) { // #unroll
            total[r - 1u] = total[r];
            most[r - 1u] = most[r];
        }
    }
}
