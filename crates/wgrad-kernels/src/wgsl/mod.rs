//! WGSL for every step: generated text around the shaders of `shaders/`, all figures constants of the text.
//!
//! Modules run without runtime checks, so every index is in range by construction: views are affine over known
//! extents, masks and edges choose element 0 or the last one instead. No float atomics, no barrier in non-uniform
//! control flow, sums always in one order. This folder builds text; it never talks to a device.

mod attention;
mod block;
mod constant;
mod custom;
mod depthwise;
mod epilogue;
mod expr;
mod gemm;
mod guards;
mod map;
mod module;
mod reduce;
mod shader;
mod space;
#[cfg(test)]
mod tests;
mod text;
mod winograd;

use crate::launch::{Candidate, Unsupported};
use crate::step::{Core, Step};
use space::Space;
use wgrad_types::{Caps, numel};

/// The ways to run a step on an adapter, best guess first. The first is always valid on these capabilities.
pub fn candidates(step: &Step, caps: &Caps) -> Result<Vec<Candidate>, Unsupported> {
    if step.numel() == 0 {
        return Ok(vec![Candidate { name: "nothing".to_owned(), launches: Vec::new(), scratch: Vec::new() }]);
    }
    if gemm::is_product(step) {
        return match gemm::candidates(step, caps)? {
            Some(products) => {
                let mut forms = depthwise::candidates(step, caps)?;
                forms.extend(products);
                if let Some((first, form)) = winograd::candidate(step, caps)? {
                    // Where not first, among the few that are tuned.
                    forms.insert(if first { 0 } else { forms.len().min(2) }, form);
                }
                Ok(forms)
            }
            None => map::candidates(&constant::with_constant_acc(step, 0.0), caps),
        };
    }
    if let Core::Reduce { kind, axes, input_shape, prologue } = &step.core {
        if numel(input_shape) == 0 {
            return map::candidates(&constant::with_constant_acc(step, kind.start()), caps);
        }
        return reduce::candidates(step, *kind, &Space::new(prologue, input_shape, axes), caps);
    }
    if let Core::Attention(spec) = &step.core {
        return attention::candidates(step, spec, caps);
    }
    if let Core::Custom(op) = &step.core {
        return custom::candidates(step, op.op(), caps);
    }
    match shader::candidates(step, caps)? {
        Some(forms) => Ok(forms),
        None => map::candidates(step, caps),
    }
}
