//! Temporary working folder, small data sets, and the checks common to all refusals.

use assert_cmd::Command;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Settings of the shortest useful run on [`Place::photos`].
pub(crate) const SHORT: [&str; 10] =
    ["train", "--model", "linear", "--steps", "3", "--batch-size", "8", "--device", "cpu", "--data"];

/// Temporary working folder of the program.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Program, isolated from this machine's settings.
    pub(crate) fn wgrad(&self, args: &[&str]) -> Command {
        Command::from_std(self.plain(args))
    }

    /// The same as a standard command, to spawn.
    pub(crate) fn plain(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wgrad"));
        command.args(args);
        self.shield(command)
    }

    /// Runs a shell script with the program as `$WGRAD`.
    pub(crate) fn bash(&self, script: &str) -> Output {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", script]).env("WGRAD", env!("CARGO_BIN_EXE_wgrad"));
        self.shield(command).output().expect("bash runs")
    }

    fn shield(&self, mut command: std::process::Command) -> std::process::Command {
        command.current_dir(self.0.path()).env("WGRAD_CACHE_DIR", "");
        command.env_remove("WGRAD_DEVICE").env_remove("WGRAD_LIMITS");
        // Mesa's layers write to standard error if a desktop session's folder is missing.
        command.env("NODEVICE_SELECT", "1").env("XDG_RUNTIME_DIR", self.0.path());
        command
    }

    /// Standard output of a call; the call must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.wgrad(args).output().expect("the program runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "wgrad {args:?} failed: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// JSON document printed by a call with `--json`.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(args)).expect("standard output is JSON")
    }

    /// Asserts a call to fail with `code` and one line containing all `words`; returns the line.
    pub(crate) fn refused(&self, args: &[&str], code: i32, words: &[&str]) -> String {
        let output = self.wgrad(args).output().expect("the program runs");
        said_no(&output, code, words)
    }

    /// Creates a folder of two classes, dark and light, with 8x8 training and test images.
    pub(crate) fn photos(&self) -> String {
        for (split, images) in [("train", 12), ("test", 5)] {
            for (class, base) in [("dark", 30), ("light", 200)] {
                let dir = self.path("photos").join(split).join(class);
                fs::create_dir_all(&dir).expect("a class folder");
                for i in 0..images {
                    picture(&dir.join(format!("{i}.png")), base + i);
                }
            }
        }
        "folder:photos".into()
    }

    /// Trains a short run on [`Place::photos`] in the folder `out`.
    pub(crate) fn trained(&self, out: &str) {
        let data = self.photos();
        self.ok(&[&SHORT[..], &[&data, "--out", out]].concat());
    }
}

/// Writes an 8x8 image of about one brightness, in the format of the file name.
pub(crate) fn picture(path: &Path, brightness: u8) {
    let pixel = |x, y| image::Rgb([brightness + (x + y) as u8, brightness, brightness + x as u8]);
    image::RgbImage::from_fn(8, 8, pixel).save(path).expect("a picture");
}

/// Asserts an exit with `code` and one line on standard error containing all `words`.
pub(crate) fn said_no(output: &Output, code: i32, words: &[&str]) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    let (errors, others): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|l| l.starts_with("error: "));
    assert_eq!(errors.len(), 1, "one line says why: {stderr}");
    assert!(others.iter().all(|l| l.starts_with("note: ")), "nothing else but notes: {stderr}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} is not in {stderr}");
    }
    assert!(!stderr.contains("internal error") && !stderr.contains("panicked"), "{stderr}");
    errors[0].into()
}

/// Contents of every file below a folder, by name.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            found.extend(files(&entry));
        } else {
            let bytes = fs::read(&entry).expect("a file");
            found.insert(entry, bytes);
        }
    }
    found
}
