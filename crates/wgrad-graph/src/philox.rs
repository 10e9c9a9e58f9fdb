//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based generator.
//!
//! Element `index` of stream `stream` at step `step` of seed `seed` is a pure function of those four numbers, so
//! every device draws the same bits in any order. The WGSL twin is `shaders/common/philox.wgsl`.

const M0: u32 = 0xD251_1F53;
const M1: u32 = 0xCD9E_8D57;
const W0: u32 = 0x9E37_79B9;
const W1: u32 = 0xBB67_AE85;

/// Ten rounds on a counter with a key.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let p0 = u64::from(M0) * u64::from(counter[0]);
        let p1 = u64::from(M1) * u64::from(counter[2]);
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
        key = [key[0].wrapping_add(W0), key[1].wrapping_add(W1)];
    }
    counter
}

/// Uniform in [0, 1) with 24 bits: word `index % 4` of the block with counter (index / 4, step, stream, 0).
pub fn uniform(seed: u32, step: u32, stream: u32, index: u32) -> f32 {
    let block = philox4x32([index / 4, step, stream, 0], [seed, 0]);
    to_unit(block[(index % 4) as usize])
}

/// The upper 24 bits of a word as a number in [0, 1).
pub fn to_unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_every_bit_of_its_address_matters() {
        let at = [0x0012_3456u32, 0x0089_abcd, 0x0000_0fed, 0x0076_5430];
        let draw = |[seed, step, stream, index]: [u32; 4]| -> Vec<f32> {
            (0..8).map(|i| uniform(seed, step, stream, index ^ i)).collect()
        };
        for word in 0..4 {
            // The lowest three bits of the index are covered by the draw itself.
            for bit in if word == 3 { 3 } else { 0 }..32 {
                let mut other = at;
                other[word] ^= 1 << bit;
                assert_ne!(draw(at), draw(other), "bit {bit} of word {word}");
            }
        }
    }

    /// Known-answer vectors of the authors' Random123 distribution (kat_vectors).
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(philox4x32([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }
}
