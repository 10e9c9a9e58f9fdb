//! Listings of folders, without what systems and programs leave there.

use std::path::Path;

use crate::error::DataError;
use crate::left_out::is_hidden;

/// Folders created by systems and programs; never classes.
const SYSTEM: [&str; 6] =
    ["__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"];

/// Everything in `dir`.
pub(crate) fn entries(dir: &Path) -> Result<Vec<std::fs::DirEntry>, DataError> {
    let io = |e| DataError::io(dir, e);
    std::fs::read_dir(dir).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)
}

/// True for files and folders of the operating system.
pub(crate) fn is_passed(path: &Path) -> bool {
    is_hidden(path) || (path.is_dir() && SYSTEM.iter().any(|name| path.ends_with(name)))
}

/// Names of the folders in `dir`, sorted. Names outside Unicode, or with control characters, are refused:
/// they could not be printed or stored with a model.
pub(crate) fn folders(dir: &Path) -> Result<Vec<String>, DataError> {
    let name = |entry: std::fs::DirEntry| {
        let plain = entry.file_name().into_string().ok().filter(|n| !n.contains(char::is_control));
        plain.ok_or_else(|| DataError::ClassName { path: entry.path() })
    };
    let is_folder = |entry: &std::fs::DirEntry| entry.path().is_dir() && !is_passed(&entry.path());
    let mut names: Vec<String> =
        entries(dir)?.into_iter().filter(is_folder).map(name).collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}
