// Natural logarithms within a few units in the last place, by a polynomial (Cephes) on [sqrt(1/2), sqrt(2)): a driver's own
// may be 20,000 units off just below 1, or finite at 0. Needs common/nan and common/exp.

// log(1 + m) + e log(2) for m in [-0.293, 0.415].
fn log_of_(m: vec4<f32>, e: vec4<f32>) -> vec4<f32> {
    let z = m * m;
    var p = m * 7.0376836e-2 - 0.1151461;
    p = p * m + 0.11676999;
    p = p * m - 0.12420141;
    p = p * m + 0.14249323;
    p = p * m - 0.16668058;
    p = p * m + 0.20000715;
    p = p * m - 0.24999994;
    p = p * m + 0.33333331;
    let y = p * m * z - e * 2.1219444e-4 - 0.5 * z;
    return e * 0.6933594 + (m + y);
}

// The mantissa less 1, in [-0.293, 0.415), in place of `x`; its exponent.
fn exponent_of_(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>((bitcast<vec4<u32>>(x) + vec4<u32>(0x004afb0du)) >> vec4<u32>(23u)) - 127.0;
}

fn mantissa_of_(x: vec4<f32>) -> vec4<f32> {
    let shifted = (bitcast<vec4<u32>>(x) + vec4<u32>(0x004afb0du)) & vec4<u32>(0x007fffffu);
    return bitcast<vec4<f32>>(shifted + vec4<u32>(0x3f3504f3u)) - 1.0;
}

// `y`, the logarithm of a positive number, at the ends of the line: of zero, infinity, less than zero, NaN.
fn log_ends_(x: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    let bits = bitcast<vec4<u32>>(x);
    let large = select(y, x, bits - vec4<u32>(0x7f800000u) < vec4<u32>(0x00800000u));
    let negative = select(large, bitcast<vec4<f32>>(bits | vec4<u32>(0x7fc00000u)), bits > vec4<u32>(0x80000000u));
    let nothing = bits << vec4<u32>(1u) == vec4<u32>(0u);
    return select(negative, bitcast<vec4<f32>>(bits | vec4<u32>(0xff800000u)), nothing);
}

fn log4_(x: vec4<f32>) -> vec4<f32> {
    // A subnormal number's bits count its units of 2^-149; as a number itself a device may take it for 0.
    let bits = bitcast<vec4<u32>>(x);
    let small = bits < vec4<u32>(0x00800000u);
    let scaled = select(x, vec4<f32>(bits), small);
    let e = exponent_of_(scaled) - select(vec4<f32>(0.0), vec4<f32>(149.0), small);
    return log_ends_(x, log_of_(mantissa_of_(scaled), e));
}

fn log_(x: f32) -> f32 {
    return log4_(vec4<f32>(x)).x;
}

// log(1 + x): of x itself near 0.
fn log1p4_(x: vec4<f32>) -> vec4<f32> {
    let u = 1.0 + x;
    let near = abs(x - 0.06) < vec4<f32>(0.35);
    let y = log_of_(select(mantissa_of_(u), x, near), select(exponent_of_(u), vec4<f32>(0.0), near));
    return select(log_ends_(u, y), y, near);
}

fn log1p_(x: f32) -> f32 {
    return log1p4_(vec4<f32>(x)).x;
}

// log(1 + e^x) as max(x, 0) + log(1 + t), t = e^-|x|; (1 + t) / 2 for large t.
fn softplus4_(x: vec4<f32>) -> vec4<f32> {
    let t = exp(-abs(x));
    let large = t > vec4<f32>(0.41);
    let m = select(t, t * 0.5 - 0.5, large);
    return relu4_(x) + log_of_(m, select(vec4<f32>(0.0), vec4<f32>(1.0), large));
}

fn softplus_(x: f32) -> f32 {
    return softplus4_(vec4<f32>(x)).x;
}
