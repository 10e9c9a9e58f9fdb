//! Kernels damaged on purpose: the mistakes an examination must find, and their implementation.
//!
//! A mistake is made in a launch's text, in a kernel before its variants are written, in the gradient graph,
//! or in a plan's placement of values. None makes an index leave workgroup memory or a loop endless; accesses
//! beyond a buffer are caught by run-time checks, with which the device should be opened.

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
    /// Its name on the command line.
    pub name: &'static str,
    /// The mistake in words.
    pub what: &'static str,
    /// Its implementation.
    pub damage: Damage,
}

/// Implementation of a mistake. Each function returns false or `None` if there is nothing to damage.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// In the text of a launch.
    Text(fn(&Launch) -> Option<String>),
    /// In a kernel, before its variants are written.
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
                        // The damaged kernel's variants must fit the planned memory.
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
    fn break_names_are_unique_and_found() {
        let mut names: Vec<_> = all().map(|b| b.name).collect();
        assert!(names.iter().all(|n| named(n).is_some_and(|b| b.name == *n)));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), named("no such mistake").is_none()), (count, true));
    }
}
