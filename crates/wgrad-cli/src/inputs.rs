//! Input images of `wgrad predict`: files, folders, patterns, and lists on standard input.

use crate::output;
use anyhow::Result;
use std::collections::VecDeque;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use wgrad_train::{TrainError, is_picture};

/// Standard input, as an argument.
const STDIN: &str = "-";
/// Number of paths prefetched from a list.
const AHEAD: usize = 256;

/// An image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    /// Path relative to the given folder; the file's name if the file itself was given.
    pub(crate) below: PathBuf,
}

/// Images in the order of the arguments.
pub(crate) struct Inputs {
    ready: VecDeque<Input>,
    list: Option<Receiver<std::io::Result<String>>>,
}

fn wrong(why: String) -> TrainError {
    TrainError::Config { setting: "IMAGE".into(), why }
}

impl Inputs {
    /// # Errors
    /// If a folder cannot be read or has no images, or no file matches a pattern.
    pub(crate) fn new(arguments: &[PathBuf]) -> Result<Self> {
        let mut ready = VecDeque::new();
        for argument in arguments.iter().filter(|a| a.as_os_str() != STDIN) {
            let patterned = argument.to_str().filter(|a| a.contains(['*', '?', '[']) && !argument.exists());
            let Some(pattern) = patterned else {
                add(argument, &mut ready)?;
                continue;
            };
            let found =
                glob::glob(pattern).map_err(|e| wrong(format!("{pattern} is not a valid pattern: {e}")))?;
            let found: Vec<PathBuf> = found.collect::<Result<_, _>>()?;
            if found.is_empty() {
                return Err(wrong(format!("no file matches {pattern}")).into());
            }
            found.iter().try_for_each(|path| add(path, &mut ready))?;
        }
        let list = arguments.iter().any(|a| a.as_os_str() == STDIN).then(lines);
        Ok(Self { ready, list })
    }

    /// Number of images; `None` if a list on standard input makes it unknown.
    pub(crate) fn count(&self) -> Option<usize> {
        if self.list.is_some() { None } else { Some(self.ready.len()) }
    }

    /// Images known so far.
    pub(crate) fn known(&self) -> impl Iterator<Item = &Input> {
        self.ready.iter()
    }

    /// Next images, at most `most`: fewer if the list has no more yet, none at its end.
    pub(crate) fn next(&mut self, most: usize) -> Result<Vec<Input>> {
        while self.ready.len() < most
            && let Some(list) = &self.list
        {
            // Blocks only if there is nothing to do.
            let line = if self.ready.is_empty() { list.recv().ok() } else { list.try_recv().ok() };
            let Some(line) = line else {
                if self.ready.is_empty() {
                    self.list = None;
                }
                break;
            };
            let line = line?;
            let path = line.trim_end_matches(['\r', '\n']);
            if !path.is_empty() {
                add(Path::new(path), &mut self.ready)?;
            }
        }
        Ok(self.ready.drain(..most.min(self.ready.len())).collect())
    }
}

/// Lines of standard input, read on a thread of their own.
fn lines() -> Receiver<std::io::Result<String>> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            // The receiver is gone: the program is ending.
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Adds a file, or all images below a folder in order of their names.
fn add(path: &Path, to: &mut VecDeque<Input>) -> Result<()> {
    if !path.is_dir() {
        let below = path.file_name().map_or_else(|| path.into(), PathBuf::from);
        to.push_back(Input { path: path.into(), below });
        return Ok(());
    }
    let (mut found, mut others) = (Vec::new(), Vec::new());
    walk(path, &mut found, &mut others)?;
    if let Some(first) = others.first() {
        let n = others.len();
        let is = if n == 1 { "is not an image and was skipped" } else { "are not images and were skipped" };
        output::note(&format!(
            "note: {n} file{} of {} {is}, e.g. {}",
            if n == 1 { "" } else { "s" },
            path.display(),
            first.display()
        ));
    }
    if found.is_empty() {
        return Err(wrong(format!("{} contains no images", path.display())).into());
    }
    to.extend(found.into_iter().map(|file| {
        let below = file.strip_prefix(path).unwrap_or(&file).into();
        Input { path: file, below }
    }));
    Ok(())
}

/// Collects images and other files below a folder, hidden ones excluded. Links to folders are not followed.
fn walk(dir: &Path, images: &mut Vec<PathBuf>, others: &mut Vec<PathBuf>) -> Result<()> {
    let refused = |e: std::io::Error| wrong(format!("cannot read {}: {e}", dir.display()));
    let entries = std::fs::read_dir(dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut entries = entries.map_err(refused)?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, images, others)?;
        } else if path.is_file() {
            // An unreadable file counts as an image; its error is reported when it is decoded.
            if is_picture(&path).unwrap_or(true) { images.push(path) } else { others.push(path) }
        }
    }
    Ok(())
}
