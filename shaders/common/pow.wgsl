// a to the power of b as C's pow: WGSL leaves negative bases undefined, drivers differ at 0. Needs common/nan, common/exp,
// common/log.

fn pow4_(a: vec4<f32>, b: vec4<f32>) -> vec4<f32> {
    let one = vec4<f32>(1.0);
    let m = abs(a);
    // A result of magnitude 1 if the base has it, though 0 times an infinite exponent is NaN; for an exponent of 1 the base
    // itself, even if rounding would exceed the largest number.
    let power = select(exp4_(b * log4_(m)), m, b == one);
    let magnitude = select(power, one, m == one);
    let whole = floor(b) == b;
    let odd = whole & (floor(b * 0.5) * 2.0 != b);
    let bits = bitcast<vec4<u32>>(a);
    let negative = bits >> vec4<u32>(31u) == vec4<u32>(1u);
    let signed = select(magnitude, -magnitude, negative & odd);
    // A finite negative base has no powers with fractional exponents.
    let some = (bits - vec4<u32>(0x80000001u)) < vec4<u32>(0x7f7fffffu);
    let real = select(signed, vec4<f32>(quiet_nan_()), some & !whole);
    let nan = is_nan4_(a) | is_nan4_(b);
    let kept = select(real, vec4<f32>(quiet_nan_()), nan);
    return select(kept, one, (b == vec4<f32>(0.0)) | (a == one));
}

fn pow_(a: f32, b: f32) -> f32 {
    return pow4_(vec4<f32>(a), vec4<f32>(b)).x;
}
