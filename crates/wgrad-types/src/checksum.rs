//! A checksum for files of our own and for keys: not against an adversary.

/// FNV-1a, 64 bits wide.
#[derive(Clone, Copy, Debug)]
pub struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum {
    /// Checksum of bytes alone.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut sum = Self::default();
        sum.bytes(bytes);
        sum.sum()
    }

    /// Adds bytes and their number, so that neighbouring parts stay distinct.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes(bytes);
        self.number(bytes.len() as u64);
    }

    /// Adds a number.
    pub fn number(&mut self, n: u64) {
        self.bytes(&n.to_le_bytes());
    }

    /// The sum so far.
    pub fn sum(&self) -> u64 {
        self.0
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, &b| (sum ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_known_values() {
        assert_eq!(Checksum::of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Checksum::of(b"a"), 0xaf63_dc4c_8601_ec8c);
        let sum = |parts: &[&str]| {
            let mut sum = Checksum::default();
            parts.iter().for_each(|p| sum.add(p.as_bytes()));
            sum.sum()
        };
        assert_ne!(sum(&["ab", "c"]), sum(&["a", "bc"]));
    }
}
