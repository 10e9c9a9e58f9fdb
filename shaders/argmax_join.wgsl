// argmax_join: the second launch of an argmax over a long axis: the first largest of the parts' winners, or NaN.
//
// x0: x [OUTER, EXTENT, INNER]; partials: results of argmax_part, [OUTER, INNER, PARTS]; y0: y [OUTER, INNER], COUNT
// elements. Each invocation owns PER elements of y, WORKGROUP apart.

const WORKGROUP: u32 = 64u;
const PER: u32 = 1u;
const GROUPS_X: u32 = 65535u;
const COUNT: u32 = 64u;
const EXTENT: u32 = 10u;
const INNER: u32 = 1u;
const PARTS: u32 = 2u;
const CHUNK: u32 = 5u;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<i32>;

fn first_max(o: u32) -> i32 {
    let start = o / INNER * (EXTENT * INNER) + o % INNER;
    var at = u32(partials[o * PARTS]);
    var best = x0[start + at * INNER];
    var limit = select(0x7f800000, 0x7fffffff, (bitcast<i32>(best) & 0x7fffffff) > 0x7f800000);
    for (var p = 1u; p < PARTS; p += 1u) {
        let j = p * CHUNK + u32(partials[o * PARTS + p]);
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
