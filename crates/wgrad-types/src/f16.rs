//! IEEE half precision as a storage type: conversions on the host, and adapters' layout of two elements per
//! word.

use half::f16;
use half::slice::HalfFloatSliceExt as _;

/// The nearest f16's bits, ties to even; overflow becomes infinity.
pub fn f16_bits(value: f32) -> u16 {
    f16::from_f32(value).to_bits()
}

/// An f16's value.
pub fn f16_value(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Each element as the nearest f16.
pub fn round_f16(x: &[f32], out: &mut [f32]) {
    let mut some = [f16::ZERO; 64];
    for (x, out) in x.chunks(some.len()).zip(out.chunks_mut(64)) {
        let some = &mut some[..x.len()];
        some.convert_from_f32_slice(x);
        some.convert_to_f32_slice(out);
    }
}

/// f32 words as f16, two per word.
pub fn pack_f16(words: &[u32]) -> Vec<u32> {
    let bits = |w: &u32| u32::from(f16_bits(f32::from_bits(*w)));
    words.chunks(2).map(|pair| bits(&pair[0]) | pair.get(1).map_or(0, bits) << 16).collect()
}

/// The first `count` f16 of packed words as f32 words.
pub fn unpack_f16(words: &[u32], count: usize) -> Vec<u32> {
    let value = |i: usize| f16_value((words[i / 2] >> (16 * (i % 2))) as u16).to_bits();
    (0..count).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f16_round_trips_and_ties_go_to_even() {
        for bits in 0..=u16::MAX {
            let value = f16_value(bits);
            if value.is_nan() {
                assert!(bits & 0x7c00 == 0x7c00 && f16_value(f16_bits(value)).is_nan());
                continue;
            }
            assert_eq!(f16_bits(value), bits, "{value}");
            let next = f16_value(bits + 1);
            if next.is_finite() {
                // The middle of two neighbours is exact in f32.
                let middle = (value + next) / 2.0;
                let even = bits + (bits & 1);
                assert_eq!(f16_bits(middle), even, "{middle}");
                let beyond = f32::from_bits(middle.to_bits() + 1);
                assert_eq!(f16_bits(beyond), bits + 1, "{beyond}");
            }
        }
        for (value, want) in
            [(65504.0, 65504.0), (65519.9, 65504.0), (65520.0, f32::INFINITY), (1e30, f32::INFINITY)]
        {
            assert_eq!((f16_value(f16_bits(value)), f16_value(f16_bits(-value))), (want, -want));
        }
        assert_eq!((f16_value(1), f16_value(0x3c00), f16_bits(1e-9)), (2f32.powi(-24), 1.0, 0));
        let values: Vec<f32> = (0..200).map(|i| (i as f32 - 77.7).exp2() * 1.1).collect();
        let mut rounded = vec![0.0; values.len()];
        round_f16(&values, &mut rounded);
        assert!(values.iter().zip(rounded).all(|(&v, r)| r == f16_value(f16_bits(v))));
    }

    #[test]
    fn f16_pack_holds_two_per_word() {
        let words: Vec<u32> = [1.0f32, -2.5, 0.1].map(f32::to_bits).to_vec();
        let packed = pack_f16(&words);
        assert_eq!(packed.len(), 2);
        let back = unpack_f16(&packed, 3);
        assert_eq!(back[..2], words[..2]);
        assert!((f32::from_bits(back[2]) - 0.1).abs() < 1e-4);
    }
}
