// The nearest number that f16 can hold, ties to even, on adapters without f16 and on software ones: from 65520 on
// infinity; below the smallest normal one the last place of 0.5 + |x| is that of f16.

fn round_f16_(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let magnitude = bits & 0x7fffffffu;
    var rounded = (magnitude + 0xfffu + ((magnitude >> 13u) & 1u)) & 0xffffe000u;
    if (magnitude < 0x38800000u) {
        let units = bitcast<u32>(bitcast<f32>(magnitude) + 0.5) - 0x3f000000u;
        rounded = bitcast<u32>(f32(units) * 5.9604644775390625e-8);
    }
    if (magnitude >= 0x477ff000u && magnitude <= 0x7f800000u) {
        rounded = 0x7f800000u;
    }
    return bitcast<f32>(rounded | (bits & 0x80000000u));
}

fn round_f16_4_(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(round_f16_(x.x), round_f16_(x.y), round_f16_(x.z), round_f16_(x.w));
}
