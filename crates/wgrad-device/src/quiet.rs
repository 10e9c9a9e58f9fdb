//! Silences driver output of no interest to the user.

/// Mesa's device-selection layer prints an error per device to the terminal if there is no desktop session.
/// Adapters are sorted here anyway, so the layer stays off there (`NODEVICE_SELECT=1`).
///
/// [`crate::Device::open`] and [`crate::adapters`] do so by themselves if the program has a single thread,
/// since only then may its environment be written. A program that starts threads before it opens a device
/// calls this first in `main`, or is started with `NODEVICE_SELECT=1`. Returns true if the layer is off, or
/// there is a session.
#[expect(unsafe_code, reason = "the environment may only be written while there is one thread")]
pub fn quiet_drivers() -> bool {
    let is_set = |name| std::env::var_os(name).is_some();
    if !cfg!(target_os = "linux") || is_set("XDG_RUNTIME_DIR") || is_set("NODEVICE_SELECT") {
        return true;
    }
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if !matches!(threads, Ok(1)) {
        return false;
    }
    // SAFETY: the calling thread is the only one, and it starts no other before this returns.
    unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    true
}
