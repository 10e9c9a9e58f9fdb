//! Sums beside a product: the twin of the sums in an adapter's product launch. Plans for the CPU have none: a
//! separate reduction is as good there.

use super::Reads;
use crate::kernel::Sums;

/// One sum per element of `out`, in f64.
pub(super) fn run(spec: &Sums, reads: Reads<'_>, out: &mut [u32]) {
    let ([outer, kept, inner], x) = (spec.spans, reads.f32(spec.operand));
    for (k, out) in out.iter_mut().take(kept).enumerate() {
        let span = |o: usize| &x[(o * kept + k) * inner..][..inner];
        let sum: f64 = (0..outer).flat_map(span).map(|v| f64::from(*v)).sum();
        *out = (sum as f32).to_bits();
    }
}
