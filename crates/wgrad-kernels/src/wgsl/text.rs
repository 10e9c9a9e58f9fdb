//! Small pieces of WGSL text: exact literals, sums of products, decoded coordinates.
//!
//! Index arithmetic is in u32 and wraps, so negative strides and offsets are right wherever the sum is in range.

use wgrad_types::DType;

/// Exact f32 literal, bit for bit. Infinities become the largest finite number, as WGSL has no literals for them.
pub(super) fn f32_literal(value: f64) -> String {
    let v = (value as f32).clamp(f32::MIN, f32::MAX);
    if v.is_subnormal() {
        return format!("bitcast<f32>({}u)", v.to_bits());
    }
    if v.abs() > 3.4e38 {
        // The shortest decimal for the largest number lies above it, and front ends refuse it.
        return format!("{:?}f", f64::from(v));
    }
    format!("{v:?}f")
}

/// A constant of a dtype, as expressions compute with it (`bool` for truth values).
pub(super) fn literal(value: f64, dtype: DType) -> String {
    match dtype {
        DType::F32 | DType::F16 => f32_literal(value),
        // Written as a conversion, because the literal -2147483648i does not exist.
        DType::I32 => format!("i32({})", value as i32),
        DType::Bool => format!("{}", value != 0.0),
    }
}

/// `constant + sum of term * factor`, in u32; "0u" for nothing.
pub(super) fn affine<S: AsRef<str>>(terms: &[(S, i64)], constant: i64) -> String {
    let mut text = String::new();
    for (term, factor) in terms.iter().filter(|t| t.1 > 0) {
        let plus = if text.is_empty() { "" } else { " + " };
        text += &format!("{plus}{}{}", term.as_ref(), times(*factor));
    }
    let negative: Vec<_> = terms.iter().filter(|t| t.1 < 0).collect();
    if constant > 0 {
        let plus = if text.is_empty() { "" } else { " + " };
        text += &format!("{plus}{constant}u");
    } else if text.is_empty() {
        // Nothing to subtract from, or a constant alone: its two's complement.
        text = format!("{}u", constant as u32);
    } else if constant < 0 {
        text += &format!(" - {}u", -constant);
    }
    for (term, factor) in negative {
        text += &format!(" - {}{}", term.as_ref(), times(-*factor));
    }
    text
}

fn times(factor: i64) -> String {
    if factor == 1 { String::new() } else { format!(" * {factor}u") }
}

/// Coordinates of a row-major index, one expression an axis: `index / stride % extent`, both left out where they
/// change nothing. Axes not `needed` get "0u".
pub(super) fn decode(index: &str, shape: &[usize], needed: &[bool]) -> Vec<String> {
    let mut stride = 1;
    let mut out = vec!["0u".to_owned(); shape.len()];
    for d in (0..shape.len()).rev() {
        if needed[d] && shape[d] > 1 {
            let divided = if stride == 1 { index.to_owned() } else { format!("{index} / {stride}u") };
            let first = shape[..d].iter().all(|&n| n == 1);
            out[d] = if first { divided } else { format!("{divided} % {}u", shape[d]) };
        }
        stride *= shape[d];
    }
    out
}

/// Lines, each indented by `depth` levels.
pub(super) fn indented<S: AsRef<str>>(lines: &[S], depth: usize) -> String {
    lines.iter().map(|line| format!("{}{}\n", "    ".repeat(depth), line.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_keep_their_value() {
        for v in [0.1, 1e-38, 1.5e-45, f64::from(f32::MIN), 1e10, -0.0, 16_777_217.0] {
            let text = f32_literal(v);
            let back = match text.strip_prefix("bitcast<f32>(") {
                Some(bits) => f32::from_bits(bits.trim_end_matches("u)").parse().expect("a number")),
                None => text.trim_end_matches('f').parse().expect("a number"),
            };
            assert_eq!(back.to_bits(), (v as f32).to_bits(), "{text}");
        }
        assert_eq!(f32_literal(f64::INFINITY), "3.4028234663852886e38f");
        assert_eq!(literal(-2_147_483_648.0, DType::I32), "i32(-2147483648)");
        assert_eq!(literal(1.0, DType::Bool), "true");
    }

    #[test]
    fn sums_are_short() {
        assert_eq!(affine(&[("a", 1), ("b", 12), ("c", 0)], -3), "a + b * 12u - 3u");
        assert_eq!(affine(&[("a", -1)], 2), "2u - a");
        assert_eq!(affine(&[("a", -2)], 0), "0u - a * 2u");
        assert_eq!(affine::<&str>(&[], -1), "4294967295u");
        assert_eq!(
            decode("o", &[2, 1, 3, 4], &[true, true, true, false]),
            ["o / 12u", "0u", "o / 4u % 3u", "0u"]
        );
    }
}
