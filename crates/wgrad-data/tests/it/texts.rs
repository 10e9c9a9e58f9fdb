//! Text sources: the embedded one, files, folders, and their errors.

use crate::write;
use wgrad_data::{EMBEDDED_TEXT, TokenizerChoice, is_text, open_text};

fn open(spec: &str, tokenizer: &TokenizerChoice, split: f64) -> Result<wgrad_data::Text, String> {
    open_text(spec, tokenizer, split).map_err(|e| e.to_string())
}

#[test]
fn text_embedded_is_present() {
    let text = open(EMBEDDED_TEXT, &TokenizerChoice::Char, 0.1).unwrap();
    let size = text.train.len() + text.validation.len();
    assert!((150_000..=200_000).contains(&size), "{size}");
    assert!((50..=70).contains(&text.tokenizer.vocabulary()));
    assert_eq!(text.validation.len(), (size as f64 * 0.1).round() as usize);
    let start: Vec<u8> = text.train[..14].iter().flat_map(|&t| text.tokenizer.bytes(t)).collect();
    assert_eq!(start, b"First Citizen:");
}

#[test]
fn text_folder_is_joined_by_name() {
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
    let left_out = "1 file left out: 1 .md (c.md); only .txt files of the folder itself are read";
    let [left, empty] = &text.warnings[..] else { panic!("{:?}", text.warnings) };
    assert!(left.ends_with(left_out) && empty.ends_with("d.txt is empty"), "{left}, {empty}");
    let one = open(&format!("{spec}/b.txt"), &TokenizerChoice::Char, 0.2).unwrap();
    assert_eq!((one.train.len(), one.validation.len()), (4, 1));
}

#[test]
fn text_errors_are_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let spec = |name: &str| format!("text:{}", dir.path().join(name).display());
    write(dir.path().join("latin1.txt"), b"na\xefve");
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let char = |name: &str| open(&spec(name), &TokenizerChoice::Char, 0.1).unwrap_err();
    assert!(char("none.txt").contains("none.txt does not exist; give the path of a text file"));
    assert!(char("latin1.txt").contains("not UTF-8 text from byte 2 on"));
    assert!(char("empty").contains("*.txt does not exist; put .txt files"));
    assert!(open("text:", &TokenizerChoice::Char, 0.1).unwrap_err().contains("text:FILE"));
    assert!(open(EMBEDDED_TEXT, &TokenizerChoice::Char, 1.0).unwrap_err().starts_with("`val_split` is 1;"));
    let kept = TokenizerChoice::Kept(wgrad_data::Tokenizer::chars_of("abc"));
    assert!(open(EMBEDDED_TEXT, &kept, 0.1).unwrap_err().contains("'F'"));
    assert!("bpe".parse::<TokenizerChoice>().unwrap_err().to_string().contains("char, byte, or bpe:FILE"));
}

#[test]
fn text_byte_order_mark_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path().join("texts/a.txt"), b"\xEF\xBB\xBFabcabcabc");
    write(dir.path().join("texts/b.txt"), b"\xEF\xBB\xBFdef");
    write(dir.path().join("texts/._a.txt"), b"\0\0resource fork");
    let spec = |name: &str| format!("text:{}", dir.path().join(name).display());
    let char = open(&spec("texts/a.txt"), &TokenizerChoice::Char, 0.2).unwrap();
    assert_eq!(char.tokenizer, wgrad_data::Tokenizer::chars_of("abc"));
    let bytes = open(&spec("texts"), &TokenizerChoice::Byte, 0.01).unwrap();
    let read: Vec<u8> = bytes.train.iter().map(|&t| t as u8).collect();
    assert_eq!(read, b"abcabcabc\ndef\n");
    assert!(bytes.warnings[0].contains("1 hidden (._a.txt)"), "{:?}", bytes.warnings);
    assert_eq!(wgrad_data::read_text(&spec("texts/b.txt")).unwrap().0, "def");
    let pairs = wgrad_data::BytePairs::train("abab abab", 257).unwrap();
    write(dir.path().join("pairs.txt"), format!("\u{feff}{}", pairs.to_text().replace('\n', "\r\n")));
    assert_eq!(wgrad_data::BytePairs::read(&dir.path().join("pairs.txt")).unwrap(), pairs);
}

#[test]
fn text_utf16_and_empty_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let spec = |name: &str| format!("text:{}", dir.path().join(name).display());
    let wide =
        |order: fn(u16) -> [u8; 2], text: &str| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let cases = [
        ("le.txt", wide(u16::to_le_bytes, "\u{feff}Hello"), "is UTF-16 text; save it as UTF-8"),
        ("be.txt", wide(u16::to_be_bytes, "\u{feff}Hello"), "is UTF-16 text"),
        ("unmarked.txt", wide(u16::to_le_bytes, "Hello there"), "is UTF-16 text"),
        (
            "quads.txt",
            "\u{feff}Hi".chars().flat_map(|c| (c as u32).to_le_bytes()).collect(),
            "is UTF-32 text",
        ),
        ("empty.txt", Vec::new(), "empty.txt is empty"),
        ("marked.txt", b"\xEF\xBB\xBF".to_vec(), "marked.txt is empty"),
    ];
    for (name, bytes, words) in cases {
        write(dir.path().join(name), bytes);
        let why = open(&spec(name), &TokenizerChoice::Char, 0.1).unwrap_err();
        assert!(why.contains(words) && why.contains(name) && !why.contains('\n'), "{name}: {why}");
    }
    let why = wgrad_data::read_text(&spec("le.txt")).unwrap_err().to_string();
    assert!(why.contains("is UTF-16 text"), "{why}");
    let bytes = open(&spec("le.txt"), &TokenizerChoice::Byte, 0.1).unwrap();
    assert!(bytes.warnings[0].contains("is UTF-16 text"), "{:?}", bytes.warnings);
    // A folder's wrong file is the one named.
    write(dir.path().join("both/a.txt"), "fine");
    write(dir.path().join("both/b.txt"), b"na\xefve");
    let why = open(&spec("both"), &TokenizerChoice::Char, 0.1).unwrap_err();
    assert!(why.contains("b.txt is not UTF-8 text from byte 2 on"), "{why}");
    write(dir.path().join("nothing/a.txt"), "");
    let why = open(&spec("nothing"), &TokenizerChoice::Char, 0.1).unwrap_err();
    assert!(why.contains("nothing is empty"), "{why}");
}
