// avg_pool2d_grad: dx[p, h, w] = the sum of dy[p, i, j] over the windows (i, j) covering (h, w), divided by KH * KW.
//
// x0: dy [PLANES, OH, OW]; y0: dx [PLANES, H, W], COUNT elements. Gather form: each invocation owns PER elements of
// dx, WORKGROUP apart.

const WORKGROUP: u32 = 64u;
const PER: u32 = 1u;
const GROUPS_X: u32 = 65535u;
const COUNT: u32 = 64u;
const H: u32 = 8u;
const W: u32 = 8u;
const OH: u32 = 4u;
const OW: u32 = 4u;
const KH: u32 = 2u;
const KW: u32 = 2u;
const SY: u32 = 2u;
const SX: u32 = 2u;
const PY: u32 = 0u;
const PX: u32 = 0u;
// Maximum number of windows covering an element along each axis: ceil(KH / SY) and ceil(KW / SX).
const COVER_Y: u32 = 1u;
const COVER_X: u32 = 1u;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y0: array<f32>;

// #hook epilogue
fn epilogue(o: u32, acc: f32) {
    y0[o] = acc;
}
// #end

fn gradient(o: u32) -> f32 {
    let w = o % W;
    let h = o / W % H;
    let p = o / (W * H);
    var sum = 0.0;
    for (var r = 0u; r < COVER_Y; r += 1u) {
        // Windows before the first wrap to huge numbers and fail the range tests. Constant trips let drivers unroll.
        let i = (h + PY) / SY - r;
        for (var s = 0u; s < COVER_X; s += 1u) {
            let j = (w + PX) / SX - s;
            if (i < OH && j < OW && h + PY - i * SY < KH && w + PX - j * SX < KW) {
                sum += x0[(p * OH + i) * OW + j];
            }
        }
    }
    return sum / f32(KH * KW);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let first = (wg.y * GROUPS_X + wg.x) * PER * WORKGROUP + li;
    for (var t = 0u; t < PER; t += 1u) {
        let o = first + t * WORKGROUP;
        if (o < COUNT) {
            epilogue(o, gradient(o));
        }
    }
}
