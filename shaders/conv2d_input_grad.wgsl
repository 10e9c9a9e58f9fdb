// conv2d_input_grad: dx[i, g C_IN + m, h, w] = sum over c, r, s of w[g C_OUT + c, m, r, s] * dy[i, g C_OUT + c, oh, ow]
// with oh = (h + PY - r DY) / SY and ow = (w + PX - s DX) / SX, if both are whole and inside; PyTorch's
// `torch.nn.grad.conv2d_input`, and `conv_transpose2d`. A product: nothing is scattered, so no sum needs an atomic.
//
// x0: dy [IMAGES, BATCH C_OUT, OH, OW]; x1: w [BATCH C_OUT, C_IN, KH, KW]; y0: dx [IMAGES, BATCH C_IN, H, W]. A group is a
// product of its own (z): rows m are input channels, columns n are positions (i, h, w), depth k is a tap (c, r, s). A large
// strided gradient is one launch per phase of the stride, with hooks for the matching taps. Owners, barriers and edges:
// `common/tile`, or `common/subgroup_tile` on software adapters.

// #import common/conv_extents

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #hook a_batch
// a: weights.
fn a_batch(z: u32) -> u32 {
    return z * (C_OUT * C_IN * KH * KW);
}
// #end
// #hook a_row
fn a_row(m: u32) -> vec3<u32> {
    return vec3<u32>(m * (KH * KW), 0u, 0u);
}
// #end
// #hook a_depth
fn a_depth(k: u32) -> vec3<u32> {
    return vec3<u32>(k / (KH * KW) * (C_IN * KH * KW) + k % (KH * KW), 0u, 0u);
}
// #end
// #hook a_at
fn a_at(row: vec3<u32>, depth: vec3<u32>) -> f32 {
    return x1[row.x + depth.x];
}
// #end

// #hook b_batch
// b: elements of dy; their coordinates before the division by the stride.
fn b_batch(z: u32) -> u32 {
    return z * (C_OUT * OH * OW);
}
// #end
// #hook b_row
fn b_row(n: u32) -> vec3<u32> {
    return vec3<u32>(n / (H * W) * (BATCH * C_OUT * OH * OW), n / W % H + PY, n % W + PX);
}
// #end
// #hook b_depth
fn b_depth(k: u32) -> vec3<u32> {
    return vec3<u32>(k / (KH * KW) * (OH * OW), 0u - k / KW % KH * DY, 0u - k % KW * DX);
}
// #end
// #hook b_at
fn b_at(row: vec3<u32>, depth: vec3<u32>) -> f32 {
    let y = (row.y + depth.y) / SY;
    let x = (row.z + depth.z) / SX;
    let divides = ((row.y + depth.y) % SY == 0u) & ((row.z + depth.z) % SX == 0u);
    let inside = divides & (y < OH) & (x < OW);
    return select(0.0, x0[select(0u, row.x + depth.x + y * OW + x, inside)], inside);
}
// #end

// #hook out_batch
fn out_batch(z: u32) -> u32 {
    return z * (C_IN * H * W);
}
// #end
// #hook out_row
fn out_row(m: u32) -> u32 {
    return m * (H * W);
}
// #end
// #hook out_column
fn out_column(n: u32) -> u32 {
    return n / (H * W) * (BATCH * C_IN * H * W) + n % (H * W);
}
// #end
// #import common/tile
