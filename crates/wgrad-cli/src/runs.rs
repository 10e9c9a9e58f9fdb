//! Run folders: an unused name for a new run, the newest run to resume.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wgrad_train::TrainError;

/// Default parent of run folders, without `--out`.
const RUNS: &str = "runs";

/// Folder of a new run: `runs/<model>-<source>`, with a number if taken.
pub(crate) fn fresh(model: &str, data: &str) -> PathBuf {
    let name = format!("{model}-{}", source_name(data));
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    let mut folders = std::iter::once(name.clone()).chain(numbered).map(|name| Path::new(RUNS).join(name));
    folders.find(|folder| folder.symlink_metadata().is_err()).expect("there are more numbers than folders")
}

/// Name of a source: its folder or file for `folder:` and `text:`, else its kind.
fn source_name(spec: &str) -> String {
    let name = match spec.split_once(':') {
        Some((kind @ ("folder" | "text"), place)) => {
            let place = std::fs::canonicalize(place).unwrap_or_else(|_| place.into());
            let name = if kind == "text" { place.file_stem() } else { place.file_name() };
            name.map_or(kind.into(), |name| name.to_string_lossy().into_owned())
        }
        Some((kind, _)) => kind.to_owned(),
        None => spec.to_owned(),
    };
    let safe = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(safe).collect()
}

/// Most recently saved run.
pub(crate) fn newest() -> Result<PathBuf, TrainError> {
    let saved = |folder: &Path| -> Option<SystemTime> {
        let started = folder.join("config.toml").metadata().ok()?.modified().ok()?;
        let checkpoint = folder.join("checkpoint").metadata().and_then(|m| m.modified());
        Some(checkpoint.map_or(started, |at| at.max(started)))
    };
    let entries = std::fs::read_dir(RUNS).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = entries.filter_map(|folder| saved(&folder).map(|at| (at, folder))).max();
    newest.map(|found| found.1).ok_or_else(|| TrainError::Config {
        setting: "resume".into(),
        why: format!("there is no run in {RUNS}/: give the run's folder with --out"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_name_comes_from_its_folder_or_kind() {
        assert_eq!(source_name("fashion-mini"), "fashion-mini");
        assert_eq!(source_name("mnist:/data/x"), "mnist");
        assert_eq!(source_name("folder:/no/such/my photos/"), "my-photos");
        assert_eq!(source_name("folder:/"), "folder");
        assert_eq!(source_name("text:/no/such/novel.txt"), "novel");
    }
}
