// depthwise_weight_grad: dw[c, r, s] = sum over i, p, q of dy[i, c, p, q] x[i, c, p SY + r DY - PY, q SX + s DX - PX] with 0
// outside of the image; PyTorch's `torch.nn.grad.conv2d_weight` with groups = channels.
//
// x: [images, CHANNELS, SOURCE_Y, SOURCE_X]; dy: [images, CHANNELS, EXTENT_Y, EXTENT_X]; result [CHANNELS, 1, KH, KW].
// Owners: workgroup id makes a share of channel id % CHANNELS, part id / CHANNELS of its BLOCKS blocks, each invocation a sum
// per tap in registers over blocks WORKGROUP apart. At the end lanes are added in a fixed order (by the subgroup, or through
// workgroup memory after one barrier), parts by another launch.

// The workgroup is one subgroup, which adds its lanes.
const BY_SUBGROUP: bool = false;

// #import common/depthwise

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> y0: array<f32>;

// #if !BY_SUBGROUP
var<workgroup> lane_values: array<f32, TAPS * WORKGROUP>;
// #end

// #hook source_at
fn source_at(at: u32) -> f32 {
    return x0[at];
}
// #end
// #hook dy_at
fn dy_at(at: u32) -> f32 {
    return x1[at];
}
// #end
// #hook store
// Finishes result o, or stores a part of it.
fn store(part: u32, o: u32, value: f32) {
    y0[part * (CHANNELS * TAPS) + o] = value;
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
    let channel = id % CHANNELS;
    let part = id / CHANNELS;
    let first = part * CHUNK;
    let end = min(first + CHUNK, BLOCKS);
    var sum: array<f32, TAPS>;
    for (var at = first + li; at < end; at += WORKGROUP) {
        // #if STAGED
        let v = source_block(at, channel);
        // #end
        let block = at % IMAGE_BLOCKS;
        let row = block / BLOCKS_X * PLACES_Y;
        let column = block % BLOCKS_X * PLACES_X;
        let given = (at / IMAGE_BLOCKS * CHANNELS + channel) * (EXTENT_Y * EXTENT_X) + row * EXTENT_X + column;
        for (var i = 0u; i < PLACES_Y; i += 1u) { // #unroll
            for (var j = 0u; j < PLACES_X; j += 1u) { // #unroll
                var inside = true;
                // #if RAGGED_ROWS
                inside = inside & (row + i < EXTENT_Y);
                // #end
                // #if RAGGED_COLUMNS
                inside = inside & (column + j < EXTENT_X);
                // #end
                let d = select(0.0, dy_at(select(0u, given + i * EXTENT_X + j, inside)), inside);
                for (var r = 0u; r < KH; r += 1u) { // #unroll
                    for (var s = 0u; s < KW; s += 1u) { // #unroll
                        // #if STAGED
                        sum[r * KW + s] += d * v[(i * SY + r * DY) * SPAN_X + j * SX + s * DX];
                        // #end
                        // #if !STAGED
                        sum[r * KW + s] += d * source_element(at, channel, i * SY + r * DY, j * SX + s * DX);
                        // #end
                    }
                }
            }
        }
    }

    // #if BY_SUBGROUP
    for (var t = 0u; t < TAPS; t += 1u) { // #unroll
        sum[t] = subgroupAdd(sum[t]);
    }
    if (li == 0u) {
        for (var t = 0u; t < TAPS; t += 1u) { // #unroll
            store(part, channel * TAPS + t, sum[t]);
        }
    }
    // #end
    // #if !BY_SUBGROUP
    for (var t = 0u; t < TAPS; t += 1u) { // #unroll
        lane_values[t * WORKGROUP + li] = sum[t];
    }
    workgroupBarrier();
    for (var tap = li; tap < TAPS; tap += WORKGROUP) {
        var total = 0.0;
        for (var lane = 0u; lane < WORKGROUP; lane += 1u) {
            total += lane_values[tap * WORKGROUP + lane];
        }
        store(part, channel * TAPS + tap, total);
    }
    // #end
}
