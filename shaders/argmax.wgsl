// argmax: y[outer, inner] = the smallest j with the largest x[outer, j, inner], or with NaN, as i32.
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

// For an axis with a NaN; the search goes backwards, so the first one stays.
fn first_nan(start: u32) -> u32 {
    var at = 0u;
    for (var j = EXTENT; j > 0u; j -= 1u) {
        let bits = bitcast<i32>(x0[start + (j - 1u) * INNER]) & 0x7fffffff;
        at = select(at, j - 1u, bits > 0x7f800000);
    }
    return at;
}

fn first_max(o: u32) -> i32 {
    let start = o / INNER * (EXTENT * INNER) + o % INNER;
    var best = x0[start];
    var at = 0u;
    // Bits of the largest magnitude: WGSL's comparisons do not see NaN.
    var magnitude = bitcast<i32>(best) & 0x7fffffff;
    for (var j = 1u; j < EXTENT; j += 1u) {
        let v = x0[start + j * INNER];
        at = select(at, j, v > best);
        best = max(best, v);
        magnitude = max(magnitude, bitcast<i32>(v) & 0x7fffffff);
    }
    if (magnitude > 0x7f800000) {
        at = first_nan(start);
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
