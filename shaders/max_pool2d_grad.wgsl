// max_pool2d_grad: dx[p, h, w] = the sum of dy[p, i, j] over the windows (i, j) with x[p, h, w] as their first largest
// element in row-major order, or as their last NaN.
//
// x0: x [PLANES, H, W]; x1: dy [PLANES, OH, OW]; y0: dx like x, COUNT elements. Gather form: each invocation owns PER
// elements of dx, WORKGROUP apart, and looks at every window that covers them, so overlapping windows need no
// atomics and the order of the sum is fixed. An element is the first largest if all before it are smaller and none
// after it is larger or NaN.

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
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #hook epilogue
fn epilogue(o: u32, acc: f32) {
    y0[o] = acc;
}
// #end

// True if element `o` of the plane at `plane`, with value `mine`, is the first largest of window (i, j).
fn is_first_max(mine: f32, plane: u32, o: u32, i: u32, j: u32) -> bool {
    var first = true;
    // The window's last NaN wins over all numbers; WGSL's comparisons do not see it.
    var last_nan = 0xffffffffu;
    for (var r = 0u; r < KH; r += 1u) {
        for (var s = 0u; s < KW; s += 1u) {
            let oh = i * SY + r - PY;
            let ow = j * SX + s - PX;
            if (oh < H && ow < W) {
                let at = plane + oh * W + ow;
                let other = x0[at];
                let beaten = other > mine || (at < o && other == mine);
                first = first && !beaten;
                last_nan = select(last_nan, at, (bitcast<i32>(other) & 0x7fffffff) > 0x7f800000);
            }
        }
    }
    return select(last_nan == o, first, last_nan == 0xffffffffu);
}

fn gradient(o: u32) -> f32 {
    let w = o % W;
    let h = o / W % H;
    let p = o / (W * H);
    let mine = x0[o];
    var acc = 0.0;
    for (var r = 0u; r < COVER_Y; r += 1u) {
        // Windows before the first wrap to huge numbers and fail the range tests. Constant trips let drivers unroll.
        let i = (h + PY) / SY - r;
        for (var s = 0u; s < COVER_X; s += 1u) {
            let j = (w + PX) / SX - s;
            let covers = i < OH && j < OW && h + PY - i * SY < KH && w + PX - j * SX < KW;
            if (covers && is_first_max(mine, p * (H * W), o, i, j)) {
                acc += x1[(p * OH + i) * OW + j];
            }
        }
    }
    return acc;
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
