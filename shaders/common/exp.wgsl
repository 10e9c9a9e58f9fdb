// Exponentials keeping NaN; a driver's may turn it into infinity. Needs common/nan.

fn exp_(x: f32) -> f32 {
    return select(exp(x), x, is_nan_(x));
}

fn exp4_(x: vec4<f32>) -> vec4<f32> {
    return select(exp(x), x, is_nan4_(x));
}

// e^x - 1: Taylor's series (next term 2e-8 of the sum) if the difference would cancel.
fn expm1_4_(x: vec4<f32>) -> vec4<f32> {
    var p = x * 2.7557319e-6 + 2.4801587e-5;
    p = p * x + 1.9841270e-4;
    p = p * x + 1.3888889e-3;
    p = p * x + 8.3333333e-3;
    p = p * x + 4.1666667e-2;
    p = p * x + 0.16666667;
    p = p * x + 0.5;
    return select(exp4_(x) - 1.0, p * (x * x) + x, abs(x) < vec4<f32>(0.7));
}

fn expm1_(x: f32) -> f32 {
    return expm1_4_(vec4<f32>(x)).x;
}

// 1 / (1 + e^-x).
fn sigmoid_(x: f32) -> f32 {
    return 1.0 / (1.0 + exp_(-x));
}

fn sigmoid4_(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp4_(-x));
}

// Without the guard: NaN of x reaches the result by another path.
fn sigmoid_plain_(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-x));
}

fn sigmoid4_plain_(x: vec4<f32>) -> vec4<f32> {
    return 1.0 / (1.0 + exp(-x));
}

// Odd polynomial (Cephes) below 0.625, where 1 - 2 / (e^2x + 1) would cancel, and for NaN: the difference of bits wraps
// for the one and is large for the other.
fn tanh4_(x: vec4<f32>) -> vec4<f32> {
    let a = abs(x);
    let z = x * x;
    var p = z * -5.7049887e-3 + 2.0639089e-2;
    p = p * z - 5.3739716e-2;
    p = p * z + 0.13331442;
    p = p * z - 0.33333282;
    let near = p * z * x + x;
    let far = 1.0 - 2.0 / (exp(a + a) + 1.0);
    let signed = bitcast<vec4<f32>>(bitcast<vec4<u32>>(far) | (bitcast<vec4<u32>>(x) & vec4<u32>(0x80000000u)));
    let bits = bitcast<vec4<u32>>(a) - vec4<u32>(0x3f200000u);
    return select(signed, near, bits > vec4<u32>(0x40600000u));
}

fn tanh_(x: f32) -> f32 {
    return tanh4_(vec4<f32>(x)).x;
}
