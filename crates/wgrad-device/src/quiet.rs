//! What drivers print that is no concern of the user's, kept off.

/// Mesa's layer that sorts adapters prints an error per device to the terminal if there is no desktop session. Adapters are
/// sorted here anyway, so the layer stays off there (`NODEVICE_SELECT=1`).
///
/// [`crate::Device::open`] and [`crate::adapters`] do so by themselves if the program has a single thread, since only then may
/// its environment be written. A program that starts threads before it opens a device calls this first in `main`, or is started
/// with `NODEVICE_SELECT=1`. Gives whether the layer is off, or there is a session.
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

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = "WGRAD_QUIET_CHILD";

    /// Runs itself in a process of its own: with one test thread the test runs on the main thread.
    #[test]
    fn opening_a_device_prints_nothing_without_a_desktop_session() {
        if std::env::var_os(CHILD).is_some() {
            let adapters = crate::adapters();
            eprintln!("{} adapters, quiet {}", adapters.len(), quiet_drivers());
            return;
        }
        let mut command = std::process::Command::new(std::env::current_exe().expect("this program"));
        let test = "quiet::tests::opening_a_device_prints_nothing_without_a_desktop_session";
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
        command.env_remove("XDG_RUNTIME_DIR").env_remove("NODEVICE_SELECT");
        let out = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && said.contains("adapters, quiet true"), "{said}");
        assert!(!said.contains("XDG_RUNTIME_DIR"), "{said}");
    }
}
