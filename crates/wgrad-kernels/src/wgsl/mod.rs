//! WGSL. Stub.
use crate::{Candidate, Step, Unsupported};
use wgrad_types::Caps;

/// The ways to run a step on an adapter, best guess first.
pub fn candidates(_step: &Step, _caps: &Caps) -> Result<Vec<Candidate>, Unsupported> {
    Ok(Vec::new())
}
