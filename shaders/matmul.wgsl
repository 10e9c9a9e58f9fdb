// matmul: y[z, m, n] = sum over k of a[z, m, k] * b[z, k, n]; PyTorch's `torch.matmul` of stacked matrices.
//
// x0: a [BATCH, M, K]; x1: b [BATCH, K, N]; y0: y [BATCH, M, N]; any strides. The hooks compute addresses: here both
// matrices are row-major. How the product is made, its owners, barriers and edges: `common/tile`; for software adapters
// `common/subgroup_tile` takes its place. The order of a sum: blocks of the depth, depths in a block; of a split product
// the parts, by another launch.

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #hook a_batch
fn a_batch(z: u32) -> u32 {
    return z * (M * K);
}
// #end
// #hook a_row
fn a_row(m: u32) -> vec3<u32> {
    return vec3<u32>(m * K, 0u, 0u);
}
// #end
// #hook a_depth
fn a_depth(k: u32) -> vec3<u32> {
    return vec3<u32>(k, 0u, 0u);
}
// #end
// #hook b_batch
fn b_batch(z: u32) -> u32 {
    return z * (K * N);
}
// #end
// #hook b_row
// Rows of b are the result's columns.
fn b_row(n: u32) -> vec3<u32> {
    return vec3<u32>(n, 0u, 0u);
}
// #end
// #hook b_depth
fn b_depth(k: u32) -> vec3<u32> {
    return vec3<u32>(k * N, 0u, 0u);
}
// #end
// #hook a_at
fn a_at(row: vec3<u32>, depth: vec3<u32>) -> f32 {
    return x0[row.x + depth.x];
}
// #end
// #hook b_at
fn b_at(row: vec3<u32>, depth: vec3<u32>) -> f32 {
    return x1[row.x + depth.x];
}
// #end
// #hook out_batch
fn out_batch(z: u32) -> u32 {
    return z * (M * N);
}
// #end
// #hook out_row
fn out_row(m: u32) -> u32 {
    return m * N;
}
// #end
// #hook out_column
fn out_column(n: u32) -> u32 {
    return n;
}
// #end
// #import common/tile
