// The error function, within seven units in the last place (half of one in the mean): x * P(x^2) / Q(x^2), both of degree 5,
// minimax in relative error on x^2 < 15 (Remez; 1.6e-8) and scaled so that Q begins with 1. Beyond 3.86 f32 has long
// reached 1.

fn erf4_(v: vec4<f32>) -> vec4<f32> {
    let x = clamp(v, vec4<f32>(-3.86), vec4<f32>(3.86));
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

fn erf_(v: f32) -> f32 {
    let x = clamp(v, -3.86, 3.86);
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
