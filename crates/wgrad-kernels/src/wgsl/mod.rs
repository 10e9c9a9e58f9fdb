//! WGSL for every kernel: generated text around the shaders of `shaders/`, all figures constants of the text.
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
pub(crate) mod row_chain;
mod shader;
mod space;
mod statement;
#[cfg(test)]
mod tests;
mod text;
mod winograd;

use crate::kernel::{Core, Kernel};
use crate::launch::{Unsupported, Variant};
use space::Space;
use wgrad_types::{Caps, numel};

/// Variants of a kernel on an adapter, best guess first. The first is always valid on these capabilities.
pub fn variants(kernel: &Kernel, caps: &Caps) -> Result<Vec<Variant>, Unsupported> {
    if kernel.numel() == 0 {
        return Ok(vec![Variant { name: "nothing".to_owned(), launches: Vec::new(), scratch: Vec::new() }]);
    }
    if gemm::is_product(kernel) {
        return match gemm::variants(kernel, caps)? {
            Some(products) => {
                let mut variants = depthwise::variants(kernel, caps)?;
                variants.extend(products);
                if let Some((first, variant)) = winograd::variant(kernel, caps)? {
                    // If not first, among the few tuned variants.
                    variants.insert(if first { 0 } else { variants.len().min(2) }, variant);
                }
                Ok(variants)
            }
            None => map::variants(&constant::with_constant_acc(kernel, 0.0), caps),
        };
    }
    if let Core::Reduce { kind, axes, input_shape, prologue } = &kernel.core {
        if numel(input_shape) == 0 {
            return map::variants(&constant::with_constant_acc(kernel, kind.start()), caps);
        }
        return reduce::variants(kernel, *kind, &Space::new(prologue, input_shape, axes), caps);
    }
    if let Core::RowChain(chain) = &kernel.core {
        return row_chain::variants(kernel, chain, caps);
    }
    if let Core::Attention(spec) = &kernel.core {
        return attention::variants(kernel, spec, caps);
    }
    if let Core::Custom(op) = &kernel.core {
        return custom::variants(kernel, op.op(), caps);
    }
    match shader::variants(kernel, caps)? {
        Some(variants) => Ok(variants),
        None => map::variants(kernel, caps),
    }
}
