//! `cargo xtask words`: relative-clause words in comments, per crate and overall. Prints figures, holds no limit.
//!
//! Plain English names a thing by its noun: many of these words in 1,000 show sentences that describe a thing instead.
//! rust-analyzer and vello have 12 to 15.

use crate::tidy::{File, read_tree};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The counted words.
const RELATIVE: [&str; 5] = ["that", "which", "whose", "what", "where"];

/// Words of comments, and the relative ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    words: usize,
    relative: usize,
    what: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.words += other.words;
        self.relative += other.relative;
        self.what += other.what;
    }

    fn per_thousand(self, count: usize) -> f64 {
        1000.0 * count as f64 / self.words.max(1) as f64
    }
}

/// Prints the table.
pub(crate) fn run(root: &Path) -> Result<()> {
    print!("{}", table(&read_tree(root)?));
    Ok(())
}

/// One line per crate or folder, and one for all.
fn table(tree: &[File]) -> String {
    let mut folders: BTreeMap<String, Counts> = BTreeMap::new();
    let mut all = Counts::default();
    for file in tree.iter().filter(|file| file.path.ends_with(".rs") || file.path.ends_with(".wgsl")) {
        let found = count(&file.text);
        folders.entry(folder(&file.path)).or_default().add(found);
        all.add(found);
    }
    let mut text =
        format!("{:<24} {:>7} {:>10} {:>6}\n", "per 1,000 comment words", "words", "relative", "what");
    for (name, counts) in folders.iter().map(|(name, counts)| (name.as_str(), *counts)).chain([("all", all)])
    {
        let (relative, what) = (counts.per_thousand(counts.relative), counts.per_thousand(counts.what));
        let _ = writeln!(text, "{name:<24} {:>7} {relative:>10.1} {what:>6.1}", counts.words);
    }
    text
}

/// A crate's name, or the first folder of other paths.
fn folder(path: &str) -> String {
    let path = path.strip_prefix("crates/").unwrap_or(path);
    path.split('/').next().unwrap_or(path).to_owned()
}

/// Words in the comments of a text, found line by line.
fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for comment in text.lines().filter_map(comment) {
        let word = |c: char| !(c.is_ascii_alphabetic() || c == '\'');
        for word in comment.split(word).filter(|word| !word.is_empty()) {
            let word = word.to_ascii_lowercase();
            counts.words += 1;
            counts.relative += usize::from(RELATIVE.contains(&word.as_str()));
            counts.what += usize::from(word == "what");
        }
    }
    counts
}

/// The comment of a line: after `//` at the line's beginning or after white space.
fn comment(line: &str) -> Option<&str> {
    let begins = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    line.match_indices("//").find(|(at, _)| begins(*at)).map(|(at, _)| &line[at + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_comments_are_counted_and_code_is_not() {
        let text = "//! What is it?\nlet what = \"http://where\"; // the one that's left, whose\n/// which\n";
        assert_eq!(count(text), Counts { words: 9, relative: 3, what: 1 });
    }

    #[test]
    fn words_table_has_crates_and_total() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let table =
            table(&[file("crates/wgrad-nn/src/lib.rs", "// what that is\n"), file("tests/a.rs", "// a b\n")]);
        let lines: Vec<&str> = table.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "tests                          2        0.0    0.0",
                "wgrad-nn                       3      666.7  333.3",
                "all                            5      400.0  200.0",
            ]
        );
    }
}
