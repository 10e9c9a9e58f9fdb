//! Decides if the folders of an image folder are splits or classes, by their names and contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::contents::Split;
use crate::error::DataError;
use crate::format;
use crate::listing::{entries, folders};

/// Names of splits; of two folders for one split the earlier name counts.
const NAMES: [(&str, Split); 15] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("trn", Split::Train),
    ("validation", Split::Validation),
    ("val", Split::Validation),
    ("valid", Split::Validation),
    ("validate", Split::Validation),
    ("dev", Split::Validation),
    ("development", Split::Validation),
    ("holdout", Split::Validation),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("tst", Split::Test),
    ("eval", Split::Test),
    ("evaluation", Split::Test),
];

/// Words beside the name of a split, as in `train_set`, `seg_test` and `ValImages`; longer ones before their
/// prefixes.
const FILLERS: [&str; 20] = [
    "datasets", "dataset", "data", "sets", "set", "images", "image", "imgs", "img", "pictures", "picture",
    "photos", "photo", "samples", "sample", "splits", "split", "folder", "seg", "cls",
];

/// Split named by a folder, as index into [`NAMES`].
fn rank(name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    let mut found = None;
    for word in lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()) {
        let known = |word: &str| NAMES.iter().position(|(name, _)| *name == word);
        let joined = || {
            let cut = |filler: &&str| known(word.strip_suffix(*filler)?);
            FILLERS.iter().find_map(cut)
        };
        match known(word).or_else(joined) {
            Some(_) if found.is_some() => return None,
            Some(at) => found = Some(at),
            None if FILLERS.contains(&word) => {}
            None => return None,
        }
    }
    found
}

/// Meaning of the folders of a folder.
#[derive(Debug)]
pub(crate) enum Layout {
    /// One class each.
    Classes,
    /// Splits, each with one folder per class.
    Splits {
        train: PathBuf,
        validation: Option<PathBuf>,
        test: Option<PathBuf>,
        /// Folders left out, with the reason.
        ignored: Vec<String>,
    },
}

/// Decides the meaning of the folders of `dir`.
///
/// # Errors
/// One line with the remedy if the meaning is unclear.
pub(crate) fn layout(dir: &Path) -> Result<Layout, DataError> {
    let names = folders(dir)?;
    // A folder called `train` without folders of its own is a class of trains.
    let mut holds = Vec::new();
    for name in &names {
        holds.push(folders(&dir.join(name))?);
    }
    let find = |split: Split, with_folders: bool| {
        let fits = |i: &usize| {
            rank(&names[*i]).is_some_and(|r| NAMES[r].1 == split) && !(with_folders && holds[*i].is_empty())
        };
        (0..names.len()).filter(fits).min_by_key(|&i| (rank(&names[i]), &names[i]))
    };
    let Some(train) = find(Split::Train, true) else {
        if !names.is_empty() && names.iter().all(|name| rank(name).is_some()) {
            let path = dir.to_owned();
            return Err(match (0..names.len()).find(|&i| !holds[i].is_empty()) {
                Some(i) => DataError::NoTrain { path, other: names[i].clone() },
                None => {
                    let first = names[find(Split::Train, false).unwrap_or(0)].clone();
                    DataError::FlatSplits { path, folders: list(names.iter().collect()), first }
                }
            });
        }
        return match question(dir, &names, &holds)? {
            Some(question) => Err(question),
            None => Ok(Layout::Classes),
        };
    };
    let (validation, test) = (find(Split::Validation, false), find(Split::Test, false));
    let mut ignored = Vec::new();
    for (_, name) in
        names.iter().enumerate().filter(|(i, _)| ![Some(train), validation, test].contains(&Some(*i)))
    {
        let path = dir.join(name);
        let taken = rank(name).map(|r| match NAMES[r].1 {
            Split::Train => train,
            Split::Validation => validation.unwrap_or(train),
            Split::Test => test.unwrap_or(train),
        });
        ignored.push(match taken {
            Some(other) => format!("{} is ignored: {} is taken for that split", path.display(), names[other]),
            None => format!("{} is ignored: it is no split folder", path.display()),
        });
    }
    let inside = |i: usize| inner(dir.join(&names[i]));
    Ok(Layout::Splits {
        train: inside(train)?,
        validation: validation.map(inside).transpose()?,
        test: test.map(inside).transpose()?,
        ignored,
    })
}

/// The split folder itself, or the one of its name within it, as in `seg_train/seg_train/CLASS`.
fn inner(dir: PathBuf) -> Result<PathBuf, DataError> {
    let split = |name: &str| rank(name).map(|r| NAMES[r].1);
    let names = folders(&dir)?;
    let own = dir.file_name().and_then(|name| name.to_str()).and_then(split);
    match &names[..] {
        [only] if own.is_some() && split(only) == own && !folders(&dir.join(only))?.is_empty() => {
            inner(dir.join(only))
        }
        _ => Ok(dir),
    }
}

/// Error for folders that look like splits but are not named so: all hold the same two or more folders, and
/// no images; or there is one folder, holding splits.
fn question(dir: &Path, names: &[String], holds: &[Vec<String>]) -> Result<Option<DataError>, DataError> {
    if let [only] = names {
        let inside = dir.join(only);
        let split = |name: &&String| rank(name).is_some_and(|r| NAMES[r].1 == Split::Train);
        if let Some(name) = holds[0].iter().find(split)
            && !folders(&inside.join(name))?.is_empty()
        {
            return Ok(Some(DataError::Inside { path: dir.to_owned(), inside }));
        }
        return nested(dir, names);
    }
    let sets: Vec<BTreeSet<&String>> = holds.iter().map(|all| all.iter().collect()).collect();
    let shared = sets.iter().skip(1).fold(sets.first().cloned().unwrap_or_default(), |a, b| &a & b);
    let all = sets.iter().fold(BTreeSet::new(), |a, b| &a | b);
    if shared.len() < 2 || shared.len() * 2 <= all.len() {
        return Ok(None);
    }
    for name in names {
        if has_images(&dir.join(name))? {
            return Ok(None);
        }
    }
    Ok(Some(DataError::Ambiguous {
        path: dir.to_owned(),
        folders: list(names.iter().collect()),
        shared: list(shared.into_iter().collect()),
    }))
}

/// Error if the only class of `dir` holds no images but two or more folders.
pub(crate) fn nested(dir: &Path, names: &[String]) -> Result<Option<DataError>, DataError> {
    let [only] = names else { return Ok(None) };
    let inside = folders(&dir.join(only))?;
    if inside.len() < 2 || has_images(&dir.join(only))? {
        return Ok(None);
    }
    let (path, class) = (dir.to_owned(), only.clone());
    Ok(Some(DataError::Nested { path, class, folders: list(inside.iter().collect()) }))
}

fn has_images(dir: &Path) -> Result<bool, DataError> {
    let is_image = |path: PathBuf| format::promises(path.extension().and_then(|e| e.to_str()));
    Ok(entries(dir)?.into_iter().any(|entry| is_image(entry.path())))
}

fn list(names: Vec<&String>) -> String {
    let shown = names.iter().take(4).map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    if names.len() > 4 { format!("{shown}, ..") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_names_in_usual_spellings_are_recognised() {
        let split = |name: &str| rank(name).map(|r| NAMES[r].1);
        for name in [
            "train",
            "Training",
            "TRAIN",
            "train_set",
            "train-images",
            "seg_train",
            "TrainData",
            "Train Set",
            "train2017",
            "01_train",
        ] {
            assert_eq!(split(name), Some(Split::Train), "{name}");
        }
        for name in ["val", "valid", "Validation", "dev", "val_images", "valset"] {
            assert_eq!(split(name), Some(Split::Validation), "{name}");
        }
        for name in ["test", "Testing", "TEST", "testset", "eval", "Evaluation"] {
            assert_eq!(split(name), Some(Split::Test), "{name}");
        }
        for name in ["trains", "training shoes", "train_test", "cat", "images", "", "2017", "validator"] {
            assert_eq!(split(name), None, "{name}");
        }
    }
}
