//! Byte-pair encoding (Sennrich et al., 2016) over bytes, like GPT-2's: every byte is a token, and frequent
//! pairs of neighbouring tokens become tokens, most frequent first.
//!
//! Words are split before merging, so no token spans two words: a run of letters, of digits or of other
//! signs, each with the blank before it, or white space. Nothing is ever unknown, and decoding gives back
//! every byte.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::error::DataError;

/// Bytes, the first tokens.
const BYTES: usize = 256;

/// First line of a file of merges.
const HEADER: &str = "wgrad byte pairs 1";

/// The largest vocabulary.
pub const MOST_TOKENS: usize = 1 << 20;

/// Merged pairs in creation order: the n-th makes token 256 + n.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BytePairs {
    pairs: Vec<(i32, i32)>,
    rank: HashMap<(i32, i32), i32>,
    /// Bytes of each token.
    bytes: Vec<Vec<u8>>,
}

impl BytePairs {
    /// Tokens of these merges.
    ///
    /// # Errors
    /// If a pair uses tokens created after it, or occurs twice.
    pub fn new(pairs: Vec<(i32, i32)>) -> Result<Self, DataError> {
        let mut all = Self {
            pairs: Vec::new(),
            rank: HashMap::new(),
            bytes: (0..=u8::MAX).map(|byte| vec![byte]).collect(),
        };
        for (n, pair) in pairs.into_iter().enumerate() {
            if !all.push(pair) {
                let why = format!("pair {} of tokens {} and {}", n + 1, pair.0, pair.1);
                return Err(DataError::invalid("`tokenizer`", why, "made of tokens before it, and new"));
            }
        }
        Ok(all)
    }

    /// Adds a pair as a token; false if the pair is invalid.
    fn push(&mut self, pair: (i32, i32)) -> bool {
        let part = |token: i32| usize::try_from(token).ok().and_then(|t| self.bytes.get(t));
        let Some(joined) = part(pair.0).zip(part(pair.1)).map(|(a, b)| [&a[..], b].concat()) else {
            return false;
        };
        let token = self.bytes.len() as i32;
        if self.rank.contains_key(&pair) {
            return false;
        }
        self.rank.insert(pair, token);
        self.pairs.push(pair);
        self.bytes.push(joined);
        true
    }

    /// Learns from a text until there are `vocabulary` tokens, or no pair of neighbours occurs twice. Among
    /// equally frequent pairs the one with lower numbers comes first, so the same text gives the same tokens.
    ///
    /// # Errors
    /// If `vocabulary` is not above 256, or above [`MOST_TOKENS`].
    pub fn train(text: &str, vocabulary: usize) -> Result<Self, DataError> {
        if !(BYTES + 1..=MOST_TOKENS).contains(&vocabulary) {
            let range = format!("from {} to {MOST_TOKENS}: 256 bytes and at least one pair", BYTES + 1);
            return Err(DataError::invalid("vocabulary", vocabulary, range));
        }
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        words(text).for_each(|word| *counts.entry(word).or_default() += 1);
        let mut words: Vec<(Vec<i32>, i64)> =
            counts.into_iter().map(|(word, n)| (word.bytes().map(i32::from).collect(), n)).collect();
        let mut pairs = Pairs::default();
        for (i, (tokens, n)) in words.iter().enumerate() {
            pairs.add(i, tokens, *n);
        }
        let mut all = Self::new(Vec::new())?;
        while all.bytes.len() < vocabulary {
            let Some(pair) = pairs.most() else { break };
            let token = all.bytes.len() as i32;
            if !all.push(pair) {
                break;
            }
            for i in pairs.words_with(pair) {
                let (tokens, n) = &mut words[i];
                pairs.add(i, tokens, -*n);
                join(tokens, pair, token);
                pairs.add(i, tokens, *n);
            }
        }
        Ok(all)
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        self.bytes.len()
    }

    /// The merges.
    pub fn pairs(&self) -> &[(i32, i32)] {
        &self.pairs
    }

    /// Bytes of a token; empty for an unknown number.
    pub fn bytes(&self, token: i32) -> &[u8] {
        usize::try_from(token).ok().and_then(|t| self.bytes.get(t)).map_or(&[], Vec::as_slice)
    }

    /// The tokens of a text.
    pub fn encode(&self, text: &str) -> Vec<i32> {
        let mut known: HashMap<&str, Vec<i32>> = HashMap::new();
        words(text).flat_map(|word| known.entry(word).or_insert_with(|| self.word(word)).clone()).collect()
    }

    /// Tokens of a word: among neighbouring pairs the earliest merge goes first.
    fn word(&self, word: &str) -> Vec<i32> {
        let mut tokens: Vec<i32> = word.bytes().map(i32::from).collect();
        loop {
            let made = tokens.windows(2).filter_map(|w| self.rank.get(&(w[0], w[1])));
            let Some(&token) = made.min() else { return tokens };
            join(&mut tokens, self.pairs[token as usize - BYTES], token);
        }
    }

    /// The merges as the text of a file.
    pub fn to_text(&self) -> String {
        let lines = self.pairs.iter().map(|(a, b)| format!("{a} {b}\n"));
        format!("{HEADER}\n{}", lines.collect::<String>())
    }

    /// The merges of a file made by [`BytePairs::to_text`].
    ///
    /// # Errors
    /// If the file is missing or is no file of merges.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        if !path.is_file() {
            let hint = "make it with `BytePairs::train`";
            return Err(DataError::Missing { path: path.to_owned(), hint });
        }
        let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, e))?;
        let wrong = |line: &str| {
            let value = format!("{}, line {line:?}", path.display());
            DataError::invalid("`tokenizer`", value, "a file of `BytePairs::to_text`")
        };
        let mut lines = unmarked(&text).lines();
        match lines.next() {
            Some(HEADER) => {}
            other => return Err(wrong(other.unwrap_or_default())),
        }
        let pair = |line: &str| {
            let (a, b) = line.split_once(' ')?;
            Some((a.parse().ok()?, b.parse().ok()?))
        };
        Self::new(lines.map(|line| pair(line).ok_or_else(|| wrong(line))).collect::<Result<_, _>>()?)
    }
}

/// Neighbours with how often they occur, and the words they were seen in.
#[derive(Default)]
struct Pairs(BTreeMap<(i32, i32), (i64, BTreeSet<usize>)>);

impl Pairs {
    /// Counts the neighbours in a word `n` times.
    fn add(&mut self, word: usize, tokens: &[i32], n: i64) {
        for w in tokens.windows(2) {
            let (count, words) = self.0.entry((w[0], w[1])).or_default();
            *count += n;
            if n > 0 {
                words.insert(word);
            }
        }
    }

    /// The most frequent pair, if one occurs twice.
    fn most(&self) -> Option<(i32, i32)> {
        let often = self.0.iter().filter(|(_, (count, _))| *count > 1);
        often.max_by(|a, b| a.1.0.cmp(&b.1.0).then(b.0.cmp(a.0))).map(|(pair, _)| *pair)
    }

    /// The words a pair may be in; it is none any more.
    fn words_with(&mut self, pair: (i32, i32)) -> BTreeSet<usize> {
        self.0.get_mut(&pair).map(|(_, words)| std::mem::take(words)).unwrap_or_default()
    }
}

/// Replaces a pair by its token, from the left.
fn join(tokens: &mut Vec<i32>, pair: (i32, i32), token: i32) {
    let (mut from, mut to) = (0, 0);
    while from < tokens.len() {
        let here = from + 1 < tokens.len() && (tokens[from], tokens[from + 1]) == pair;
        tokens[to] = if here { token } else { tokens[from] };
        from += 1 + usize::from(here);
        to += 1;
    }
    tokens.truncate(to);
}

/// Class of a character for word splitting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Letter,
    Digit,
    Sign,
    Space,
}

fn kind(c: char) -> Kind {
    match c {
        c if c.is_alphabetic() => Kind::Letter,
        c if c.is_numeric() => Kind::Digit,
        c if c.is_whitespace() => Kind::Space,
        _ => Kind::Sign,
    }
}

/// Words of a text; joined they give the text. A blank belongs to the word after it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let start = if first == ' ' { 1 } else { 0 };
        let lead = rest[start..].chars().next().map_or(Kind::Space, kind);
        let end = match lead {
            Kind::Space => spaces(rest),
            lead => start + rest[start..].find(|c| kind(c) != lead).unwrap_or(rest.len() - start),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// Length of leading white space, without the last blank if a word follows.
fn spaces(text: &str) -> usize {
    let end = text.find(|c| kind(c) != Kind::Space).unwrap_or(text.len());
    let blank = end < text.len() && end > 1 && text[..end].ends_with(' ');
    end - usize::from(blank)
}

/// A text without the byte order mark at its start.
pub(crate) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpe_words_keep_their_leading_blank() {
        let text = "I'm 42 years  old.\n\n  Naïve—雨 ";
        let all: Vec<&str> = words(text).collect();
        assert_eq!(
            all,
            ["I", "'", "m", " 42", " years", " ", " old", ".", "\n\n ", " Naïve", "—", "雨", " "]
        );
        assert_eq!(all.concat(), text);
    }

    #[test]
    fn bpe_merges_most_frequent_pair_first() {
        let pairs = BytePairs::train("hug pug pun bun hugs hug hug", 259).expect("in range");
        // "ug" occurs five times, then "hug" four times, three of them alone: " hug" comes next.
        let token = |n: i32| String::from_utf8_lossy(pairs.bytes(n)).into_owned();
        assert_eq!([256, 257, 258].map(token), ["ug", "hug", " hug"]);
        assert_eq!(pairs.encode("hugs"), [257, i32::from(b's')]);
        assert_eq!(pairs.encode(" hug hubug"), [258, 32, 104, 117, 98, 256]);
    }

    #[test]
    fn bpe_any_text_round_trips() {
        let pairs =
            BytePairs::train(&"the cat sat on the mat, the naïve cat\n".repeat(3), 300).expect("in range");
        assert!(pairs.vocabulary() > 270);
        for text in ["", "the cat", "雨 on\t\tthe  mat 123", "zzz\n"] {
            let tokens = pairs.encode(text);
            let bytes: Vec<u8> = tokens.iter().flat_map(|&t| pairs.bytes(t)).copied().collect();
            assert_eq!(bytes, text.as_bytes());
        }
        assert!(pairs.encode("the cat").len() <= 3);
        assert!(pairs.bytes(-1).is_empty() && pairs.bytes(10_000).is_empty());
    }

    #[test]
    fn bpe_overlapping_pair_is_counted_right() {
        // "aaaa" is two of "aa", merged into one "aaaa"; then nothing occurs twice within a word.
        let pairs = BytePairs::train("aaaa aaaa", 1000).expect("in range");
        let all: Vec<&[u8]> = (256..pairs.vocabulary() as i32).map(|t| pairs.bytes(t)).collect();
        assert_eq!(all, [&b"aa"[..], b"aaaa"]);
    }

    #[test]
    fn bpe_file_round_trips_and_wrong_file_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pairs.txt");
        let pairs = BytePairs::train(&"row, row, row your boat\n".repeat(5), 280).expect("in range");
        std::fs::write(&path, pairs.to_text()).expect("written");
        assert_eq!(BytePairs::read(&path).expect("its own file"), pairs);
        for (text, word) in [
            ("", "BytePairs"),
            ("{}", "BytePairs"),
            ("wgrad byte pairs 1\n1 2 3\n", "1 2 3"),
            ("wgrad byte pairs 1\n1 300\n", "300"),
            ("wgrad byte pairs 1\n1 2\n1 2\n", "pair 2"),
        ] {
            std::fs::write(&path, text).expect("written");
            let why = BytePairs::read(&path).expect_err("a wrong file").to_string();
            assert!(why.contains(word) && !why.contains('\n'), "{text:?}: {why}");
        }
        let why = BytePairs::read(&dir.path().join("none")).expect_err("no file").to_string();
        assert!(why.contains("none does not exist"), "{why}");
        for size in [0, 256, usize::MAX] {
            assert!(BytePairs::train("text", size).is_err(), "{size}");
        }
    }
}
