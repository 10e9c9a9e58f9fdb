// argmax_part: the first launch of an argmax over a long axis, which is cut into PARTS of CHUNK elements: of each part the
// smallest j, counted from the part's first element, at which x[outer, j, inner] is largest, or NaN. As f32, exact below
// 2^24.
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

fn first_max(o: u32) -> f32 {
    let output = o / PARTS;
    let begin = o % PARTS * CHUNK;
    let end = min(begin + CHUNK, EXTENT);
    let start = output / INNER * (EXTENT * INNER) + output % INNER;
    var best = x0[start + begin * INNER];
    var at = begin;
    // What a NaN's bits are above: no bits are above it after the first.
    var limit = select(0x7f800000, 0x7fffffff, (bitcast<i32>(best) & 0x7fffffff) > 0x7f800000);
    for (var j = begin + 1u; j < end; j += 1u) {
        let v = x0[start + j * INNER];
        let bits = bitcast<i32>(v) & 0x7fffffff;
        let nan = bits > limit;
        let better = v > best || nan;
        at = select(at, j, better);
        // Nothing compares above NaN.
        best = select(best, v, better);
        limit = select(limit, 0x7fffffff, nan);
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
