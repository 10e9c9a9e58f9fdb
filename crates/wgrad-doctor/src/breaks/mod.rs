//! Kernels damaged on purpose: each mistake that an examination must see, and how to make it.
//!
//! A mistake is made in a launch's text, in a step before its kernels are written, in the gradient graph, or in a plan's
//! placement of values. None makes an index leave workgroup memory or a loop endless; what may leave a buffer is caught by
//! the run-time checks a device should be opened with.

mod gradient;
mod kernel;
mod memory;
mod text;

use wgrad_graph::{Graph, Value};
use wgrad_kernels::{Kernel, Launch, variants};
use wgrad_plan::Plan;
use wgrad_types::Caps;

/// A mistake by name.
#[derive(Debug)]
pub struct Break {
    /// The kind of mistake it is an example of: barrier, index, edge, axis, large argument, ..
    pub kind: &'static str,
    /// What it is called on the command line.
    pub name: &'static str,
    /// The mistake in words.
    pub what: &'static str,
    /// How it is made.
    pub damage: Damage,
}

/// How a mistake is made. Each function says whether there was something to damage.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// In the text of a launch.
    Text(fn(&Launch) -> Option<String>),
    /// In a step, before its kernels are written.
    Kernel(fn(&mut Kernel) -> bool),
    /// In a graph, behind the loss it is given.
    Gradient(fn(&mut Graph, Value) -> bool),
    /// In a plan's memory.
    Memory(fn(&mut Plan) -> bool),
}

/// All mistakes.
pub fn all() -> impl Iterator<Item = &'static Break> {
    text::BREAKS.iter().chain(kernel::BREAKS).chain(gradient::BREAKS).chain(memory::BREAKS)
}

/// The mistake of this name.
pub fn named(name: &str) -> Option<&'static Break> {
    all().find(|b| b.name == name)
}

impl Break {
    /// Damages a plan's kernels; tells how many were.
    pub(crate) fn apply(&self, plan: &mut Plan, caps: &Caps) -> usize {
        let mut count = 0;
        match self.damage {
            Damage::Text(damage) => {
                for launch in plan.kernels.iter_mut().flat_map(|s| &mut s.variant.launches) {
                    if let Some(source) = damage(launch).filter(|s| **s != *launch.source) {
                        launch.source = source.into();
                        count += 1;
                    }
                }
            }
            Damage::Kernel(damage) => {
                for planned in &mut plan.kernels {
                    let mut kernel = planned.kernel.clone();
                    if !damage(&mut kernel) || kernel == planned.kernel {
                        continue;
                    }
                    if !planned.variant.launches.is_empty() {
                        // The damaged step's kernels must fit the memory that is planned.
                        let variants = variants(&kernel, caps).unwrap_or_default();
                        let alike = |c: &&wgrad_kernels::Variant| {
                            c.name == planned.variant.name && c.scratch == planned.variant.scratch
                        };
                        let Some(variant) = variants.iter().find(alike) else { continue };
                        planned.variant = variant.clone();
                    }
                    planned.kernel = kernel;
                    count += 1;
                }
            }
            Damage::Memory(damage) => count += usize::from(damage(plan)),
            Damage::Gradient(_) => {}
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let mut names: Vec<_> = all().map(|b| b.name).collect();
        assert!(names.iter().all(|n| named(n).is_some_and(|b| b.name == *n)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), named("no such mistake").is_none()), (count, true));
    }
}
