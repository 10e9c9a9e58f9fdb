// 1 if a number is finite, else 0. Tested by its bits: compilers may assume finite numbers.

fn finite_(x: f32) -> f32 {
    return select(1.0, 0.0, (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u);
}

fn finite4_(x: vec4<f32>) -> vec4<f32> {
    let exponent = bitcast<vec4<u32>>(x) & vec4<u32>(0x7f800000u);
    return select(vec4<f32>(1.0), vec4<f32>(0.0), exponent == vec4<u32>(0x7f800000u));
}
