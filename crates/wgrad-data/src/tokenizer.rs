//! Text to token numbers and back: by character, by byte, by pairs of bytes.
//!
//! A tokenizer is a pure value: a checkpoint keeps its characters or pairs and builds the same one again.

use crate::bpe::BytePairs;
use crate::error::DataError;

/// From text to tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokenizer {
    /// One token per byte.
    Bytes,
    /// One token per character, ascending.
    Chars(Vec<char>),
    /// Bytes, and pairs of tokens learned from a text.
    Pairs(BytePairs),
}

impl Tokenizer {
    /// The characters of a text.
    pub fn chars_of(text: &str) -> Self {
        let mut chars: Vec<char> = text.chars().collect();
        chars.sort_unstable();
        chars.dedup();
        Self::Chars(chars)
    }

    /// Number of tokens.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Bytes => 256,
            Self::Chars(chars) => chars.len(),
            Self::Pairs(pairs) => pairs.vocabulary(),
        }
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// If a character is not among the tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>, DataError> {
        match self {
            Self::Bytes => Ok(text.bytes().map(i32::from).collect()),
            Self::Chars(chars) => {
                let number = |c: char| match chars.binary_search(&c) {
                    Ok(i) => Ok(i as i32),
                    Err(_) => Err(DataError::UnknownCharacter { character: c }),
                };
                text.chars().map(number).collect()
            }
            Self::Pairs(pairs) => Ok(pairs.encode(text)),
        }
    }

    /// Bytes of a token; empty for an unknown number.
    pub fn bytes(&self, token: i32) -> Vec<u8> {
        match self {
            Self::Bytes => u8::try_from(token).into_iter().collect(),
            Self::Chars(chars) => {
                let found = usize::try_from(token).ok().and_then(|i| chars.get(i));
                found.map_or_else(Vec::new, |c| c.to_string().into_bytes())
            }
            Self::Pairs(pairs) => pairs.bytes(token).to_vec(),
        }
    }
}

/// Tokens to text as they come: bytes of an unfinished character wait for the rest of it.
#[derive(Debug)]
pub struct Decoder {
    tokenizer: Tokenizer,
    waiting: Vec<u8>,
}

impl Decoder {
    /// A decoder with nothing waiting.
    pub fn new(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, waiting: Vec::new() }
    }

    /// The text completed by a token; invalid bytes become U+FFFD.
    pub fn push(&mut self, token: i32) -> String {
        self.waiting.extend(self.tokenizer.bytes(token));
        let mut text = String::new();
        loop {
            match str::from_utf8(&self.waiting) {
                Ok(whole) => {
                    text.push_str(whole);
                    self.waiting.clear();
                    return text;
                }
                Err(e) => {
                    let good: Vec<u8> = self.waiting.drain(..e.valid_up_to()).collect();
                    text.push_str(&String::from_utf8_lossy(&good));
                    let Some(bad) = e.error_len() else { return text };
                    self.waiting.drain(..bad);
                    text.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
    }

    /// The rest at the end: U+FFFD for an unfinished character.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.waiting).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokenizer_text_round_trips() {
        let text = "Was ist's? naïve — 雨\n";
        let pairs = BytePairs::train(&text.repeat(2), 270).expect("in range");
        for tokenizer in [Tokenizer::Bytes, Tokenizer::chars_of(text), Tokenizer::Pairs(pairs)] {
            let tokens = tokenizer.encode(text).expect("its own characters");
            assert!(tokens.iter().all(|&t| (t as usize) < tokenizer.vocabulary()));
            let mut decoder = Decoder::new(tokenizer);
            let mut back: String = tokens.iter().map(|&t| decoder.push(t)).collect();
            back.push_str(&decoder.finish());
            assert_eq!(back, text);
        }
    }

    #[test]
    fn tokenizer_numbers_characters_in_order() {
        let tokenizer = Tokenizer::chars_of("banana b");
        assert_eq!(tokenizer, Tokenizer::Chars(vec![' ', 'a', 'b', 'n']));
        assert_eq!(tokenizer.encode("nab").expect("known"), [3, 1, 2]);
        let unknown = tokenizer.encode("cab").expect_err("no c").to_string();
        assert!(unknown.contains("'c'"), "{unknown}");
    }

    #[test]
    fn tokenizer_marks_broken_bytes() {
        let mut decoder = Decoder::new(Tokenizer::Bytes);
        // A lone continuation byte, half of an é, an a.
        let text: String = [0x80, 0xc3, i32::from(b'a')].into_iter().map(|t| decoder.push(t)).collect();
        assert_eq!(text, "\u{fffd}\u{fffd}a");
        assert_eq!(decoder.push(0xc3), "");
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert!(Tokenizer::Bytes.bytes(300).is_empty() && Tokenizer::Bytes.bytes(-1).is_empty());
    }
}
