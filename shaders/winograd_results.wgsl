// winograd_results: the results of a 3x3 convolution from the products of transformed tiles and weights (F(2x2, 3x3), see
// `winograd_weights`): y = A^T m A with A^T = [1 1 1 0; 0 1 -1 -1].
//
// `products`: m [16, CHANNELS, 4 BLOCKS], as vectors of four tiles; result [images, CHANNELS, H, W] through the epilogue. An
// invocation owns a block of four tiles beside each other at a time, 2x8 results; those beyond the edge are not stored.

const H: u32 = 2u;
const W: u32 = 8u;
// Four results of a row are stored at once.
const STORE_FOUR: bool = false;

// #import common/channel_blocks

const RAGGED_ROWS: bool = H % 2u != 0u;
const RAGGED_COLUMNS: bool = W % 8u != 0u;

@group(0) @binding(0) var<storage, read> products: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y0: array<f32>;

// #hook epilogue
fn epilogue(o: u32, acc: f32) {
    y0[o] = acc;
}
// #end
// #hook epilogue4
fn epilogue4(q: u32, acc: vec4<f32>) {
    for (var c = 0u; c < 4u; c += 1u) {
        epilogue(q * 4u + c, acc[c]);
    }
}
// #end

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let channel = id / PARTS;
    let first = id % PARTS * CHUNK;
    let end = min(first + CHUNK, BLOCKS);
    for (var at = first + li; at < end; at += WORKGROUP) {
        let origin = channel * BLOCKS + at;
        let block = at % IMAGE_BLOCKS;
        let row = block / BLOCKS_X * 2u;
        let column = block % BLOCKS_X * 8u;
        let plane = (at / IMAGE_BLOCKS * CHANNELS + channel) * (H * W);
        var m: array<vec4<f32>, 16>;
        for (var k = 0u; k < 16u; k += 1u) { // #unroll
            m[k] = products[origin + k * (CHANNELS * BLOCKS)];
        }
        var n: array<vec4<f32>, 8>;
        for (var s = 0u; s < 4u; s += 1u) { // #unroll
            n[s] = m[s] + m[4u + s] + m[8u + s];
            n[4u + s] = m[4u + s] - m[8u + s] - m[12u + s];
        }
        for (var i = 0u; i < 2u; i += 1u) { // #unroll
            let even = n[4u * i] + n[4u * i + 1u] + n[4u * i + 2u];
            let odd = n[4u * i + 1u] - n[4u * i + 2u] - n[4u * i + 3u]; // #label transform
            let begin = plane + (row + i) * W + column;
            // #if RAGGED_ROWS
            if (row + i < H) {
            // #end
                for (var half = 0u; half < 2u; half += 1u) { // #unroll
                    let four = vec4<f32>(even[2u * half], odd[2u * half], even[2u * half + 1u], odd[2u * half + 1u]);
                    // #if STORE_FOUR
                    // #if RAGGED_COLUMNS
                    if (column + 4u * half < W) {
                    // #end
                        epilogue4((begin + 4u * half) / 4u, four);
                    // #if RAGGED_COLUMNS
                    }
                    // #end
                    // #end
                    // #if !STORE_FOUR
                    for (var x = 0u; x < 4u; x += 1u) { // #unroll
                        // #if RAGGED_COLUMNS
                        if (column + 4u * half + x < W) {
                        // #end
                            epilogue(begin + 4u * half + x, four[x]); // #label store_one
                        // #if RAGGED_COLUMNS
                        }
                        // #end
                    }
                    // #end
                }
            // #if RAGGED_ROWS
            }
            // #end
        }
    }
}
