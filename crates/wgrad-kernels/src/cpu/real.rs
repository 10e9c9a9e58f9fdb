//! Real functions in f32 without branches or calls, so that a loop over them becomes vector code. Polynomials are those
//! of the Cephes library (S. Moshier), erf's that of XLA; the error bounds are held by the tests below.

#![expect(clippy::excessive_precision, reason = "coefficients as published")]

const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to a whole number

/// `a` where `c`, else `b`, both computed: a branch would keep the loop around it from becoming vector code.
#[inline(always)]
fn either(c: bool, a: f32, b: f32) -> f32 {
    let mask = u32::from(c).wrapping_neg();
    f32::from_bits(a.to_bits() & mask | b.to_bits() & !mask)
}

/// `e^x` within 2 ulp.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Beyond these the result is infinite or zero anyway. A NaN stays one.
    let x = either(x > 89.0, 89.0, x);
    let x = either(x < -104.0, -104.0, x);
    let t = x * std::f32::consts::LOG2_E + MAGIC;
    let n = t - MAGIC;
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5.000_000_1e-1;
    let y = p * r * r + r + 1.0;
    // 2^n in two factors, since n may be outside the exponents there are.
    let n = t.to_bits().wrapping_sub(MAGIC.to_bits()).cast_signed();
    let half = n >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) << 23).cast_unsigned());
    y * power(half) * power(n - half)
}

/// Natural logarithm within 2 ulp.
#[inline(always)]
pub(super) fn log(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let scaled = either(small, x * 8_388_608.0, x);
    let bits = scaled.to_bits();
    // The mantissa in [sqrt(1/2), sqrt(2)) and the exponent that goes with it.
    let shifted = bits.wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let e = ((shifted >> 23).cast_signed() - 127) as f32 - either(small, 23.0, 0.0);
    let m = f32::from_bits((shifted & 0x007f_ffff) + 0x3f35_04f3) - 1.0;
    let z = m * m;
    let p = 7.037_683_6e-2;
    let p = p * m - 1.151_461e-1;
    let p = p * m + 1.167_699_9e-1;
    let p = p * m - 1.242_014_1e-1;
    let p = p * m + 1.424_932_3e-1;
    let p = p * m - 1.666_805_8e-1;
    let p = p * m + 2.000_071_5e-1;
    let p = p * m - 2.499_999_4e-1;
    let p = p * m + 3.333_333_1e-1;
    let y = p * m * z + e * -2.121_944_4e-4 - 0.5 * z;
    let y = m + y + e * 0.693_359_4;
    let y = either(x == f32::INFINITY, x, y);
    let y = either(x == 0.0, f32::NEG_INFINITY, y);
    either(x >= 0.0, y, f32::NAN)
}

/// Hyperbolic tangent within 2 ulp.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let (a, z) = (x.abs(), x * x);
    let far = (1.0 - 2.0 / (exp(a + a) + 1.0)).copysign(x);
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_908_9e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328_2e-1;
    let near = p * z * x + x;
    either(a >= 0.625, far, near)
}

/// `1 / (1 + e^-x)` within 4 ulp; 0 where it would be below the normal numbers.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `log(1 + e^x)` within 4 ulp.
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let t = exp(-x.abs());
    // log(1 + t), corrected for what 1 + t rounds away.
    let u = 1.0 + t;
    let rest = either(u == 1.0, t, log(u) * (t / (u - 1.0)));
    either(x > 0.0, x, 0.0) + rest
}

/// Error function within 6 ulp.
#[inline(always)]
pub(super) fn erf(x: f32) -> f32 {
    const END: f32 = 3.743_921_2;
    let v = either(x > END, END, x);
    let v = either(v < -END, -END, v);
    let z = v * v;
    let p = 2.290_506_6e-4;
    let p = p * z + 3.408_291e-3;
    let p = p * z + 5.095_569_5e-2;
    let p = p * z + 1.852_083_2e-1;
    let p = p * z + std::f32::consts::FRAC_2_SQRT_PI;
    let q = -1.179_160_3e-7;
    let q = q * z + 2.354_796_6e-5;
    let q = q * z + 1.017_962_5e-3;
    let q = q * z + 1.407_047e-2;
    let q = q * z + 1.109_850_5e-1;
    let q = q * z + 4.974_692_5e-1;
    let q = q * z + 1.0;
    either(x.abs() > END, 1.0f32.copysign(x), v * p / q)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest error in units in the last place over a fine sweep of `from..to`.
    fn worst(f: fn(f32) -> f32, exact: fn(f64) -> f64, from: f32, to: f32) -> f64 {
        const STEPS: i32 = 400_000;
        (0..=STEPS).fold(0.0, |worst, i| {
            let x = from + (to - from) * (i as f32 / STEPS as f32);
            let want = exact(f64::from(x));
            let ulp = f64::from((want as f32).abs().next_up()) - f64::from((want as f32).abs());
            let error = (f64::from(f(x)) - want).abs() / ulp;
            assert!(!error.is_nan(), "at {x}: {} for {want}", f(x));
            f64::max(worst, error)
        })
    }

    fn softplus_f64(x: f64) -> f64 {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    #[test]
    fn errors_stay_within_their_bounds() {
        for (name, f, exact, from, to, bound) in [
            ("exp", exp as fn(f32) -> f32, f64::exp as fn(f64) -> f64, -87.0, 88.7, 2.0),
            ("log", log, f64::ln, 1e-6, 4.0, 2.0),
            ("log", log, f64::ln, 1.0, 1e30, 2.0),
            ("tanh", tanh, f64::tanh, -10.0, 10.0, 2.0),
            ("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 30.0, 4.0),
            ("softplus", softplus, softplus_f64, -80.0, 80.0, 4.0),
            ("erf", erf, libm::erf, -5.0, 5.0, 6.0),
        ] {
            let error = worst(f, exact, from, to);
            assert!(error <= bound, "{name} on {from}..{to}: {error} ulp");
        }
    }

    #[test]
    fn ends_of_the_line() {
        let inf = f32::INFINITY;
        assert_eq!([exp(inf), exp(-inf), exp(0.0), exp(200.0), exp(-200.0)], [inf, 0.0, 1.0, inf, 0.0]);
        assert_eq!([log(0.0), log(1.0), log(inf)], [-inf, 0.0, inf]);
        assert_eq!([tanh(inf), tanh(-inf), tanh(0.0), erf(inf), erf(-inf)], [1.0, -1.0, 0.0, 1.0, -1.0]);
        assert_eq!([sigmoid(inf), sigmoid(-inf), softplus(inf), softplus(-inf)], [1.0, 0.0, inf, 0.0]);
        assert!([exp, log, tanh, sigmoid, softplus, erf].iter().all(|f| f(f32::NAN).is_nan()));
        assert!(log(-1.0).is_nan());
        // Denormal arguments and results.
        let tiny = f32::from_bits(1);
        assert!((log(tiny) + 103.278_93).abs() < 1e-5, "{}", log(tiny));
        assert!((exp(-100.0) - 3.783e-44).abs() < 3e-45, "{}", exp(-100.0));
    }
}
