// argmax: y[outer, inner] = the smallest j at which x[outer, j, inner] is largest, or NaN, as i32.
//
// x0: x [OUTER, EXTENT, INNER]; y0: y [OUTER, INNER], COUNT elements. Each invocation owns PER elements of y,
// WORKGROUP apart, and searches the axis in ascending order.

const WORKGROUP: u32 = 64u;
const PER: u32 = 1u;
const GROUPS_X: u32 = 65535u;
const COUNT: u32 = 64u;
const EXTENT: u32 = 10u;
const INNER: u32 = 1u;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> y0: array<i32>;

fn first_max(o: u32) -> i32 {
    let start = o / INNER * (EXTENT * INNER) + o % INNER;
    var best = x0[start];
    var at = 0u;
    // What a NaN's bits are above: no bits are above it after the first.
    var limit = select(0x7f800000, 0x7fffffff, (bitcast<i32>(best) & 0x7fffffff) > 0x7f800000);
    for (var j = 1u; j < EXTENT; j += 1u) {
        let v = x0[start + j * INNER];
        let bits = bitcast<i32>(v) & 0x7fffffff;
        let nan = bits > limit;
        let better = v > best || nan;
        at = select(at, j, better);
        // Nothing compares above NaN.
        best = select(best, v, better);
        limit = select(limit, 0x7fffffff, nan);
    }
    return i32(at);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let first = (wg.y * GROUPS_X + wg.x) * PER * WORKGROUP + li;
    for (var t = 0u; t < PER; t += 1u) {
        let o = first + t * WORKGROUP;
        if (o < COUNT) {
            y0[o] = first_max(o);
        }
    }
}
