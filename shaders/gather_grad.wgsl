// gather_grad: dx[outer, e, inner] = the sum of dy[outer, j, inner] over j with index[outer, j, inner] = e, in
// ascending order of j. An index outside [0, EXTENT) meets no e, so it is passed over.
//
// x0: dy, x1: index, read by dy_at and index_at at their number in [OUTER, LENGTH, INNER]; y0: dx [OUTER, EXTENT,
// INNER], SIZE elements. Each invocation owns PER elements, WORKGROUP apart. Long indices are split into parts of CHUNK; the
// epilogue stores their sums side by side, [parts, SIZE], COUNT in total.

const WORKGROUP: u32 = 64u;
const PER: u32 = 1u;
const GROUPS_X: u32 = 65535u;
const COUNT: u32 = 64u;
const SIZE: u32 = 64u;
const CHUNK: u32 = 4u;
const EXTENT: u32 = 10u;
const LENGTH: u32 = 4u;
const INNER: u32 = 1u;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<i32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #hook dy_at
fn dy_at(o: u32) -> f32 {
    return x0[o];
}
// #end

// #hook index_at
fn index_at(o: u32) -> i32 {
    return x1[o];
}
// #end

// #hook epilogue
fn epilogue(o: u32, acc: f32) {
    y0[o] = acc;
}
// #end

fn gradient(place: u32) -> f32 {
    // Nothing to compute if there is one part.
    let whole = CHUNK >= LENGTH;
    let o = select(place % SIZE, place, whole);
    let begin = select(place / SIZE * CHUNK, 0u, whole);
    let end = select(min(begin + CHUNK, LENGTH), LENGTH, whole);
    let inner = o % INNER;
    let e = i32(o / INNER % EXTENT);
    let start = o / (INNER * EXTENT) * (LENGTH * INNER) + inner;
    var acc = 0.0;
    for (var j = begin; j < end; j += 1u) {
        let at = start + j * INNER;
        if (index_at(at) == e) {
            acc += dy_at(at);
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
