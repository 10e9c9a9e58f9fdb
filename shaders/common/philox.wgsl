// Philox4x32-10 (Salmon et al., SC 2011), bit for bit the twin of wgrad-graph's philox.rs.
//
// Element `index` of `stream` at `step` of `seed` is word `index % 4` of the block with counter
// (index / 4, step, stream, 0) and key (seed, 0); its upper 24 bits are the number in [0, 1).
// WGSL has no 64-bit integers: the high word of a product is put together from 16-bit halves.

fn mulhi_(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let mid = ah * bl + (low >> 16u);
    let cross = al * bh + (mid & 0xffffu);
    return ah * bh + (mid >> 16u) + (cross >> 16u);
}

fn philox_round_(c: vec4<u32>, k: vec2<u32>) -> vec4<u32> {
    let m0 = 0xD2511F53u;
    let m1 = 0xCD9E8D57u;
    return vec4<u32>(mulhi_(m1, c.z) ^ c.y ^ k.x, m1 * c.z, mulhi_(m0, c.x) ^ c.w ^ k.y, m0 * c.x);
}

fn philox_block_(seed: u32, step: u32, stream: u32, block: u32) -> vec4<u32> {
    var c = vec4<u32>(block, step, stream, 0u);
    var k = vec2<u32>(seed, 0u);
    let w = vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    c = philox_round_(c, k);
    k += w;
    return philox_round_(c, k);
}

// Elements 4 * block to 4 * block + 3 of the stream.
fn philox_uniform4(seed: u32, step: u32, stream: u32, block: u32) -> vec4<f32> {
    return vec4<f32>(philox_block_(seed, step, stream, block) >> vec4<u32>(8u)) * (1.0 / 16777216.0);
}

fn philox_uniform(seed: u32, step: u32, stream: u32, index: u32) -> f32 {
    let b = philox_block_(seed, step, stream, index >> 2u);
    let low = select(b.x, b.y, (index & 1u) == 1u);
    let high = select(b.z, b.w, (index & 1u) == 1u);
    return f32(select(low, high, (index & 2u) == 2u) >> 8u) * (1.0 / 16777216.0);
}
