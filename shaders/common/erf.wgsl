// The error function, within a few units in the last place: x * P(x^2) / Q(x^2) on [-4, 4], where f32 has long
// reached 1. The minimax coefficients are those published with Eigen and XLA.

fn erf4_(v: vec4<f32>) -> vec4<f32> {
    let x = clamp(v, vec4<f32>(-4.0), vec4<f32>(4.0));
    let z = x * x;
    var p = z * -2.72614225801306e-10 + 2.77068142495902e-08;
    p = p * z - 2.10102402082508e-06;
    p = p * z - 5.69250639462346e-05;
    p = p * z - 7.34990630326855e-04;
    p = p * z - 2.95459980854025e-03;
    p = p * z - 1.60960333262415e-02;
    var q = z * -1.45660718464996e-05 - 2.13374055278905e-04;
    q = q * z - 1.68282697438203e-03;
    q = q * z - 7.37332916720468e-03;
    q = q * z - 1.42647390514189e-02;
    return x * p / q;
}

fn erf_(v: f32) -> f32 {
    let x = clamp(v, -4.0, 4.0);
    let z = x * x;
    var p = z * -2.72614225801306e-10 + 2.77068142495902e-08;
    p = p * z - 2.10102402082508e-06;
    p = p * z - 5.69250639462346e-05;
    p = p * z - 7.34990630326855e-04;
    p = p * z - 2.95459980854025e-03;
    p = p * z - 1.60960333262415e-02;
    var q = z * -1.45660718464996e-05 - 2.13374055278905e-04;
    q = q * z - 1.68282697438203e-03;
    q = q * z - 7.37332916720468e-03;
    q = q * z - 1.42647390514189e-02;
    return x * p / q;
}
