//! Errors from spec to batch, one line each: the problem, its place, and the remedy.
//!
//! Never used for a caller's bug inside the crate, and never formatted over more than one line.

use std::path::{Path, PathBuf};

use crate::left_out::LeftOut;

/// Everything this crate refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The spec names no source.
    #[error(
        "unknown data source {spec:?}{}; use fashion-mini, mnist:DIR, fashion-mnist:DIR, cifar10:DIR or folder:DIR for images, masks:DIR for images with masks, shakespeare-mini, text:FILE or text:DIR for text",
        absent(spec)
    )]
    UnknownSource {
        /// The spec as given.
        spec: String,
    },
    /// A required folder or file is missing.
    #[error("{} does not exist; {hint}", path.display())]
    Missing {
        /// The missing path.
        path: PathBuf,
        /// The remedy.
        hint: &'static str,
    },
    /// The operating system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: std::io::Error,
    },
    /// An idx or CIFAR file contradicts its format.
    #[error("{} is damaged: {problem}; download it again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A folder expected to hold one folder per class holds none.
    #[error(
        "{0} has no class folders; put the images of each class into a folder of its own, as in {0}/cat/1.jpg",
        path.display()
    )]
    NoClasses {
        /// The folder.
        path: PathBuf,
    },
    /// A class folder without a single readable image.
    #[error(
        "class folder {} holds no readable image{left_out}; add .jpg, .png, .gif, .webp or .bmp files or remove the folder",
        path.display()
    )]
    EmptyClass {
        /// The class folder.
        path: PathBuf,
        /// Its other contents, as ` (6 .tif left out)`.
        left_out: String,
    },
    /// Folders that may be splits or classes.
    #[error(
        "{}: {folders} hold the same folders ({shared}); if they are splits, call them train, val and test; if they are classes, put the images of each into one folder",
        path.display()
    )]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// Its folders.
        folders: String,
        /// Folders found in all of them.
        shared: String,
    },
    /// Splits one folder further down.
    #[error("{} holds splits one folder further down; give folder:{}", path.display(), inside.display())]
    Inside {
        /// The folder.
        path: PathBuf,
        /// The folder with the splits.
        inside: PathBuf,
    },
    /// Folders named like splits, all without classes.
    #[error(
        "{}: {folders} are named as splits and hold no class folders; put the images of each class into a folder of its own, as in {first}/cat/1.jpg, or rename them if they are classes",
        path.display()
    )]
    FlatSplits {
        /// The folder.
        path: PathBuf,
        /// Its folders.
        folders: String,
        /// The one to train on.
        first: String,
    },
    /// A single class, with folders that look like the classes.
    #[error(
        "{0} has one class folder, {class}, which holds {folders}; if these are the classes, move them up into {0}",
        path.display()
    )]
    Nested {
        /// The folder.
        path: PathBuf,
        /// Its only class.
        class: String,
        /// The folders in it.
        folders: String,
    },
    /// The splits of a folder disagree about the classes.
    #[error(
        "class {class:?} is in {} but not in {}; move it to train/ too, or remove it",
        present.display(), absent.display()
    )]
    ClassMismatch {
        /// The class found in one split only.
        class: String,
        /// The split folder with the class.
        present: PathBuf,
        /// The split folder without it.
        absent: PathBuf,
    },
    /// An undecodable image file.
    #[error("cannot decode {}: {problem}; save it again as jpg or png, or remove it", path.display())]
    Decode {
        /// The image file.
        path: PathBuf,
        /// The decoder's finding.
        problem: String,
    },
    /// A class folder with an unprintable name.
    #[error("class folder {}: the name is not printable text on one line; rename it", path.display())]
    ClassName {
        /// The folder.
        path: PathBuf,
    },
    /// Splits without images to train on.
    #[error("{} has {other}/ but no train/ with class folders; add it, or give a folder of classes", path.display())]
    NoTrain {
        /// The folder.
        path: PathBuf,
        /// The split found instead.
        other: String,
    },
    /// A mask of another size than its picture.
    #[error("mask {} is {mask}, its picture {picture}; make them the same size", path.display())]
    MaskSize {
        /// The mask's file.
        path: PathBuf,
        /// Its size.
        mask: String,
        /// The picture's.
        picture: String,
    },
    /// A mask with an invalid label.
    #[error("mask {}: {why}; fix or remove it", path.display())]
    Label {
        /// The mask's file.
        path: PathBuf,
        /// The problem.
        why: String,
    },
    /// An option or argument outside its range.
    #[error("{what} is {value}; it must be {expected}")]
    Invalid {
        /// The option.
        what: &'static str,
        /// The value given.
        value: String,
        /// The values allowed.
        expected: String,
    },
    /// A text that is not UTF-8.
    #[error("{} is not UTF-8 text from byte {at} on; convert it, or use `tokenizer` byte", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
        /// Position of the first wrong byte.
        at: usize,
    },
    /// A text of two or four bytes per character.
    #[error("{0} is {encoding} text; save it as UTF-8, as `iconv -f {encoding} -t UTF-8 {0}` does", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The encoding's name.
        encoding: &'static str,
    },
    /// A text without a character.
    #[error("{} is empty; give a text to read", path.display())]
    EmptyText {
        /// The file or folder.
        path: PathBuf,
    },
    /// A text with less than one batch in it.
    #[error(
        "the training text has {tokens} tokens and a batch needs {needed}; lower `batch_size` or `context`"
    )]
    ShortText {
        /// Tokens there are.
        tokens: usize,
        /// Tokens of a batch, plus one.
        needed: usize,
    },
    /// A character unknown to the tokenizer.
    #[error("the model does not know the character {character:?}; its training text has none")]
    UnknownCharacter {
        /// The character.
        character: char,
    },
    /// A worker panicked while building a batch.
    #[error("a loader worker panicked on batch {batch}: {message}; this is a bug in wgrad, please report it")]
    WorkerPanicked {
        /// The batch's number within its epoch.
        batch: usize,
        /// The panic's message.
        message: String,
    },
}

impl DataError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn empty_class(path: PathBuf, left_out: &LeftOut) -> Self {
        let counts = left_out.counts();
        let left_out = if counts.is_empty() { counts } else { format!(" ({counts} left out)") };
        Self::EmptyClass { path, left_out }
    }

    pub(crate) fn malformed(path: &Path, problem: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), problem: one_line(&problem.into()) }
    }

    pub(crate) fn decode(path: &Path, problem: impl ToString) -> Self {
        Self::Decode { path: path.to_owned(), problem: one_line(&problem.to_string()) }
    }

    pub(crate) fn invalid(what: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Invalid { what, value: value.to_string(), expected: expected.into() }
    }

    /// True for errors of one file: a run may go on without it.
    pub(crate) fn blames_one_file(&self) -> bool {
        matches!(self, Self::Decode { .. } | Self::Io { .. } | Self::MaskSize { .. })
    }
}

/// Another reading of a spec without a colon: a folder's name.
fn absent(spec: &str) -> &'static str {
    if spec.is_empty() || spec.contains(':') { "" } else { ", and no folder of that name is there" }
}

/// Decoders and panics may speak in paragraphs; a message here is one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a caught panic.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    one_line(text)
}
