//! Ctrl-C, resuming bit for bit, and a full disk.
#![cfg(unix)]

use crate::fixture::{Place, files, said_no};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

const RUN: [&str; 14] = [
    "train",
    "--model",
    "linear",
    "--batch-size",
    "8",
    "--accumulate",
    "2",
    "--epochs",
    "3",
    "--device",
    "cpu",
    "--augment",
    "flip",
    "--json",
];

/// Starts a run and interrupts it with Ctrl-C after its first evaluation.
fn interrupted(place: &Place, out: &str) -> Output {
    stopped(place, out, "-INT")
}

/// The same with any signal.
fn stopped(place: &Place, out: &str, signal: &str) -> Output {
    let mut command = place.plain(&[&RUN[..], &[&format!("--out={out}")]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map(|line| line.expect("text"));
    assert!(lines.any(|line| line.contains("\"evaluation\"")), "an epoch ends");
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    assert!(
        lines.last().is_some_and(|end| end.contains("\"interrupted\":true")),
        "the run says how it ended"
    );
    child.wait_with_output().expect("the program ends")
}

#[test]
fn interrupted_run_resumes_bit_for_bit() {
    let place = Place::new();
    let output = interrupted(&place, "cut");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("interrupted at step "), "{stderr}");
    assert!(stderr.contains("continue with wgrad train --resume --out cut"), "{stderr}");
    place.refused(
        &["train", "--resume", "--out", "cut", "--lr", "0.1", "--seed", "1"],
        2,
        &["leave out --seed"],
    );
    let resumed = place.ok(&["train", "--resume", "--out", "cut", "--json"]);
    assert!(resumed.contains("\"interrupted\":false"), "{resumed}");
    place.ok(&[&RUN[..], &["--out", "whole"]].concat());
    for name in ["model.safetensors", "optimizer.safetensors"] {
        let read = |out: &str| fs::read(place.path(out).join("checkpoint").join(name)).expect("a checkpoint");
        assert!(read("cut") == read("whole"), "{name} differs");
    }
    let evaluations = fs::read_to_string(place.path("cut/metrics.jsonl")).expect("metrics");
    assert_eq!(evaluations.lines().count(), 3);
}

#[test]
fn sigterm_and_sighup_save_like_ctrl_c() {
    let place = Place::new();
    for signal in ["-TERM", "-HUP"] {
        let output = stopped(&place, signal, signal);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{signal}: {stderr}");
        let resumed = place.ok(&["train", "--resume", &format!("--out={signal}"), "--json"]);
        assert!(resumed.contains("\"interrupted\":false"), "{resumed}");
    }
}

#[test]
fn full_disk_keeps_the_previous_checkpoint() {
    let place = Place::new();
    interrupted(&place, "run");
    let before = files(&place.path("run"));
    // Files above 8 KiB are refused, as by a full disk.
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$WGRAD\" train --resume --out run";
    said_no(&place.bash(limited), 1, &["run/best", "free some space"]);
    assert_eq!(files(&place.path("run")), before);
    place.ok(&["train", "--resume", "--out", "run"]);
    // A failed new run leaves settings at most, and --resume starts it again.
    let fresh =
        "trap '' XFSZ; ulimit -f 8; exec \"$WGRAD\" train --model linear --steps 2 --device cpu --out new";
    said_no(&place.bash(fresh), 1, &["new/best"]);
    place.ok(&["train", "--resume", "--out", "new"]);
}
