//! A spec such as `text:novel.txt` to tokens for training and validation.
//!
//! The end of the text is held out for validation. A byte order mark is dropped; UTF-16 and UTF-32 are named.
//! Nothing is downloaded.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::bpe::BytePairs;
use crate::error::DataError;
use crate::left_out::{LeftOut, is_hidden};
use crate::tokenizer::Tokenizer;

/// The name of the embedded text.
pub const EMBEDDED_TEXT: &str = "shakespeare-mini";

/// Default share of a text held out for validation.
pub const TEXT_VAL_SPLIT: f64 = 0.1;

/// True for specs of texts.
pub fn is_text(spec: &str) -> bool {
    spec == EMBEDDED_TEXT || spec.starts_with("text:")
}

/// An opened text.
#[derive(Debug, Clone)]
pub struct Text {
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Training tokens.
    pub train: Vec<i32>,
    /// Validation tokens: the text's end.
    pub validation: Vec<i32>,
    /// One line for each thing skipped.
    pub warnings: Vec<String>,
}

/// Opens `shakespeare-mini`, `text:FILE`, or `text:DIR` (all its .txt files, by name, joined). `tokenizer` is
/// `char`, `byte`, or a checkpoint's.
///
/// # Errors
/// One line of [`DataError`] with the remedy.
pub fn open_text(spec: &str, tokenizer: &TokenizerChoice, val_split: f64) -> Result<Text, DataError> {
    if !(val_split > 0.0 && val_split < 1.0) {
        return Err(DataError::invalid("`val_split`", val_split, "between 0 and 1, as in 0.1"));
    }
    let mut warnings = Vec::new();
    let any = matches!(tokenizer, TokenizerChoice::Byte | TokenizerChoice::Kept(Tokenizer::Bytes));
    let bytes = bytes(spec, any, &mut warnings)?;
    let (tokenizer, tokens) = match tokenizer {
        TokenizerChoice::Byte | TokenizerChoice::Kept(Tokenizer::Bytes) => {
            (Tokenizer::Bytes, bytes.iter().map(|&b| i32::from(b)).collect())
        }
        TokenizerChoice::Char => {
            let text = utf8(Path::new(spec), &bytes)?;
            let tokenizer = Tokenizer::chars_of(text);
            let tokens = tokenizer.encode(text)?;
            (tokenizer, tokens)
        }
        TokenizerChoice::Pairs(path) => {
            let tokenizer = Tokenizer::Pairs(BytePairs::read(path)?);
            let tokens = tokenizer.encode(utf8(Path::new(spec), &bytes)?)?;
            (tokenizer, tokens)
        }
        TokenizerChoice::Kept(kept) => (kept.clone(), kept.encode(utf8(Path::new(spec), &bytes)?)?),
    };
    let held_out = (tokens.len() as f64 * val_split).round() as usize;
    let (train, validation) = tokens.split_at(tokens.len() - held_out);
    Ok(Text { tokenizer, train: train.to_vec(), validation: validation.to_vec(), warnings })
}

/// The whole text of a spec, and one line for each thing skipped.
///
/// # Errors
/// As [`open_text`].
pub fn read_text(spec: &str) -> Result<(String, Vec<String>), DataError> {
    let mut warnings = Vec::new();
    let bytes = bytes(spec, false, &mut warnings)?;
    utf8(Path::new(spec), &bytes).map(|text| (text.to_owned(), warnings))
}

fn bytes(spec: &str, any: bool, warnings: &mut Vec<String>) -> Result<Vec<u8>, DataError> {
    match spec.strip_prefix("text:") {
        None if spec == EMBEDDED_TEXT => embedded(),
        Some(path) if !path.is_empty() => read(Path::new(path), any, warnings),
        _ => Err(DataError::UnknownSource { spec: spec.to_owned() }),
    }
}

/// Choice of the tokenizer for a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerChoice {
    /// The text's own characters.
    Char,
    /// Bytes.
    Byte,
    /// Byte pairs in a file written by `wgrad tokenize`.
    Pairs(PathBuf),
    /// One there is already.
    Kept(Tokenizer),
}

/// Form of a tokenizer's name, in words.
pub const TOKENIZERS: &str = "char, byte, or bpe:FILE written by `BytePairs::to_text`";

impl std::str::FromStr for TokenizerChoice {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        match name {
            "char" => Ok(Self::Char),
            "byte" => Ok(Self::Byte),
            other => match other.strip_prefix("bpe:") {
                Some(path) if !path.is_empty() => Ok(Self::Pairs(path.into())),
                _ => Err(DataError::invalid("tokenizer", format!("{other:?}"), TOKENIZERS)),
            },
        }
    }
}

fn utf8<'a>(path: &Path, bytes: &'a [u8]) -> Result<&'a str, DataError> {
    str::from_utf8(bytes).map_err(|e| DataError::NoText { path: path.to_owned(), at: e.valid_up_to() })
}

/// Byte order mark of UTF-8, written by some editors at a file's start; it is not part of the text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Name of an encoding of two or four bytes per character, by its mark or by the zero bytes of its Latin letters.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => return Some("UTF-16"),
        _ => {}
    }
    let (pairs, _) = bytes[..bytes.len().min(4096)].as_chunks::<2>();
    let zeros = |at: usize| pairs.iter().filter(|pair| pair[at] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let one_sided = first.min(second) == 0 && first.max(second) * 2 > pairs.len();
    (pairs.len() > 1 && one_sided).then_some("UTF-16")
}

fn embedded() -> Result<Vec<u8>, DataError> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&include_bytes!("../data/shakespeare.txt.gz")[..])
        .read_to_end(&mut text)
        .map_err(|e| DataError::io(Path::new(EMBEDDED_TEXT), e))?;
    Ok(text)
}

/// The bytes of one file: any, or those of UTF-8 text.
fn read_file(path: &Path, any: bool, warnings: &mut Vec<String>) -> Result<Vec<u8>, DataError> {
    let mut bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    if bytes.starts_with(MARK) {
        bytes.drain(..MARK.len());
    }
    match wide_encoding(&bytes) {
        Some(encoding) if any => {
            let shown = path.display();
            warnings.push(format!("{shown} is {encoding} text: its bytes are taken as they are"));
        }
        Some(encoding) => return Err(DataError::Encoding { path: path.to_owned(), encoding }),
        None if any => {}
        None => drop(utf8(path, &bytes)?),
    }
    Ok(bytes)
}

fn read(path: &Path, any: bool, warnings: &mut Vec<String>) -> Result<Vec<u8>, DataError> {
    if !path.exists() {
        let hint = "give the path of a text file, or of a folder with .txt files, after the colon";
        return Err(DataError::Missing { path: path.to_owned(), hint });
    }
    if !path.is_dir() {
        let bytes = read_file(path, any, warnings)?;
        return if bytes.is_empty() {
            Err(DataError::EmptyText { path: path.to_owned() })
        } else {
            Ok(bytes)
        };
    }
    let (mut files, mut left_out) = (Vec::new(), LeftOut::default());
    for entry in std::fs::read_dir(path).map_err(|e| DataError::io(path, e))? {
        let file = entry.map_err(|e| DataError::io(path, e))?.path();
        let is_text = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("txt"));
        if is_text && file.is_file() && !is_hidden(&file) {
            files.push(file);
        } else {
            left_out.add(&file);
        }
    }
    files.sort();
    if files.is_empty() {
        let hint = "put .txt files into the folder, or name one file";
        return Err(DataError::Missing { path: path.join("*.txt"), hint });
    }
    warnings.extend(left_out.line(path, "only .txt files of the folder itself are read"));
    let mut text = Vec::new();
    for file in files {
        let bytes = read_file(&file, any, warnings)?;
        if bytes.is_empty() {
            warnings.push(format!("{} is empty", file.display()));
        }
        text.extend(bytes);
        if text.last().is_some_and(|&b| b != b'\n') {
            text.push(b'\n');
        }
    }
    if text.is_empty() { Err(DataError::EmptyText { path: path.to_owned() }) } else { Ok(text) }
}
