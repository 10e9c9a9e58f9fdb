//! Kernel forms chosen by measurement in place of the first guess: plain data, so that a plan stays a pure function.

use std::collections::BTreeMap;
use wgrad_kernels::{Access, Buffer, Variant};
use wgrad_types::Checksum;

/// Candidates of a step that are compared at most.
pub const MOST_VARIANTS: usize = 6;

/// Which form a step takes, by the step's [`key`]; the form by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(pub BTreeMap<u64, String>);

impl Choices {
    /// The variant chosen, by its place; `None` where nothing was, or the form chosen is not among them.
    pub(crate) fn of(&self, variants: &[Variant]) -> Option<usize> {
        if self.0.is_empty() || variants.len() < 2 {
            return None;
        }
        let variant = self.0.get(&key(variants))?;
        variants.iter().take(MOST_VARIANTS).position(|c| c.name == *variant)
    }
}

/// A step as far as its kernels know it: a checksum over all they are made of. Texts hold family, shapes and layouts as
/// constants, so another shape, layout, fusion or version of a shader is another key, and a form measured and verified
/// under a key is the very text that runs.
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
    fn a_key_is_everything_a_kernel_is_made_of() {
        let both = |source: &str, groups| [variant("a", source, groups), variant("b", "f", 1)];
        let first = key(&both("x", 1));
        assert_eq!(first, key(&both("x", 1)));
        assert_ne!(first, key(&both("y", 1)));
        assert_ne!(first, key(&both("x", 2)));
    }

    #[test]
    fn a_form_that_is_gone_is_no_choice() {
        let both = [variant("a", "x", 1), variant("b", "y", 1)];
        let choose = |variant: &str| Choices([(key(&both), variant.to_owned())].into()).of(&both);
        assert_eq!((choose("b"), choose("c")), (Some(1), None));
        assert_eq!(Choices::default().of(&both), None);
    }
}
