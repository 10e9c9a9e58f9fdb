// max_pool2d: y[p, i, j] = the largest x[p, i * SY + r - PY, j * SX + s - PX] over r < KH, s < KW inside the image.
//
// x0: x [PLANES, H, W]; y0: y [PLANES, OH, OW], COUNT elements. Each invocation owns PER elements of y, WORKGROUP
// apart. Padding never wins; NaN does. No element is read outside of x0.

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

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y0: array<f32>;

// #hook epilogue
fn epilogue(o: u32, acc: f32) {
    y0[o] = acc;
}
// #end

fn window_max(o: u32) -> f32 {
    let left = (o % OW) * SX;
    let top = (o / OW % OH) * SY;
    let plane = o / (OW * OH) * (H * W);
    // WGSL has no literal for negative infinity.
    var lowest = 0xff800000u;
    var best = bitcast<f32>(lowest);
    // Bits of the largest magnitude: compilers may drop NaN from a maximum.
    var magnitude = 0;
    for (var r = 0u; r < KH; r += 1u) {
        for (var s = 0u; s < KW; s += 1u) {
            // Inside the padding the subtraction wraps to a huge number and fails the range test.
            let h = top + r - PY;
            let w = left + s - PX;
            if (h < H && w < W) {
                let v = x0[plane + h * W + w];
                best = max(best, v);
                magnitude = max(magnitude, bitcast<i32>(v) & 0x7fffffff);
            }
        }
    }
    return select(best, bitcast<f32>(magnitude), magnitude > 0x7f800000);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let first = (wg.y * GROUPS_X + wg.x) * PER * WORKGROUP + li;
    for (var t = 0u; t < PER; t += 1u) {
        let o = first + t * WORKGROUP;
        if (o < COUNT) {
            epilogue(o, window_max(o));
        }
    }
}
