//! Kernel variants chosen by measurement in place of the default: plain data, so a plan stays a pure
//! function.

use std::collections::BTreeMap;
use wgrad_kernels::{Access, Buffer, Variant};
use wgrad_types::Checksum;

/// Maximum number of variants of a kernel that the tuner compares.
pub const MOST_VARIANTS: usize = 6;

/// The tuner's record: the chosen variant, by name, per kernel [`key`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(pub BTreeMap<u64, String>);

impl Choices {
    /// Index of the chosen variant; `None` if there is no choice or the chosen variant no longer exists.
    pub(crate) fn of(&self, variants: &[Variant]) -> Option<usize> {
        if self.0.is_empty() || variants.len() < 2 {
            return None;
        }
        let variant = self.0.get(&key(variants))?;
        variants.iter().take(MOST_VARIANTS).position(|c| c.name == *variant)
    }
}

/// Checksum of a kernel's variants: texts, grids, bindings, scratch. Texts hold operation family, shapes and
/// layouts as constants, so a different shape, layout, fusion or shader version gives a different key, and
/// the text verified under a key is exactly the text that runs.
pub fn key(variants: &[Variant]) -> u64 {
    let mut sum = Checksum::default();
    for variant in variants.iter().take(MOST_VARIANTS) {
        sum.add(variant.name.as_bytes());
        variant.scratch.iter().for_each(|&bytes| sum.number(bytes as u64));
        for launch in &variant.launches {
            sum.add(launch.source.as_bytes());
            launch.groups.iter().for_each(|&n| sum.number(n.into()));
            for binding in &launch.bindings {
                let (kind, at) = match binding.buffer {
                    Buffer::Operand(i) => (0, i),
                    Buffer::Output(i) => (1, i),
                    Buffer::Scratch(i) => (2, i),
                    Buffer::Scalars => (3, 0),
                };
                sum.number(kind << 32 | at as u64);
                sum.number(u64::from(binding.access == Access::Read));
            }
        }
    }
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_kernels::Launch;

    fn variant(name: &str, source: &str, groups: u32) -> Variant {
        let launch = Launch {
            name: name.into(),
            source: source.into(),
            bindings: vec![],
            groups: [groups, 1, 1],
            checked: false,
            traits: Vec::new(),
        };
        Variant { name: name.into(), launches: vec![launch], scratch: vec![] }
    }

    #[test]
    fn key_covers_texts_and_grids() {
        let both = |source: &str, groups| [variant("a", source, groups), variant("b", "f", 1)];
        let first = key(&both("x", 1));
        assert_eq!(first, key(&both("x", 1)));
        assert_ne!(first, key(&both("y", 1)));
        assert_ne!(first, key(&both("x", 2)));
    }

    #[test]
    fn choice_of_missing_variant_is_ignored() {
        let both = [variant("a", "x", 1), variant("b", "y", 1)];
        let choose = |variant: &str| Choices([(key(&both), variant.to_owned())].into()).of(&both);
        assert_eq!((choose("b"), choose("c")), (Some(1), None));
        assert_eq!(Choices::default().of(&both), None);
    }
}
