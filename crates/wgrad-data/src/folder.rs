//! Image folders: one folder per class, with or without split folders above them.
//!
//! Images are recognised by content. Other files, other formats and hidden files are counted and named in one
//! warning; an image with an unreadable header is named in a warning of its own, or refused if the options
//! are strict. Links to folders below a class are never followed, so cycles cannot trap the search.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::contents::{Source, SourceOptions};
use crate::dataset::SMALL_SIDE;
use crate::decode::{Header, Levels, head, probe};
use crate::error::DataError;
use crate::format::{self, Kind};
use crate::left_out::LeftOut;
use crate::listing::{entries, folders, is_passed};
use crate::parallel;
use crate::splits::{Layout, layout, nested};
use crate::subset::{Budget, CACHE_BYTES, Files, Store};

pub(crate) fn open(dir: &Path, options: &SourceOptions) -> Result<Source, DataError> {
    let mut reading = Reading {
        options,
        budget: Budget::new(CACHE_BYTES),
        headers: Vec::new(),
        deep: Vec::new(),
        warnings: Vec::new(),
        left_out: LeftOut::default(),
    };
    let (train_dir, validation_dir, test_dir) = match layout(dir)? {
        Layout::Classes => (dir.to_owned(), None, None),
        Layout::Splits { train, validation, test, ignored } => {
            reading.warnings.extend(ignored);
            reading.beside(dir)?;
            (train, validation, test)
        }
    };
    let classes = class_names(&train_dir)?;
    if let Some(question) = nested(&train_dir, &classes)? {
        return Err(question);
    }
    // A test of a competition has no labels.
    let (test_dir, flat) = match test_dir {
        Some(dir) if folders(&dir)?.is_empty() => (None, Some(dir)),
        test_dir => (test_dir, None),
    };
    reading.warnings.extend(flat.map(|dir| {
        format!("{0} is left out: it has no class folders; `Predictor` takes {0} as it is", dir.display())
    }));
    let mut other = |split_dir: Option<PathBuf>| -> Result<Option<Store>, DataError> {
        let Some(split_dir) = split_dir else { return Ok(None) };
        reading.warnings.extend(lacking_classes(&train_dir, &classes, &split_dir)?);
        reading.store(&split_dir, &classes).map(Some)
    };
    let (validation, test) = (other(validation_dir)?, other(test_dir)?);
    // Only training images decide the scaling of 16-bit samples.
    reading.deep.clear();
    let n_before = reading.headers.len();
    let train = reading.store(&train_dir, &classes)?;
    let deep: Vec<&Path> = reading.deep.iter().map(PathBuf::as_path).collect();
    let levels = options.levels.or_else(|| {
        let found = Levels::in_use(&deep)?;
        reading.warnings.push(found.summary(deep.len(), reading.headers.len() - n_before));
        Some(found)
    });
    let rule = format!("only {} are read", format::READ);
    reading.warnings.extend(reading.left_out.line(dir, &rule));
    Ok(Source {
        channels: if reading.headers.iter().all(|header| header.grey) { 1 } else { 3 },
        image_size: shared_size(&reading.headers),
        levels,
        classes,
        train,
        validation,
        test,
        warnings: reading.warnings,
    })
}

/// State gathered while the splits are read.
struct Reading<'a> {
    options: &'a SourceOptions,
    budget: Arc<Budget>,
    headers: Vec<Header>,
    /// Files with 16 bits per sample.
    deep: Vec<PathBuf>,
    warnings: Vec<String>,
    left_out: LeftOut,
}

impl Reading<'_> {
    /// Records the contents of `dir` beside its folders.
    fn beside(&mut self, dir: &Path) -> Result<(), DataError> {
        for entry in entries(dir)? {
            let path = entry.path();
            if !path.is_dir() || is_passed(&path) {
                self.left_out.add(&path);
            }
        }
        Ok(())
    }

    /// The readable images below `dir/CLASS`, class by class, each class sorted by path; classes without a
    /// folder have none.
    fn store(&mut self, dir: &Path, classes: &[String]) -> Result<Store, DataError> {
        self.beside(dir)?;
        let mut found = Vec::new();
        for (label, class) in classes.iter().enumerate() {
            let class_dir = dir.join(class);
            if !class_dir.is_dir() {
                continue;
            }
            let (mut paths, mut left_out) = (Vec::new(), LeftOut::default());
            collect(&class_dir, &mut paths, &mut left_out)?;
            paths.sort();
            let kinds = parallel::map(paths.len(), |i| kind(&paths[i]));
            let n_before = found.len();
            for (path, kind) in paths.into_iter().zip(kinds) {
                match kind {
                    Kind::Image => found.push((path, label)),
                    Kind::Foreign if self.options.strict => {
                        let why = format!("only {} are read", format::READ);
                        return Err(DataError::decode(&path, why));
                    }
                    Kind::Foreign | Kind::Other => left_out.add(&path),
                }
            }
            if found.len() == n_before {
                return Err(DataError::empty_class(class_dir, &left_out));
            }
            self.left_out.extend(left_out);
        }
        let headers = parallel::map(found.len(), |i| probe(&found[i].0));
        let mut files = Vec::new();
        let mut n_of_class = vec![0_usize; classes.len()];
        for ((path, label), header) in found.into_iter().zip(headers) {
            match header {
                Ok(header) => {
                    n_of_class[label] += 1;
                    if header.deep {
                        self.deep.push(path.clone());
                    }
                    self.headers.push(header);
                    files.push((path, label));
                }
                // Text may begin with the same bytes as an image.
                Err(_) if !format::promises(ending(&path)) && ending(&path).is_some() => {
                    self.left_out.add(&path);
                }
                Err(error) if self.options.strict => return Err(error),
                Err(error) => self.warnings.push(format!("skipped an image: {error}")),
            }
        }
        let empty = |&label: &usize| n_of_class[label] == 0 && dir.join(&classes[label]).is_dir();
        if let Some(label) = (0..classes.len()).find(empty) {
            return Err(DataError::empty_class(dir.join(&classes[label]), &LeftOut::default()));
        }
        Ok(Store::Files(Files::new(files, self.budget.clone())))
    }
}

fn class_names(dir: &Path) -> Result<Vec<String>, DataError> {
    let names = folders(dir)?;
    if names.is_empty() { Err(DataError::NoClasses { path: dir.to_owned() }) } else { Ok(names) }
}

/// Refuses classes of a split without training images; returns the classes the split lacks.
fn lacking_classes(train: &Path, classes: &[String], other: &Path) -> Result<Option<String>, DataError> {
    let others = class_names(other)?;
    if let Some(class) = others.iter().find(|class| !classes.contains(class)) {
        let (class, present, absent) = (class.clone(), other.to_owned(), train.to_owned());
        return Err(DataError::ClassMismatch { class, present, absent });
    }
    let lacking: Vec<&str> = classes.iter().filter(|c| !others.contains(c)).map(String::as_str).collect();
    let shown = lacking[..lacking.len().min(4)].join(", ");
    let more = if lacking.len() > 4 { ", .." } else { "" };
    let line =
        || format!("{} has no images of {} of the classes: {shown}{more}", other.display(), lacking.len());
    Ok((!lacking.is_empty()).then(line))
}

pub(crate) fn ending(path: &Path) -> Option<&str> {
    path.extension().and_then(|ending| ending.to_str())
}

/// Kind of a file; unreadable files are judged by their extension.
pub(crate) fn kind(path: &Path) -> Kind {
    format::kind(&head(path).unwrap_or_default(), ending(path))
}

/// Collects all files below `dir`; hidden ones and links to folders are left out.
fn collect(dir: &Path, paths: &mut Vec<PathBuf>, left_out: &mut LeftOut) -> Result<(), DataError> {
    for entry in entries(dir)? {
        let path = entry.path();
        if is_passed(&path) {
            left_out.add(&path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // The entry's own type, under which a link is no folder.
            collect(&path, paths, left_out)?;
        } else if path.is_file() {
            paths.push(path);
        } else {
            left_out.add(&path);
        }
    }
    Ok(())
}

/// Common size of a folder of small images, as CIFAR-10 unpacked to files.
fn shared_size(headers: &[Header]) -> Option<(usize, usize)> {
    let first = headers.first()?;
    let small = first.width.max(first.height) <= SMALL_SIDE;
    let same = headers.iter().all(|header| (header.width, header.height) == (first.width, first.height));
    (small && same).then_some((first.height, first.width))
}
