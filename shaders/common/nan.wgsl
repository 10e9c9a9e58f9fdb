// NaN told by its bits, since a compiler may take it for granted that no number is NaN: every function here keeps it, as
// PyTorch does. Also the constants that WGSL cannot write.

// Magnitudes' bits compare as whole numbers of either kind; processors have instructions for signed ones.
fn is_nan_(x: f32) -> bool {
    return (bitcast<i32>(x) & 0x7fffffff) > 0x7f800000;
}

fn is_nan4_(x: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<i32>>(x) & vec4<i32>(0x7fffffff)) > vec4<i32>(0x7f800000);
}

// Constants by way of a variable: WGSL refuses a constant expression that is not finite.
fn infinity_() -> f32 {
    var bits = 0x7f800000u;
    return bitcast<f32>(bits);
}

fn quiet_nan_() -> f32 {
    var bits = 0x7fc00000u;
    return bitcast<f32>(bits);
}

// The larger of two; NaN if either is: the larger magnitude's bits tell.
fn max_(a: f32, b: f32) -> f32 {
    let magnitude = max(bitcast<i32>(a) & 0x7fffffff, bitcast<i32>(b) & 0x7fffffff);
    return select(max(a, b), bitcast<f32>(magnitude), magnitude > 0x7f800000);
}

fn max4_(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let bits = vec4<i32>(0x7fffffff);
    let magnitude = max(bitcast<vec4<i32>>(a) & bits, bitcast<vec4<i32>>(b) & bits);
    return select(max(a, b), bitcast<vec4<f32>>(magnitude), magnitude > vec4<i32>(0x7f800000));
}

// The smaller of two; NaN if either is.
fn min_(a: f32, b: f32) -> f32 {
    let magnitude = max(bitcast<i32>(a) & 0x7fffffff, bitcast<i32>(b) & 0x7fffffff);
    return select(min(a, b), bitcast<f32>(magnitude), magnitude > 0x7f800000);
}

fn min4_(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let bits = vec4<i32>(0x7fffffff);
    let magnitude = max(bitcast<vec4<i32>>(a) & bits, bitcast<vec4<i32>>(b) & bits);
    return select(min(a, b), bitcast<vec4<f32>>(magnitude), magnitude > vec4<i32>(0x7f800000));
}

// 0 below zero: as whole numbers, from the bits of negative infinity down. A negative NaN's lie above them.
fn relu_(x: f32) -> f32 {
    return select(x, 0.0, bitcast<i32>(x) <= -0x800000);
}

fn relu4_(x: vec4<f32>) -> vec4<f32> {
    return select(x, vec4<f32>(0.0), bitcast<vec4<i32>>(x) <= vec4<i32>(-0x800000));
}

// Numbers in an order of whole ones, NaN above all: the largest of several is an integer maximum.
fn order_(x: f32, magnitude: i32) -> u32 {
    let bits = bitcast<u32>(x);
    let key = bits ^ (bitcast<u32>(bitcast<i32>(x) >> 31u) | 0x80000000u);
    return select(key, 0xffffffffu, magnitude > 0x7f800000);
}

fn ordered_(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, key >= 0x80000000u));
}

// -1, 0 or 1; 0 of NaN.
fn sign_(x: f32) -> f32 {
    return select(0.0, 1.0, x > 0.0) - select(0.0, 1.0, x < 0.0);
}

fn sign4_(x: vec4<f32>) -> vec4<f32> {
    let zero = vec4<f32>(0.0);
    let one = vec4<f32>(1.0);
    return select(zero, one, x > zero) - select(zero, one, x < zero);
}

// Towards zero, to the nearest end of the range beyond it, 0 of NaN: Rust's `as`. 2147483520 is the largest f32 below 2^31.
fn to_i32_(x: f32) -> i32 {
    let whole = i32(clamp(x, -2147483648.0, 2147483520.0));
    return select(select(whole, 2147483647i, x >= 2147483648.0), 0i, is_nan_(x));
}

fn to_i32_4_(x: vec4<f32>) -> vec4<i32> {
    return vec4<i32>(to_i32_(x.x), to_i32_(x.y), to_i32_(x.z), to_i32_(x.w));
}
