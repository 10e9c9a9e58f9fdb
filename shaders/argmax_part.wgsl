// argmax_part: the first launch of an argmax over a long axis, split into PARTS of CHUNK elements: per part the smallest j,
// counted from the part's first element, with the largest x[outer, j, inner], or with NaN. As f32, exact below 2^24.
//
// x0: x [OUTER, EXTENT, INNER]; parts: [OUTER, INNER, PARTS], COUNT elements. Each invocation owns PER elements of it,
// WORKGROUP apart, and searches its part in ascending order.

const WORKGROUP: u32 = 64u;
const PER: u32 = 1u;
const GROUPS_X: u32 = 65535u;
const COUNT: u32 = 64u;
const EXTENT: u32 = 10u;
const INNER: u32 = 1u;
const PARTS: u32 = 2u;
const CHUNK: u32 = 5u;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;

// For a part with a NaN; the search goes backwards, so the first one stays.
fn first_nan(start: u32, begin: u32, end: u32) -> u32 {
    var at = begin;
    for (var j = end; j > begin; j -= 1u) {
        let bits = bitcast<i32>(x0[start + (j - 1u) * INNER]) & 0x7fffffff;
        at = select(at, j - 1u, bits > 0x7f800000);
    }
    return at;
}

fn first_max(o: u32) -> f32 {
    let output = o / PARTS;
    let begin = o % PARTS * CHUNK;
    let end = min(begin + CHUNK, EXTENT);
    let start = output / INNER * (EXTENT * INNER) + output % INNER;
    var best = x0[start + begin * INNER];
    var at = begin;
    // Bits of the largest magnitude: WGSL's comparisons do not see NaN.
    var magnitude = bitcast<i32>(best) & 0x7fffffff;
    for (var j = begin + 1u; j < end; j += 1u) {
        let v = x0[start + j * INNER];
        at = select(at, j, v > best);
        best = max(best, v);
        magnitude = max(magnitude, bitcast<i32>(v) & 0x7fffffff);
    }
    if (magnitude > 0x7f800000) {
        at = first_nan(start, begin, end);
    }
    return f32(at - begin);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let first = (wg.y * GROUPS_X + wg.x) * PER * WORKGROUP + li;
    for (var t = 0u; t < PER; t += 1u) {
        let o = first + t * WORKGROUP;
        if (o < COUNT) {
            partials[o] = first_max(o);
        }
    }
}
