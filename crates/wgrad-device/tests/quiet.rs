//! Opening a device prints nothing if there is no desktop session. A program of its own, since a test harness has threads.

use std::process::Command;
use wgrad_device::{adapters, quiet_drivers};

const CHILD: &str = "WGRAD_QUIET_CHILD";

fn main() {
    match std::env::var(CHILD).as_deref() {
        Ok("alone") => drop(adapters()),
        Ok(_) => {
            let (stop, wait) = std::sync::mpsc::channel::<()>();
            let other = std::thread::spawn(move || wait.recv());
            assert!(!quiet_drivers(), "with a second thread the environment is left alone");
            assert!(std::env::var_os("NODEVICE_SELECT").is_none());
            drop(stop);
            other.join().expect("a thread").expect_err("nothing was sent");
        }
        Err(_) => ["alone", "threads"].into_iter().for_each(child),
    }
}

fn child(kind: &str) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(CHILD, kind).env_remove("XDG_RUNTIME_DIR").env_remove("NODEVICE_SELECT");
    let out = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{kind}: {said}");
    assert!(!said.contains("XDG_RUNTIME_DIR"), "{kind}: {said}");
}
