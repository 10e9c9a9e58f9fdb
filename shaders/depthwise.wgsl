// depthwise: a convolution whose channels do not see each other, and its input's gradient (GRADIENT):
//     y[i, c, p, q]  = sum over r, s of w[c, r, s] x[i, c, p SY + r DY - PY, q SX + s DX - PX]
//     dx[i, c, p, q] = sum over r, s of w[c, r, s] dy[i, c, (p + PY - r DY) / SY, (q + PX - s DX) / SX], where both divide
// with 0 outside; PyTorch's `conv2d` with groups = channels, and `torch.nn.grad.conv2d_input`.
//
// source (x or dy): [images, CHANNELS, SOURCE_Y, SOURCE_X]; w: [CHANNELS, 1, KH, KW]; result [images, CHANNELS, EXTENT_Y,
// EXTENT_X] through the epilogue. Owners: a workgroup makes blocks of one channel, whose weights it holds in registers; an
// invocation owns a block of PLACES_Y x PLACES_X neighbours at a time and reads each element of the source once for all of
// them. In the gradient a block begins at a multiple of the stride, so that all blocks meet the same taps and none is tried
// in vain. Places beyond the edge are not stored. No barriers. Order of a sum: taps row by row.

const GRADIENT: bool = false;
const PY: u32 = 1u;
const PX: u32 = 1u;
// Four results of a row are stored at once.
const STORE_FOUR: bool = false;

// #import common/depthwise

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #hook source_at
fn source_at(at: u32) -> f32 {
    return x0[at];
}
// #end
// #hook weight_at
fn weight_at(at: u32) -> f32 {
    return x1[at];
}
// #end
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
    var w: array<f32, TAPS>;
    for (var t = 0u; t < TAPS; t += 1u) { // #unroll
        w[t] = weight_at(channel * TAPS + t);
    }
    for (var at = first + li; at < end; at += WORKGROUP) {
        // #if STAGED
        let v = source_block(at, channel);
        // #end
        let block = at % IMAGE_BLOCKS;
        let row = block / BLOCKS_X * PLACES_Y;
        let column = block % BLOCKS_X * PLACES_X;
        let result = (at / IMAGE_BLOCKS * CHANNELS + channel) * (EXTENT_Y * EXTENT_X) + row * EXTENT_X + column;
        for (var i = 0u; i < PLACES_Y; i += 1u) { // #unroll
            var acc: vec4<f32>;
            for (var j = 0u; j < PLACES_X; j += 1u) { // #unroll
                for (var r = 0u; r < KH; r += 1u) { // #unroll
                    for (var s = 0u; s < KW; s += 1u) { // #unroll
                        // #if !GRADIENT
                        // #if STAGED
                        acc[j] += w[r * KW + s] * v[(i * SY + r * DY) * SPAN_X + j * SX + s * DX];
                        // #end
                        // #if !STAGED
                        acc[j] += w[r * KW + s] * source_element(at, channel, i * SY + r * DY, j * SX + s * DX);
                        // #end
                        // #end
                        // #if GRADIENT
                        // #if (i + PY + BACK_Y * SY - r * DY) % SY + (j + PX + BACK_X * SX - s * DX) % SX == 0u
                        // #if STAGED
                        acc[j] += w[r * KW + s] * v[(i + PY + BACK_Y * SY - r * DY) / SY * SPAN_X + (j + PX + BACK_X * SX - s * DX) / SX];
                        // #end
                        // #if !STAGED
                        acc[j] += w[r * KW + s] * source_element(at, channel, (i + PY + BACK_Y * SY - r * DY) / SY, (j + PX + BACK_X * SX - s * DX) / SX);
                        // #end
                        // #end
                        // #end
                    }
                }
            }
            // #if RAGGED_ROWS
            if (row + i < EXTENT_Y) {
            // #end
                // #if STORE_FOUR
                epilogue4((result + i * EXTENT_X) / 4u, acc);
                // #end
                // #if !STORE_FOUR
                for (var j = 0u; j < PLACES_X; j += 1u) { // #unroll
                    // #if RAGGED_COLUMNS
                    if (column + j < EXTENT_X) {
                    // #end
                        epilogue(result + i * EXTENT_X + j, acc[j]); // #label store_one
                    // #if RAGGED_COLUMNS
                    }
                    // #end
                }
                // #end
            // #if RAGGED_ROWS
            }
            // #end
        }
    }
}
