// winograd_weights: the weights of a 3x3 convolution, each transformed to 4x4 (F(2x2, 3x3): Lavin and Gray, "Fast Algorithms
// for Convolutional Neural Networks", 2015): u = G g G^T with
//     G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
//
// weight: g [RESULTS, CHANNELS, 3, 3], or [CHANNELS, RESULTS, 3, 3] turned about both axes for the input's gradient;
// `weights`: u [16, CHANNELS, RESULTS], to be multiplied by `winograd_tiles`. An invocation owns a pair of channels at a time.

const CHANNELS: u32 = 2u;
const RESULTS: u32 = 2u;
// The input's gradient: weights turned and their channels exchanged.
const GRADIENT: bool = false;
// Pairs of a workgroup.
const CHUNK: u32 = 64u;
const WORKGROUP: u32 = 64u;
const GROUPS_X: u32 = 65535u;
const GROUPS: u32 = 1u;
// More workgroups run than there is work.
const FOLDED: bool = false;
const PAIRS: u32 = CHANNELS * RESULTS;

@group(0) @binding(0) var<storage, read> x1: array<f32>;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;

// #hook weight_at
fn weight_at(at: u32) -> f32 {
    return x1[at];
}
// #end

// One axis of the transform.
fn transformed(a: f32, b: f32, c: f32) -> vec4<f32> {
    return vec4<f32>(a, 0.5 * (a + b + c), 0.5 * (a - b + c), c);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) wg: vec3<u32>, @builtin(local_invocation_index) li: u32) {
    let id = wg.y * GROUPS_X + wg.x;
    // #if FOLDED
    if (id >= GROUPS) {
        return;
    }
    // #end
    let first = id * CHUNK;
    let end = min(first + CHUNK, PAIRS);
    for (var at = first + li; at < end; at += WORKGROUP) {
        // Pair (channel, result).
        var g: array<f32, 9>;
        // #if GRADIENT
        for (var t = 0u; t < 9u; t += 1u) { // #unroll
            g[t] = weight_at(at * 9u + (8u - t));
        }
        // #end
        // #if !GRADIENT
        for (var t = 0u; t < 9u; t += 1u) { // #unroll
            g[t] = weight_at((at % RESULTS * CHANNELS + at / RESULTS) * 9u + t);
        }
        // #end
        var h: array<vec4<f32>, 3>;
        for (var s = 0u; s < 3u; s += 1u) { // #unroll
            h[s] = transformed(g[s], g[3u + s], g[6u + s]);
        }
        for (var i = 0u; i < 4u; i += 1u) { // #unroll
            let row = transformed(h[0][i], h[1][i], h[2][i]);
            for (var j = 0u; j < 4u; j += 1u) { // #unroll
                weights[at + (4u * i + j) * PAIRS] = row[j];
            }
        }
    }
}
