// Sine and cosine, NaN for infinity and NaN on every driver.

fn no_angle_(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let endless = (bits & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u);
    return select(y, bitcast<vec4<f32>>(bits | vec4<u32>(0x7fc00000u)), endless);
}

fn sin4_(x: vec4<f32>) -> vec4<f32> {
    return no_angle_(x, sin(x));
}

fn sin_(x: f32) -> f32 {
    return sin4_(vec4<f32>(x)).x;
}

fn cos4_(x: vec4<f32>) -> vec4<f32> {
    return no_angle_(x, cos(x));
}

fn cos_(x: f32) -> f32 {
    return cos4_(vec4<f32>(x)).x;
}
