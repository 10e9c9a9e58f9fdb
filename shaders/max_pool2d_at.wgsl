// max_pool2d_at: position of the maximum of each window, for gradients with much overlap: the number r * KW + s of its
// first largest element in row-major order, or of its last NaN, as f32 (exact below 2^24).
//
// x0: x [PLANES, H, W]; partials: [PLANES, OH, OW], COUNT elements. Each invocation owns PER elements of it, WORKGROUP
// apart.

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
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;

fn winner(o: u32) -> f32 {
    let left = (o % OW) * SX;
    let top = (o / OW % OH) * SY;
    let plane = o / (OW * OH) * (H * W);
    var best = 0.0;
    var at = 0u;
    var none = true;
    var nan = false;
    for (var r = 0u; r < KH; r += 1u) {
        for (var s = 0u; s < KW; s += 1u) {
            // Inside the padding the subtraction wraps to a huge number and fails the range test.
            let h = top + r - PY;
            let w = left + s - PX;
            if (h < H && w < W) {
                let v = x0[plane + h * W + w];
                let is_nan = (bitcast<i32>(v) & 0x7fffffff) > 0x7f800000;
                let better = none || is_nan || (!nan && v > best);
                best = select(best, v, better);
                at = select(at, r * KW + s, better);
                none = false;
                nan = nan || is_nan;
            }
        }
    }
    return f32(at);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let first = (wg.y * GROUPS_X + wg.x) * PER * WORKGROUP + li;
    for (var t = 0u; t < PER; t += 1u) {
        let o = first + t * WORKGROUP;
        if (o < COUNT) {
            partials[o] = winner(o);
        }
    }
}
