//! Text sources: the embedded one, files, folders, and what is wrong with them.

use crate::write;
use wgrad_data::{EMBEDDED_TEXT, TokenizerChoice, is_text, open_text};

fn open(spec: &str, tokenizer: &TokenizerChoice, split: f64) -> Result<wgrad_data::Text, String> {
    open_text(spec, tokenizer, split).map_err(|e| e.to_string())
}

#[test]
fn the_embedded_text_is_there() {
    let text = open(EMBEDDED_TEXT, &TokenizerChoice::Char, 0.1).unwrap();
    let size = text.train.len() + text.validation.len();
    assert!((150_000..=200_000).contains(&size), "{size}");
    assert!((50..=70).contains(&text.tokenizer.vocabulary()));
    assert_eq!(text.validation.len(), (size as f64 * 0.1).round() as usize);
    let start: Vec<u8> = text.train[..14].iter().flat_map(|&t| text.tokenizer.bytes(t)).collect();
    assert_eq!(start, b"First Citizen:");
}

#[test]
fn folders_are_joined_by_name() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("b.txt"), "beta\n");
    write(dir.path().join("a.TXT"), "alpha");
    write(dir.path().join("c.md"), "no");
    write(dir.path().join("d.txt"), "");
    let spec = format!("text:{}", dir.path().display());
    assert!(is_text(&spec));
    let text = open(&spec, &TokenizerChoice::Byte, 0.01).unwrap();
    let bytes: Vec<u8> = text.train.iter().flat_map(|&t| text.tokenizer.bytes(t)).collect();
    assert_eq!(bytes, b"alpha\nbeta\n");
    assert!(text.warnings.len() == 1 && text.warnings[0].contains("d.txt is empty"), "{:?}", text.warnings);
    let one = open(&format!("{spec}/b.txt"), &TokenizerChoice::Char, 0.2).unwrap();
    assert_eq!((one.train.len(), one.validation.len()), (4, 1));
}

#[test]
fn what_is_wrong_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let spec = |name: &str| format!("text:{}", dir.path().join(name).display());
    write(dir.path().join("latin1.txt"), b"na\xefve");
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let char = |name: &str| open(&spec(name), &TokenizerChoice::Char, 0.1).unwrap_err();
    assert!(char("none.txt").contains("none.txt does not exist; give the path of a text file"));
    assert!(char("latin1.txt").contains("no UTF-8 text from byte 2 on"));
    assert!(char("empty").contains("*.txt does not exist; put .txt files"));
    assert!(open("text:", &TokenizerChoice::Char, 0.1).unwrap_err().contains("text:FILE"));
    assert!(open(EMBEDDED_TEXT, &TokenizerChoice::Char, 1.0).unwrap_err().starts_with("val_split is 1;"));
    let kept = TokenizerChoice::Kept(wgrad_data::Tokenizer::chars_of("abc"));
    assert!(open(EMBEDDED_TEXT, &kept, 0.1).unwrap_err().contains("'F'"));
    assert!("bpe".parse::<TokenizerChoice>().unwrap_err().to_string().contains("char, byte or bpe:FILE"));
}
