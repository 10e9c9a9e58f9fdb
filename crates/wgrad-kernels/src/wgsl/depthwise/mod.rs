//! Depthwise convolutions, computed directly instead of as products of one row.
//!
//! A workgroup owns a channel, whose weights it holds in registers; an invocation owns a few neighbouring places of it at
//! a time and reads each element of the source once for all of them. The input's gradient is such a convolution too:
//! positions of a block starting at a multiple of the stride meet the same taps in every block, so none is tried in vain.

mod places;
mod weights;

use crate::kernel::{Core, Kernel};
use crate::launch::{Unsupported, Variant};
use crate::wgsl::block::Extents;
use wgrad_types::Caps;

/// Maximum number of unrolled taps.
const MAX_TAPS: usize = 25;

/// Direct variants of a kernel, if it is a depthwise convolution or one of its gradients.
pub(super) fn variants(kernel: &Kernel, caps: &Caps) -> Result<Vec<Variant>, Unsupported> {
    let shape = |i: usize| &kernel.operands[i].shape[..];
    let (spec, x, w, y) = match &kernel.core {
        Core::Conv2d(spec) => (spec, shape(0), shape(1), &kernel.shape[..]),
        Core::Conv2dInputGrad(spec) => (spec, &kernel.shape[..], shape(1), shape(0)),
        Core::Conv2dWeightGrad(spec) => (spec, shape(0), &kernel.shape[..], shape(1)),
        _ => return Ok(Vec::new()),
    };
    let depthwise = spec.groups > 1 && spec.groups == x[1] && w[0] == x[1] && kernel.sums.is_none();
    if !depthwise || w[2] * w[3] > MAX_TAPS || y[2] * y[3] == 0 {
        return Ok(Vec::new());
    }
    let plane = |of: &[usize]| [of[2], of[3]];
    let e = Extents {
        spec: *spec,
        images: x[0],
        channels: x[1],
        input: plane(x),
        output: plane(y),
        kernel: plane(w),
    };
    let variant = match &kernel.core {
        Core::Conv2dWeightGrad(_) => weights::variant(kernel, &e, caps)?,
        _ => places::variant(kernel, &e, caps)?,
    };
    Ok(variant.into_iter().collect())
}
