// Error function within seven units in the last place: x * P(x^2) / Q(x^2), both of degree 5, minimax in relative error on
// x^2 < 15 (Remez: 1.6e-8 before the coefficients are rounded to f32, 4.7e-8 after), scaled so that Q begins with 1. Mean
// error: 0.44 units over evenly spaced bit patterns, 0.72 over evenly spaced numbers. 1 from 3.86 on, where f32's is one
// unit below 1 up to 3.92; just below the clamp it may exceed 1 by two units. Needs common/nan.

fn erf_held_(v: vec4<f32>) -> vec4<f32> {
    return clamp(v, vec4<f32>(-3.86), vec4<f32>(3.86));
}

fn erf_of_(x: vec4<f32>) -> vec4<f32> {
    let z = x * x;
    var p = z * 0.05423472 + 7.408683;
    p = p * z + 96.13055;
    p = p * z + 1364.6647;
    p = p * z + 4898.8765;
    p = p * z + 29295.26;
    var q = z + 29.875906;
    q = q * z + 385.34744;
    q = q * z + 2945.1074;
    q = q * z + 12995.586;
    q = q * z + 25962.248;
    return x * p / q;
}

// The clamp would make a number of NaN.
fn erf4_(v: vec4<f32>) -> vec4<f32> {
    return erf_of_(select(erf_held_(v), v, is_nan4_(v)));
}

// Without the guard: NaN of v reaches the result by another path.
fn erf4_plain_(v: vec4<f32>) -> vec4<f32> {
    return erf_of_(erf_held_(v));
}

fn erf_plain_(v: f32) -> f32 {
    return erf4_plain_(vec4<f32>(v)).x;
}

fn erf_(v: f32) -> f32 {
    return erf4_(vec4<f32>(v)).x;
}
