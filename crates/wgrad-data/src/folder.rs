//! Image folders: one folder per class, with or without split folders above them.
//!
//! Hidden files and files without an image extension are passed over in silence; an image whose header does not
//! read is named in the warnings, or refused if the options are strict. Links to folders below a class are never
//! followed, so a cycle cannot trap the walk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::{Header, probe};
use crate::error::DataError;
use crate::parallel;
use crate::pipeline::SMALL_SIDE;
use crate::source::{Source, SourceOptions};
use crate::subset::{Budget, CACHE_BYTES, Files, Store};

const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "gif", "webp", "bmp"];
const VALIDATION: [&str; 3] = ["validation", "val", "valid"];

pub(crate) fn open(dir: &Path, options: &SourceOptions) -> Result<Source, DataError> {
    let mut reading =
        Reading { options, budget: Budget::new(CACHE_BYTES), headers: Vec::new(), warnings: Vec::new() };
    let subfolders = folders(dir)?;
    // A folder called `train` without folders of its own is a class of trains.
    let train_dir = dir.join("train");
    let is_split = subfolders.iter().any(|name| name == "train") && !folders(&train_dir)?.is_empty();
    if !is_split && let Some(other) = splits_alone(dir, &subfolders)? {
        return Err(DataError::NoTrain { path: dir.to_owned(), other });
    }
    let (classes, train, validation, test) = if is_split {
        let validation = VALIDATION.into_iter().find(|name| subfolders.iter().any(|have| have == name));
        let test = subfolders.iter().any(|name| name == "test").then_some("test");
        for name in &subfolders {
            if name != "train" && ![validation, test].contains(&Some(name)) {
                let path = dir.join(name);
                reading.warnings.push(format!("{} is ignored: it is no split folder", path.display()));
            }
        }
        let classes = class_names(&train_dir)?;
        let mut other = |name: Option<&str>| -> Result<Option<Store>, DataError> {
            let Some(split_dir) = name.map(|name| dir.join(name)) else { return Ok(None) };
            same_classes(&train_dir, &classes, &split_dir)?;
            reading.store(&split_dir, &classes).map(Some)
        };
        let (validation, test) = (other(validation)?, other(test)?);
        let train = reading.store(&train_dir, &classes)?;
        (classes, train, validation, test)
    } else {
        let classes = class_names(dir)?;
        let train = reading.store(dir, &classes)?;
        (classes, train, None, None)
    };
    Ok(Source {
        channels: if reading.headers.iter().all(|header| header.grey) { 1 } else { 3 },
        image_size: shared_size(&reading.headers),
        classes,
        train,
        validation,
        test,
        warnings: reading.warnings,
    })
}

/// A split where all there are are splits of classes, and none of them is for training.
fn splits_alone(dir: &Path, subfolders: &[String]) -> Result<Option<String>, DataError> {
    let is_split = |name: &String| name == "test" || VALIDATION.contains(&name.as_str());
    if subfolders.is_empty() || !subfolders.iter().all(is_split) {
        return Ok(None);
    }
    for name in subfolders {
        if folders(&dir.join(name))?.is_empty() {
            return Ok(None);
        }
    }
    Ok(subfolders.first().cloned())
}

/// What is learnt while the splits are read.
struct Reading<'a> {
    options: &'a SourceOptions,
    budget: Arc<Budget>,
    headers: Vec<Header>,
    warnings: Vec<String>,
}

impl Reading<'_> {
    /// The readable images below `dir/CLASS`, class by class, each class sorted by path.
    fn store(&mut self, dir: &Path, classes: &[String]) -> Result<Store, DataError> {
        let mut found = Vec::new();
        for (label, class) in classes.iter().enumerate() {
            let class_dir = dir.join(class);
            let mut paths = Vec::new();
            collect(&class_dir, &mut paths)?;
            if paths.is_empty() {
                return Err(DataError::EmptyClass { path: class_dir });
            }
            paths.sort();
            found.extend(paths.into_iter().map(|path| (path, label)));
        }
        let headers = parallel::map(found.len(), |i| probe(&found[i].0));
        let mut files = Vec::new();
        let mut n_of_class = vec![0_usize; classes.len()];
        for ((path, label), header) in found.into_iter().zip(headers) {
            match header {
                Ok(header) => {
                    n_of_class[label] += 1;
                    self.headers.push(header);
                    files.push((path, label));
                }
                Err(error) if self.options.strict => return Err(error),
                Err(error) => self.warnings.push(format!("skipped an image: {error}")),
            }
        }
        if let Some(label) = n_of_class.iter().position(|&n| n == 0) {
            return Err(DataError::EmptyClass { path: dir.join(&classes[label]) });
        }
        Ok(Store::Files(Files::new(files, self.budget.clone())))
    }
}

fn entries(dir: &Path) -> Result<Vec<std::fs::DirEntry>, DataError> {
    let io = |e| DataError::io(dir, e);
    let mut entries = std::fs::read_dir(dir).map_err(io)?.collect::<Result<Vec<_>, _>>().map_err(io)?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    Ok(entries)
}

/// The names of the folders in `dir`, sorted. A name that is no Unicode, or has control characters, could not be printed
/// or stored with a model.
fn folders(dir: &Path) -> Result<Vec<String>, DataError> {
    let name = |entry: std::fs::DirEntry| {
        let plain = entry.file_name().into_string().ok().filter(|n| !n.contains(char::is_control));
        plain.ok_or_else(|| DataError::ClassName { path: entry.path() })
    };
    let subfolders = entries(dir)?.into_iter().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = subfolders.map(name).collect::<Result<_, _>>()?;
    names.sort();
    Ok(names)
}

fn class_names(dir: &Path) -> Result<Vec<String>, DataError> {
    let names = folders(dir)?;
    if names.is_empty() { Err(DataError::NoClasses { path: dir.to_owned() }) } else { Ok(names) }
}

fn same_classes(train: &Path, classes: &[String], other: &Path) -> Result<(), DataError> {
    let others = class_names(other)?;
    let lacking = |from: &[String], wanted: &[String], present: &Path, absent: &Path| match wanted
        .iter()
        .find(|class| !from.contains(class))
    {
        None => Ok(()),
        Some(class) => Err(DataError::ClassMismatch {
            class: class.clone(),
            present: present.to_owned(),
            absent: absent.to_owned(),
        }),
    };
    lacking(&others, classes, train, other)?;
    lacking(classes, &others, other, train)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// All image files below `dir`.
fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<(), DataError> {
    for entry in entries(dir)? {
        let path = entry.path();
        // The entry's own type: a link to a folder is neither.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&path, paths)?;
        } else if is_image(&path) && path.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

/// The one size of a folder of small images, as CIFAR-10 unpacked to files.
fn shared_size(headers: &[Header]) -> Option<(usize, usize)> {
    let first = headers.first()?;
    let small = first.width.max(first.height) <= SMALL_SIDE;
    let same = headers.iter().all(|header| (header.width, header.height) == (first.width, first.height));
    (small && same).then_some((first.height, first.width))
}
