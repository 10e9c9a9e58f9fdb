// gather: y[outer, j, inner] = x[outer, index[outer, j, inner], inner], or 0 if the index is outside [0, EXTENT).
//
// x0: x [OUTER, EXTENT, INNER]; x1: index, read by index_at at the element's number in y; y0: y [OUTER, LENGTH, INNER],
// COUNT elements. Each invocation owns PER elements of y, WORKGROUP apart.

const WORKGROUP: u32 = 64u;
const PER: u32 = 1u;
const GROUPS_X: u32 = 65535u;
const COUNT: u32 = 64u;
const EXTENT: u32 = 10u;
const LENGTH: u32 = 4u;
const INNER: u32 = 1u;

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<i32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

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

fn gathered(o: u32) -> f32 {
    // A negative index becomes a huge number and fails the range test.
    let j = u32(index_at(o));
    let inside = j < EXTENT;
    let outer = o / (LENGTH * INNER);
    let at = (outer * EXTENT + select(0u, j, inside)) * INNER + o % INNER;
    return select(0.0, x0[at], inside);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let first = (wg.y * GROUPS_X + wg.x) * PER * WORKGROUP + li;
    for (var t = 0u; t < PER; t += 1u) {
        let o = first + t * WORKGROUP;
        if (o < COUNT) {
            epilogue(o, gathered(o));
        }
    }
}
