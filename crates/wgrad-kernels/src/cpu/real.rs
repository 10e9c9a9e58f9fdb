//! Real functions over vectors of f32, without branches or calls. Polynomials come from the Cephes library
//! (S. Moshier), erf's from XLA, exp's is our own; the tests below hold the error bounds, on this processor's
//! vectors and on scalars.

#![expect(clippy::excessive_precision, reason = "coefficients as published")]

use pulp::Simd;

/// A function of one variable.
pub(super) trait Real {
    /// Its values at a vector's elements.
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s;
}

/// 1.5 * 2^23: adding it rounds to an integer, held by the low bits.
const MAGIC: f32 = 12_582_912.0;

/// The polynomial with these coefficients, highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::f32s, c: [f32; N]) -> S::f32s {
    let mut p = s.splat_f32s(c[0]);
    for &c in &c[1..] {
        p = s.mul_add_e_f32s(p, x, s.splat_f32s(c));
    }
    p
}

/// `a * b + c` for a constant `b`.
#[inline(always)]
fn times_plus<S: Simd>(s: S, a: S::f32s, b: f32, c: S::f32s) -> S::f32s {
    s.mul_add_e_f32s(a, s.splat_f32s(b), c)
}

/// `a` with the sign of `b`, where `a` is not negative.
#[inline(always)]
fn with_sign<S: Simd>(s: S, a: S::f32s, b: S::f32s) -> S::f32s {
    s.or_f32s(a, s.and_f32s(b, s.splat_f32s(-0.0)))
}

/// `e^x` within 2 ulp; 0 for subnormal results. A minimax polynomial of degree 6.
pub(super) struct Exp;

impl Real for Exp {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        // The smallest and largest arguments with normal results.
        const LEAST: f32 = -87.336_54;
        const MOST: f32 = 88.722_83;
        let magic = s.splat_f32s(MAGIC);
        let t = times_plus(s, x, std::f32::consts::LOG2_E, magic);
        let n = s.sub_f32s(t, magic);
        let r = times_plus(s, n, -0.693_359_4, x);
        let r = times_plus(s, n, 2.121_944_4e-4, r);
        let y = polynomial(
            s,
            r,
            [1.381_454_1e-3, 8.368_747e-3, 4.166_839e-2, 1.666_652_1e-1, 4.999_999_4e-1, 1.0, 1.0],
        );
        // Times 2^n, by its exponent.
        let shift = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(t), s.splat_u32s(23));
        let y = s.transmute_f32s_u32s(s.add_u32s(s.transmute_u32s_f32s(y), shift));
        let beyond = s.add_f32s(x, s.splat_f32s(f32::INFINITY));
        let y = s.select_f32s(s.less_than_or_equal_f32s(x, s.splat_f32s(MOST)), y, beyond);
        s.select_f32s(s.less_than_f32s(x, s.splat_f32s(LEAST)), s.splat_f32s(0.0), y)
    }
}

/// Natural logarithm within 2 ulp.
pub(super) struct Log;

impl Real for Log {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        let zero = s.splat_f32s(0.0);
        let small = s.less_than_f32s(x, s.splat_f32s(f32::MIN_POSITIVE));
        let scaled = s.select_f32s(small, s.mul_f32s(x, s.splat_f32s(8_388_608.0)), x);
        // The mantissa in [sqrt(1/2), sqrt(2)) and its exponent.
        let shifted = s.add_u32s(s.transmute_u32s_f32s(scaled), s.splat_u32s(0x3f80_0000 - 0x3f35_04f3));
        let exponent = s.wrapping_dyn_shr_u32s(shifted, s.splat_u32s(23));
        // As the low bits of 2^23, subtracted afterwards.
        let e = s.transmute_f32s_u32s(s.or_u32s(exponent, s.splat_u32s(0x4b00_0000)));
        let bias = s.select_f32s(small, s.splat_f32s(8_388_608.0 + 150.0), s.splat_f32s(8_388_608.0 + 127.0));
        let e = s.sub_f32s(e, bias);
        let mantissa = s.add_u32s(s.and_u32s(shifted, s.splat_u32s(0x007f_ffff)), s.splat_u32s(0x3f35_04f3));
        let m = s.sub_f32s(s.transmute_f32s_u32s(mantissa), s.splat_f32s(1.0));
        let z = s.mul_f32s(m, m);
        let p = polynomial(
            s,
            m,
            [
                7.037_683_6e-2,
                -1.151_461e-1,
                1.167_699_9e-1,
                -1.242_014_1e-1,
                1.424_932_3e-1,
                -1.666_805_8e-1,
                2.000_071_5e-1,
                -2.499_999_4e-1,
                3.333_333_1e-1,
            ],
        );
        let y = s.mul_f32s(s.mul_f32s(p, m), z);
        let y = times_plus(s, e, -2.121_944_4e-4, y);
        let y = times_plus(s, z, -0.5, y);
        let y = times_plus(s, e, 0.693_359_4, s.add_f32s(m, y));
        let infinite = s.equal_f32s(x, s.splat_f32s(f32::INFINITY));
        let y = s.select_f32s(infinite, x, y);
        let y = s.select_f32s(s.equal_f32s(x, zero), s.splat_f32s(f32::NEG_INFINITY), y);
        s.select_f32s(s.greater_than_or_equal_f32s(x, zero), y, s.splat_f32s(f32::NAN))
    }
}

/// `log(1 + x)` within 3 ulp: the logarithm of the rounded 1 + x, corrected for the rest.
pub(super) struct Log1p;

impl Real for Log1p {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        let one = s.splat_f32s(1.0);
        let u = s.add_f32s(one, x);
        let y = Log::of(s, u);
        let corrected = s.mul_f32s(y, s.div_f32s(x, s.sub_f32s(u, one)));
        // Beyond the corrections' range they are 1, or infinity by infinity.
        let large = s.greater_than_f32s(s.abs_f32s(x), s.splat_f32s(1e7));
        let y = s.select_f32s(large, y, corrected);
        s.select_f32s(s.equal_f32s(u, one), x, y)
    }
}

/// `e^x - 1` within 3 ulp: Taylor's series near 0, to avoid cancellation.
pub(super) struct Expm1;

impl Real for Expm1 {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        let p = polynomial(
            s,
            x,
            [
                2.755_731_9e-6,
                2.480_158_7e-5,
                1.984_127e-4,
                1.388_888_9e-3,
                8.333_333e-3,
                4.166_666_7e-2,
                1.666_666_7e-1,
                0.5,
            ],
        );
        let near = s.mul_add_e_f32s(p, s.mul_f32s(x, x), x);
        let far = s.sub_f32s(Exp::of(s, x), s.splat_f32s(1.0));
        s.select_f32s(s.less_than_f32s(s.abs_f32s(x), s.splat_f32s(0.7)), near, far)
    }
}

/// Hyperbolic tangent within 2 ulp.
pub(super) struct Tanh;

impl Real for Tanh {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        let (a, z) = (s.abs_f32s(x), s.mul_f32s(x, x));
        let one = s.splat_f32s(1.0);
        let e = s.add_f32s(Exp::of(s, s.add_f32s(a, a)), one);
        let far = with_sign(s, s.sub_f32s(one, s.div_f32s(s.splat_f32s(2.0), e)), x);
        let p = polynomial(
            s,
            z,
            [-5.704_988_7e-3, 2.063_908_9e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328_2e-1],
        );
        let near = s.mul_add_e_f32s(s.mul_f32s(p, z), x, x);
        s.select_f32s(s.less_than_f32s(a, s.splat_f32s(0.625)), near, far)
    }
}

/// `1 / (1 + e^-x)` within 4 ulp; 0 for subnormal results.
pub(super) struct Sigmoid;

impl Real for Sigmoid {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        let one = s.splat_f32s(1.0);
        s.div_f32s(one, s.add_f32s(one, Exp::of(s, s.neg_f32s(x))))
    }
}

/// `log(1 + e^x)` within 4 ulp.
pub(super) struct Softplus;

impl Real for Softplus {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        let (zero, one) = (s.splat_f32s(0.0), s.splat_f32s(1.0));
        let t = Exp::of(s, s.neg_f32s(s.abs_f32s(x)));
        // log(1 + t), corrected for the rounding of 1 + t.
        let u = s.add_f32s(one, t);
        let corrected = s.mul_f32s(Log::of(s, u), s.div_f32s(t, s.sub_f32s(u, one)));
        let rest = s.select_f32s(s.equal_f32s(u, one), t, corrected);
        s.add_f32s(s.select_f32s(s.greater_than_f32s(x, zero), x, zero), rest)
    }
}

/// Error function within 6 ulp.
pub(super) struct Erf;

impl Real for Erf {
    #[inline(always)]
    fn of<S: Simd>(s: S, x: S::f32s) -> S::f32s {
        const END: f32 = 3.743_921_2;
        // Beyond the end it is 1, whatever the quotient.
        let z = s.mul_f32s(x, x);
        let p = polynomial(
            s,
            z,
            [2.290_506_6e-4, 3.408_291e-3, 5.095_569_5e-2, 1.852_083_2e-1, std::f32::consts::FRAC_2_SQRT_PI],
        );
        let q = polynomial(
            s,
            z,
            [
                -1.179_160_3e-7,
                2.354_796_6e-5,
                1.017_962_5e-3,
                1.407_047e-2,
                1.109_850_5e-1,
                4.974_692_5e-1,
                1.0,
            ],
        );
        let far = s.greater_than_f32s(s.abs_f32s(x), s.splat_f32s(END));
        s.select_f32s(far, with_sign(s, s.splat_f32s(1.0), x), s.div_f32s(s.mul_f32s(x, p), q))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::vectors::dispatch;
    use pulp::{Scalar, WithSimd};

    struct One<F>(f32, std::marker::PhantomData<F>);

    impl<F: Real> WithSimd for One<F> {
        type Output = f32;

        fn with_simd<S: Simd>(self, s: S) -> f32 {
            let mut out = [0.0];
            s.partial_store_f32s(&mut out, F::of(s, s.splat_f32s(self.0)));
            out[0]
        }
    }

    /// A value by this processor's vectors and one by scalars.
    type Both = [fn(f32) -> f32; 2];

    fn both<F: Real>() -> Both {
        let vector = |x: f32| dispatch(One::<F>(x, std::marker::PhantomData));
        [vector, |x| F::of(Scalar, x)]
    }

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
    fn real_functions_stay_within_error_bounds() {
        let sigmoid: fn(f64) -> f64 = |x| 1.0 / (1.0 + (-x).exp());
        for (name, f, exact, from, to, bound) in [
            ("exp", both::<Exp>(), f64::exp as fn(f64) -> f64, -87.336, 88.722, 2.0),
            ("log", both::<Log>(), f64::ln, 1e-6, 4.0, 2.0),
            ("log", both::<Log>(), f64::ln, 1.0, 1e30, 2.0),
            ("expm1", both::<Expm1>(), f64::exp_m1, -20.0, 20.0, 3.0),
            ("expm1", both::<Expm1>(), f64::exp_m1, -1e-3, 1e-3, 2.0),
            ("log1p", both::<Log1p>(), f64::ln_1p, -0.999, 40.0, 4.0),
            ("log1p", both::<Log1p>(), f64::ln_1p, -1e-3, 1e-3, 3.0),
            ("tanh", both::<Tanh>(), f64::tanh, -10.0, 10.0, 2.0),
            ("sigmoid", both::<Sigmoid>(), sigmoid, -80.0, 30.0, 4.0),
            ("softplus", both::<Softplus>(), softplus_f64, -80.0, 80.0, 4.0),
            ("erf", both::<Erf>(), libm::erf, -5.0, 5.0, 6.0),
        ] {
            for f in f {
                let error = worst(f, exact, from, to);
                assert!(error <= bound, "{name} on {from}..{to}: {error} ulp");
            }
        }
    }

    #[test]
    fn ends_of_the_line() {
        let inf = f32::INFINITY;
        let both = [
            both::<Exp>(),
            both::<Log>(),
            both::<Tanh>(),
            both::<Sigmoid>(),
            both::<Softplus>(),
            both::<Erf>(),
        ];
        for way in 0..2 {
            let [exp, log, tanh, sigmoid, softplus, erf] = both.map(|f| f[way]);
            assert_eq!([exp(inf), exp(-inf), exp(0.0), exp(200.0), exp(-200.0)], [inf, 0.0, 1.0, inf, 0.0]);
            assert_eq!([log(0.0), log(1.0), log(inf)], [-inf, 0.0, inf]);
            assert_eq!([tanh(inf), tanh(-inf), tanh(0.0), erf(inf), erf(-inf)], [1.0, -1.0, 0.0, 1.0, -1.0]);
            assert_eq!([sigmoid(inf), sigmoid(-inf), softplus(inf), softplus(-inf)], [1.0, 0.0, inf, 0.0]);
            assert!([exp, log, tanh, sigmoid, softplus, erf].iter().all(|f| f(f32::NAN).is_nan()));
            assert!(log(-1.0).is_nan());
            // Denormal arguments, and results at the ends of the normal numbers.
            let tiny = f32::from_bits(1);
            assert!((log(tiny) + 103.278_93).abs() < 1e-5, "{}", log(tiny));
            assert_eq!([exp(-87.336_55), exp(88.722_84)], [0.0, inf]);
            assert!(exp(-87.336_54) >= f32::MIN_POSITIVE && exp(88.722_83) < inf);
            // Also NaNs with their low bits set.
            assert!((0..23).all(|bit| exp(f32::from_bits(0x7fc0_0000 | 1 << bit)).is_nan()));
        }
    }

    #[test]
    fn ends_of_the_line_near_zero() {
        let inf = f32::INFINITY;
        for f in [both::<Expm1>(), both::<Log1p>()].concat() {
            assert!(f(f32::NAN).is_nan());
            assert_eq!([f(inf), f(-0.0).abs(), f(1e-30)], [inf, 0.0, 1e-30]);
        }
        assert_eq!(both::<Expm1>().map(|f| f(-inf)), [-1.0; 2]);
        assert_eq!(both::<Log1p>().map(|f| f(-1.0)), [-inf; 2]);
        assert!(both::<Log1p>().iter().all(|f| f(-1.5).is_nan() && f(-inf).is_nan()));
    }
}
