// conv2d_weight_grad: dw[g C_OUT + m, c, r, s] = sum over i, oh, ow of dy[i, g C_OUT + m, oh, ow]
//                                                * x[i, g C_IN + c, oh SY + r DY - PY, ow SX + s DX - PX]
// with 0 outside of the image; PyTorch's `torch.nn.grad.conv2d_weight`. The sums of dy, a bias's gradient, can be a second
// result (SUM_A): the product has loaded all of it.
//
// x0: x [IMAGES, BATCH C_IN, H, W]; x1: dy [IMAGES, BATCH C_OUT, OH, OW]; y0: dw [BATCH C_OUT, C_IN, KH, KW]. A group is a
// product of its own (z): rows m are output channels, columns n are taps (c, r, s), depth k is a position (i, oh, ow): a
// long sum, mostly split into parts. Owners, barriers and edges: `common/tile`, or `common/subgroup_tile` on software
// adapters.

// #import common/conv_extents

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #hook a_batch
// a: dy.
fn a_batch(z: u32) -> u32 {
    return z * (C_OUT * OH * OW);
}
// #end
// #hook a_row
fn a_row(m: u32) -> vec3<u32> {
    return vec3<u32>(m * (OH * OW), 0u, 0u);
}
// #end
// #hook a_depth
fn a_depth(k: u32) -> vec3<u32> {
    return vec3<u32>(k / (OH * OW) * (BATCH * C_OUT * OH * OW) + k % (OH * OW), 0u, 0u);
}
// #end
// #hook a_at
fn a_at(row: vec3<u32>, depth: vec3<u32>) -> f32 {
    return x1[row.x + depth.x];
}
// #end

// #hook b_batch
// b: the image's elements below the taps.
fn b_batch(z: u32) -> u32 {
    return z * (C_IN * H * W);
}
// #end
// #hook b_row
fn b_row(n: u32) -> vec3<u32> {
    let y = n / KW % KH * DY;
    let x = n % KW * DX;
    return vec3<u32>(n / (KH * KW) * (H * W) + y * W + x, y, x);
}
// #end
// #hook b_depth
fn b_depth(k: u32) -> vec3<u32> {
    let y = k / OW % OH * SY - PY;
    let x = k % OW * SX - PX;
    return vec3<u32>(k / (OH * OW) * (BATCH * C_IN * H * W) + y * W + x, y, x);
}
// #end
// #hook b_at
// Coordinates left of the image or above it have wrapped to huge numbers.
fn b_at(row: vec3<u32>, depth: vec3<u32>) -> f32 {
    let inside = (row.y + depth.y < H) & (row.z + depth.z < W);
    return select(0.0, x0[select(0u, row.x + depth.x, inside)], inside);
}
// #end

// #hook out_batch
fn out_batch(z: u32) -> u32 {
    return z * (C_OUT * N);
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
