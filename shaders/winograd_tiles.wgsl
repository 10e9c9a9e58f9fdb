// winograd_tiles: the source of a 3x3 convolution in overlapping 4x4 tiles, each transformed (F(2x2, 3x3), see
// `winograd_weights`): v = B^T d B with
//     B^T = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1].
//
// source: [images, CHANNELS, SOURCE_Y, SOURCE_X], padded by BACK; `tiles`: v [16, CHANNELS, 4 BLOCKS], as vectors of four tiles. An
// invocation owns a block of four tiles beside each other at a time: 4x10 elements, those outside of the image 0.

// #import common/channel_blocks
// #import common/source_block

@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> tiles: array<vec4<f32>>;

// #hook source_at
fn source_at(at: u32) -> f32 {
    return x0[at];
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
        let v = source_block(at, channel);
        // Rows and columns of the four tiles at once.
        var e: array<vec4<f32>, 16>;
        for (var s = 0u; s < 4u; s += 1u) { // #unroll
            let a = vec4<f32>(v[s], v[s + 2u], v[s + 4u], v[s + 6u]);
            let b = vec4<f32>(v[10u + s], v[12u + s], v[14u + s], v[16u + s]);
            let c = vec4<f32>(v[20u + s], v[22u + s], v[24u + s], v[26u + s]);
            let d = vec4<f32>(v[30u + s], v[32u + s], v[34u + s], v[36u + s]);
            e[s] = a - c;
            e[4u + s] = b + c;
            e[8u + s] = c - b;
            e[12u + s] = b - d;
        }
        let to = channel * BLOCKS + at;
        for (var i = 0u; i < 4u; i += 1u) { // #unroll
            tiles[to + (4u * i) * (CHANNELS * BLOCKS)] = e[4u * i] - e[4u * i + 2u];
            tiles[to + (4u * i + 1u) * (CHANNELS * BLOCKS)] = e[4u * i + 1u] + e[4u * i + 2u];
            tiles[to + (4u * i + 2u) * (CHANNELS * BLOCKS)] = e[4u * i + 2u] - e[4u * i + 1u];
            tiles[to + (4u * i + 3u) * (CHANNELS * BLOCKS)] = e[4u * i + 1u] - e[4u * i + 3u];
        }
    }
}
