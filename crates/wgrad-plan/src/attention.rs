//! Merges attention kernels over the same scores: the result with its log-sum-exp, and the three gradients.

use crate::plan::Draft;
use wgrad_kernels::Core;
use wgrad_kernels::attention::Attention;

/// Moves an attention kernel into an earlier one if that can compute it too.
pub(crate) fn merge(drafts: &mut Vec<Draft>) {
    let mut i = 0;
    while i < drafts.len() {
        let found = (0..i).find(|&host| serves(&drafts[host], &drafts[i]));
        match found {
            Some(host) => {
                let guest = drafts.remove(i);
                join(&mut drafts[host], guest);
            }
            None => i += 1,
        }
    }
}

fn spec(draft: &Draft) -> Option<&Attention> {
    match &draft.kernel.core {
        Core::Attention(attention) => Some(attention),
        _ => None,
    }
}

/// True if the host reads all of the guest's operands in the same way. Log-sum-exp reads no values.
fn serves(host: &Draft, guest: &Draft) -> bool {
    let (Some(a), Some(b)) = (spec(host), spec(guest)) else { return false };
    let n = b.views.len();
    a.causal == b.causal
        && a.is_gradient() == b.is_gradient()
        && a.views.get(..n) == Some(&b.views[..])
        && host.operands.get(..n) == Some(&guest.operands[..])
        && !b.parts.iter().any(|p| a.parts.contains(p))
}

fn join(host: &mut Draft, guest: Draft) {
    host.outputs.extend(guest.outputs);
    host.kernel.outputs.extend(guest.kernel.outputs);
    host.kernel.in_place.extend(guest.kernel.in_place);
    if let (Core::Attention(a), Core::Attention(b)) = (&mut host.kernel.core, guest.kernel.core) {
        a.parts.extend(b.parts);
    }
}
