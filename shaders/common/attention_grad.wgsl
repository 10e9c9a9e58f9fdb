// Further operands of attention's gradients: dy [BATCH, QUERIES, HEADS, WIDTH], lse and delta [BATCH, HEADS, QUERIES], each
// at its own strides.

const DY_BATCH: u32 = 256u;
const DY_HEAD: u32 = 8u;
const DY_ROW: u32 = 16u;
const DY_OFFSET: u32 = 0u;
const LSE_BATCH: u32 = 32u;
const LSE_HEAD: u32 = 16u;
const LSE_ROW: u32 = 1u;
const LSE_OFFSET: u32 = 0u;
const DELTA_BATCH: u32 = 32u;
const DELTA_HEAD: u32 = 16u;
const DELTA_ROW: u32 = 1u;
const DELTA_OFFSET: u32 = 0u;

@group(0) @binding(3) var<storage, read> x3: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> x4: array<f32>;
@group(0) @binding(5) var<storage, read> x5: array<f32>;

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

fn dy_begin(batch: u32, head: u32) -> u32 {
    return batch * DY_BATCH + head * DY_HEAD + DY_OFFSET;
}

fn lse_begin(batch: u32, head: u32) -> u32 {
    return batch * LSE_BATCH + head * LSE_HEAD + LSE_OFFSET;
}

fn delta_begin(batch: u32, head: u32) -> u32 {
    return batch * DELTA_BATCH + head * DELTA_HEAD + DELTA_OFFSET;
}
