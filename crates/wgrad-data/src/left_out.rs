//! Files left out by a source: counted by kind, reported in one line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders named for one kind; of more than these only their number is told.
const MOST_FOLDERS: usize = 4;

/// True for hidden files and folders: their names start with a full stop, like macOS's `._` files and
/// `.DS_Store`.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Files left out, by kind.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    kinds: BTreeMap<String, Vec<PathBuf>>,
}

impl LeftOut {
    /// Records a file, folder or link.
    pub(crate) fn add(&mut self, path: &Path) {
        self.kinds.entry(kind(path)).or_default().push(path.to_owned());
    }

    /// Adds all records of `other`.
    pub(crate) fn extend(&mut self, other: Self) {
        for (kind, paths) in other.kinds {
            self.kinds.entry(kind).or_default().extend(paths);
        }
    }

    /// Kinds with their counts, as `6 .tif, 1 hidden`.
    pub(crate) fn counts(&self) -> String {
        let kinds = self.kinds.iter().map(|(kind, paths)| format!("{} {kind}", paths.len()));
        kinds.collect::<Vec<_>>().join(", ")
    }

    /// One line with the count, names and places below `root` of all left-out files, and the `rule` behind
    /// it; `None` if there are none.
    pub(crate) fn line(&self, root: &Path, rule: &str) -> Option<String> {
        let total: usize = self.kinds.values().map(Vec::len).sum();
        if total == 0 {
            return None;
        }
        let mut kinds: Vec<(&String, &Vec<PathBuf>)> = self.kinds.iter().collect();
        kinds.sort_by_key(|(_, paths)| std::cmp::Reverse(paths.len()));
        let kinds =
            kinds.iter().map(|(kind, paths)| format!("{} {kind} ({})", paths.len(), places(root, paths)));
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        let plural = if total == 1 { "" } else { "s" };
        Some(format!("{}: {total} file{plural} left out: {kinds}; {rule}", root.display()))
    }
}

/// Places of files of one kind: the single path, or folders with counts.
fn places(root: &Path, paths: &[PathBuf]) -> String {
    let below = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    if let [only] = paths {
        return below(only);
    }
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for path in paths {
        *folders.entry(path.parent().map(below).unwrap_or_default()).or_default() += 1;
    }
    let named = |(folder, n): (&String, &usize)| match folder.is_empty() {
        true => format!("{n} beside the folders"),
        false => format!("{folder} {n}"),
    };
    let shown: Vec<String> = folders.iter().take(MOST_FOLDERS).map(named).collect();
    let more = folders.len().saturating_sub(MOST_FOLDERS);
    let rest = if more == 0 { String::new() } else { format!(", {more} folders more") };
    format!("{}{rest}", shown.join(", "))
}

/// Name of a kind of file, by its extension.
fn kind(path: &Path) -> String {
    let is_link = path.is_symlink();
    match path.extension().and_then(|ending| ending.to_str()) {
        _ if is_hidden(path) => "hidden".into(),
        _ if path.is_dir() => if is_link { "link to a folder" } else { "folder" }.into(),
        _ if is_link && !path.exists() => "broken link".into(),
        _ if !path.is_file() => "no plain file".into(),
        Some(ending) => format!(".{}", ending.to_lowercase()),
        None => "without an ending".into(),
    }
}
