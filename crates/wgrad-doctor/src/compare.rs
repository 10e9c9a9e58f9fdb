//! Distance between a result and its reference.

use wgrad_types::{Array, DType, HostTensor};

/// The distance of a tensor from its reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Distance {
    /// Largest difference of an element, in units in the last place of the f32 reference. Large if terms
    /// cancel, so it is reported but not judged.
    pub(crate) ulps: f64,
    /// Largest difference as a share of the reference's largest element.
    pub(crate) relative: f64,
    /// The element of the largest difference.
    pub(crate) at: usize,
}

/// Compares element by element. A NaN or infinity in place of a finite reference is infinitely far away.
pub(crate) fn distance(want: &Array, got: &HostTensor) -> Distance {
    let scale = want.data.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
    let got = got.to_array();
    let mut worst = Distance::default();
    if want.shape != got.shape {
        return Distance { ulps: f64::INFINITY, relative: f64::INFINITY, at: 0 };
    }
    for (at, (w, g)) in want.data.iter().zip(&got.data).enumerate() {
        let difference = match (w - g).abs() {
            _ if w == g => 0.0,
            d if d.is_nan() => f64::INFINITY,
            d => d,
        };
        worst.ulps = worst.ulps.max(difference / ulp(*w));
        if difference / scale > worst.relative {
            worst = Distance { relative: difference / scale, at, ..worst };
        }
    }
    worst
}

/// Like [`distance`], with each difference relative to its own element: the nearest of several references
/// counts, and NaN or an infinity equals only its like. Differences below `floor` are ignored.
pub(crate) fn each_distance(wanted: &[&Array], got: &HostTensor, floor: f64) -> Distance {
    let got = got.to_array();
    let mut worst = Distance::default();
    if wanted.iter().any(|want| want.shape != got.shape) {
        return Distance { ulps: f64::INFINITY, relative: f64::INFINITY, at: 0 };
    }
    for (at, g) in got.data.iter().enumerate() {
        let off = |want: &&Array| match (want.data[at], *g) {
            (w, g) if w == g || (w.is_nan() && g.is_nan()) => 0.0,
            (w, g) if w.is_finite() && g.is_finite() => {
                let difference = (w - g).abs();
                // Below the normal numbers there are no shares.
                if difference < TINY.max(floor) { 0.0 } else { difference / w.abs().max(TINY) }
            }
            _ => f64::INFINITY,
        };
        let relative = wanted.iter().map(off).fold(f64::INFINITY, f64::min);
        if relative > worst.relative {
            worst = Distance { ulps: relative / f64::from(f32::EPSILON), relative, at };
        }
    }
    worst
}

/// The smallest normal number.
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// The distance allowed: integers and truth values are exact.
pub(crate) fn allowed(tolerance: f64, dtype: DType) -> f64 {
    if dtype == DType::F32 { tolerance } else { 0.0 }
}

/// Distance between neighbouring f32 numbers at `v`.
fn ulp(v: f64) -> f64 {
    let v = (v.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
    f64::from(v) - f64::from(f32::from_bits(v.to_bits() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_in_ulps_and_relative() {
        let want = Array::new(&[3], vec![1.0, -4.0, 0.0]);
        let exact = distance(&want, &want.to_host(DType::F32));
        assert_eq!(exact, Distance::default());
        let off = HostTensor::f32(&[3], &[1.0, -4.000_002, 0.0]);
        let found = distance(&want, &off);
        assert_eq!(found.at, 1);
        assert!((found.relative - 4.77e-7).abs() < 1e-9, "{found:?}");
        assert!((7.0..9.0).contains(&found.ulps), "{found:?}");
    }

    #[test]
    fn distance_of_nan_is_infinite() {
        let want = Array::new(&[2], vec![1.0, 2.0]);
        for bad in [f32::NAN, f32::INFINITY] {
            let found = distance(&want, &HostTensor::f32(&[2], &[1.0, bad]));
            assert_eq!((found.relative, found.at), (f64::INFINITY, 1), "{bad}");
        }
        let shape = distance(&want, &HostTensor::f32(&[1], &[1.0]));
        assert_eq!(shape.relative, f64::INFINITY);
    }
}
