// Scores of a subgroup's rows and a block of columns. Belongs to `common/attention_subgroup`.

// Sums of products of the subgroup's rows with a block's columns, all rows of a lane's first column before those of its
// second, and four elements of each more: a row per lane and load, the lane's columns.
fn with_products(
    sums: array<f32, ACROSS * TALL>,
    own: array<vec4<f32>, OWN_LOADS>,
    other: array<vec4<f32>, ACROSS>
) -> array<f32, ACROSS * TALL> {
    var sum = sums;
    for (var r = 0u; r < TALL; r += 1u) { // #unroll
        let a = subgroupShuffle(own[r / SIZE], r % SIZE);
        for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
            sum[c * TALL + r] = sum[c * TALL + r] + a.x * other[c].x + a.y * other[c].y + a.z * other[c].z + a.w * other[c].w;
        }
    }
    return sum;
}

// Products of q and k: scores before SCALE. `own_at` and `other_at` are the addresses of the lane's rows and columns.
fn scores(own_at: array<u32, OWN_LOADS>, other_at: array<u32, ACROSS>) -> array<f32, ACROSS * TALL> {
    var sums: array<f32, ACROSS * TALL>;
    var own: array<vec4<f32>, OWN_LOADS>;
    var other: array<vec4<f32>, ACROSS>;
    for (var d = 0u; d < DEPTH; d += 4u) {
        for (var i = 0u; i < OWN_LOADS; i += 1u) { // #unroll
            // #if !OF_KEYS
            own[i] = q_quad(own_at[i], d);
            // #end
            // #if OF_KEYS
            own[i] = k_quad(own_at[i], d);
            // #end
        }
        for (var c = 0u; c < ACROSS; c += 1u) { // #unroll
            // #if !OF_KEYS
            other[c] = k_quad(other_at[c], d);
            // #end
            // #if OF_KEYS
            other[c] = q_quad(other_at[c], d);
            // #end
        }
        sums = with_products(sums, own, other);
    }
    return sums;
}
