// The error function, within six units in the last place (half of one in the mean): x * P(x^2) / Q(x^2), both of degree 5,
// minimax in relative error on x^2 < 15 (Remez; 1.6e-8) and scaled so that Q begins with 1. Beyond 3.86 f32 has long
// reached 1, which is what it gives there, with and without fused multiply-adds. Powers go two at a time, so that less
// waits for what comes before.

fn erf4_(v: vec4<f32>) -> vec4<f32> {
    let x = clamp(v, vec4<f32>(-3.86), vec4<f32>(3.86));
    let z = x * x;
    let w = z * z;
    let p = ((z * 0.05423472 + 7.408683) * w + (z * 96.13055 + 1364.6647)) * w + (z * 4898.8765 + 29295.26);
    let q = ((z + 29.875906) * w + (z * 385.34744 + 2945.1074)) * w + (z * 12995.586 + 25962.248);
    return x * p / q;
}

fn erf_(v: f32) -> f32 {
    let x = clamp(v, -3.86, 3.86);
    let z = x * x;
    let w = z * z;
    let p = ((z * 0.05423472 + 7.408683) * w + (z * 96.13055 + 1364.6647)) * w + (z * 4898.8765 + 29295.26);
    let q = ((z + 29.875906) * w + (z * 385.34744 + 2945.1074)) * w + (z * 12995.586 + 25962.248);
    return x * p / q;
}
