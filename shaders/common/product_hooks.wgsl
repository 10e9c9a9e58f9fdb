// Hooks of a product shared by matrices and images, and its loads of four rows.

// #hook a_four
// Four neighbours in memory from an address, a multiple of 4.
fn a_four(at: u32) -> vec4<f32> {
    let row = vec3<u32>(at, 0u, 0u);
    let x = vec3<u32>(1u, 0u, 0u);
    return vec4<f32>(a_at(row, 0u * x), a_at(row, x), a_at(row, 2u * x), a_at(row, 3u * x));
}
// #end
// #hook b_four
fn b_four(at: u32) -> vec4<f32> {
    let row = vec3<u32>(at, 0u, 0u);
    let x = vec3<u32>(1u, 0u, 0u);
    return vec4<f32>(b_at(row, 0u * x), b_at(row, x), b_at(row, 2u * x), b_at(row, 3u * x));
}
// #end

// #hook store
// Finishes result o: the fused epilogue, or the store of a partial sum.
fn store(part: u32, o: u32, value: f32) {
    y0[part * (BATCH * M * N) + o] = value;
}
// #end
// #hook store4
// Finishes the four results of quad q.
fn store4(part: u32, q: u32, value: vec4<f32>) {
    for (var c = 0u; c < 4u; c += 1u) {
        store(part, q * 4u + c, value[c]);
    }
}
// #end
// #hook store_sum
// Stores element i of a sum beside the product.
fn store_sum(part: u32, i: u32, value: f32) {
    y0[part + i] = value;
}
// #end

// Four rows at one depth; a row's place has the batch's address in it.
fn a_load(rows: array<vec3<u32>, 4>, depth: vec3<u32>) -> vec4<f32> {
    var quad: vec4<f32>;
    // #if A_VECTOR
    quad = a_four(rows[0].x + depth.x);
    // #end
    // #if !A_VECTOR
    quad = vec4<f32>(
        a_at(rows[0], depth),
        a_at(rows[1], depth),
        a_at(rows[2], depth),
        a_at(rows[3], depth)
    );
    // #end
    return quad;
}

fn b_load(rows: array<vec3<u32>, 4>, depth: vec3<u32>) -> vec4<f32> {
    var quad: vec4<f32>;
    // #if B_VECTOR
    quad = b_four(rows[0].x + depth.x);
    // #end
    // #if B_SCALAR
    quad = vec4<f32>(
        b_at(rows[0], depth),
        b_at(rows[1], depth),
        b_at(rows[2], depth),
        b_at(rows[3], depth)
    );
    // #end
    return quad;
}
