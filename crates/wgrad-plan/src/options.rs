//! Options of planning.

use crate::{Choices, ParamLayout};

/// Options of [`plan`](crate::plan).
///
/// ```
/// use wgrad_plan::PlanOptions;
/// let options = PlanOptions::default().packed(true);
/// assert!(options.packed && options.layout.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct PlanOptions<'a> {
    /// Layout of the session's training plan, if it has one: persistent tensors are taken from there instead
    /// of being laid out anew.
    pub layout: Option<&'a ParamLayout>,
    /// Index of the variant each kernel takes: 0 is the default; a kernel with fewer takes its last.
    pub variant: usize,
    /// Index of the kernel that `variant` applies to; all if `None`. Other kernels take their default.
    pub only: Option<usize>,
    /// Tuned variants, in place of that index.
    pub choices: Option<&'a Choices>,
    /// Keep weights the graph does not update in packed layout on the CPU: faster, but doubles their memory.
    /// Adapters pack nothing.
    pub packed: bool,
}

impl<'a> PlanOptions<'a> {
    /// Sets the layout of persistent tensors.
    #[must_use]
    pub fn layout(self, layout: Option<&'a ParamLayout>) -> Self {
        Self { layout, ..self }
    }

    /// Sets the variant of kernels.
    #[must_use]
    pub fn variant(self, variant: usize) -> Self {
        Self { variant, ..self }
    }

    /// Limits `variant` to one kernel.
    #[must_use]
    pub fn only(self, only: Option<usize>) -> Self {
        Self { only, ..self }
    }

    /// Sets the tuned variants.
    #[must_use]
    pub fn choices(self, choices: &'a Choices) -> Self {
        Self { choices: Some(choices), ..self }
    }

    /// Turns the packed layout of weights on or off.
    #[must_use]
    pub fn packed(self, packed: bool) -> Self {
        Self { packed, ..self }
    }
}
