//! The CPU's kernels on narrower vectors than this processor's widest: a process of its own each, since vectors are chosen once.

use std::process::Command;

/// Runs the tests with `filter` in their names on these vectors. No name in this file may contain it.
fn on(vectors: &str, filter: &str) {
    let program = std::env::current_exe().expect("this program");
    let child = Command::new(program).arg(filter).env("WGRAD_VECTORS", vectors).output().expect("a child");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "on {vectors}: {said}{}", String::from_utf8_lossy(&child.stderr));
    assert!(!said.contains("running 0 tests"), "{filter} names no test");
}

#[test]
fn vectors_scalar_kernels_match_f64() {
    on("scalar", "golden::held");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn avx2_kernels_hold_twenty_seeds_to_f64() {
    on("avx2", "golden::held");
}
