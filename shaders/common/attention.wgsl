// Extents, operands and grid of the attention kernels. q [BATCH, HEADS, QUERIES, DEPTH], k [BATCH, HEADS / SHARE, KEYS,
// DEPTH], v [BATCH, HEADS / SHARE, KEYS, WIDTH], each at its own strides.

const BATCH: u32 = 1u;
const HEADS: u32 = 2u;
// Heads of queries per head of keys.
const SHARE: u32 = 1u;
const QUERIES: u32 = 16u;
const KEYS: u32 = 16u;
const DEPTH: u32 = 8u;
const WIDTH: u32 = 8u;
const SCALE: f32 = 0.5f;
const CAUSAL: bool = true;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 2u;
// More workgroups run than there are blocks of rows.
const FOLDED: bool = false;
// Loops begin at a value unknown to the compiler, since a software adapter's would unroll them.
const OPAQUE_LOOPS: bool = false;
// Strides, in elements.
const Q_BATCH: u32 = 256u;
const Q_HEAD: u32 = 128u;
const Q_ROW: u32 = 8u;
const Q_OFFSET: u32 = 0u;
const K_BATCH: u32 = 256u;
const K_HEAD: u32 = 128u;
const K_ROW: u32 = 8u;
const K_OFFSET: u32 = 0u;
const V_BATCH: u32 = 256u;
const V_HEAD: u32 = 128u;
const V_ROW: u32 = 8u;
const V_OFFSET: u32 = 0u;

const KEY_HEADS: u32 = HEADS / SHARE;
// Below any score, and finite, since WGSL may assume that there are no infinities.
const LOWEST: f32 = -1e30f;

@group(0) @binding(0) var<storage, read> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x2: array<vec4<f32>>;

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

// Addresses of row 0 of a batch and head.
fn q_begin(batch: u32, head: u32) -> u32 {
    return batch * Q_BATCH + head * Q_HEAD + Q_OFFSET;
}

fn k_begin(batch: u32, head: u32) -> u32 {
    return batch * K_BATCH + head * K_HEAD + K_OFFSET;
}

fn v_begin(batch: u32, head: u32) -> u32 {
    return batch * V_BATCH + head * V_HEAD + V_OFFSET;
}
