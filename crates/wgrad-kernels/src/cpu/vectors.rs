//! Vector instructions of the CPU's kernels: the processor's widest, or narrower ones for tests of their
//! code.

use pulp::{Arch, WithSimd};
use std::sync::OnceLock;

static CHOSEN: OnceLock<Arch> = OnceLock::new();

fn chosen() -> Arch {
    *CHOSEN.get_or_init(Arch::new)
}

/// Runs code compiled for the chosen vectors.
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    chosen().dispatch(op)
}

/// Chooses vectors by name, before any kernel has run: `scalar` everywhere, `avx2` and `avx512` on x86-64, `neon` on AArch64.
/// Results of other vectors may differ in the last place, since sums are in another order.
///
/// # Errors
/// If the name is unknown here, the processor lacks them, or kernels run on others already.
pub fn choose_vectors(name: &str) -> Result<(), String> {
    let Some((_, found)) = known().into_iter().find(|k| k.0 == name) else {
        let names: Vec<&str> = known().into_iter().map(|k| k.0).collect();
        return Err(format!("may be {}", names.join(", ")));
    };
    let wanted = found.ok_or("is not what this processor has")?;
    let running = *CHOSEN.get_or_init(|| wanted);
    match std::mem::discriminant(&running) == std::mem::discriminant(&wanted) {
        true => Ok(()),
        false => Err("comes too late: kernels run on others already".to_owned()),
    }
}

fn known() -> Vec<(&'static str, Option<Arch>)> {
    vec![
        ("scalar", Some(Arch::Scalar)),
        #[cfg(target_arch = "x86_64")]
        ("avx2", pulp::x86::V3::try_new().map(Arch::V3)),
        #[cfg(target_arch = "x86_64")]
        ("avx512", pulp::x86::V4::try_new().map(Arch::V4)),
        #[cfg(target_arch = "aarch64")]
        ("neon", pulp::aarch64::Neon::try_new().map(Arch::Neon)),
    ]
}
