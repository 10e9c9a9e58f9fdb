//! Batches of a text: each row of a batch continues the same row of the batch before.
//!
//! The text is cut into as many streams as a batch has rows. The start of the first is drawn for every epoch
//! from the seed, so windows differ between epochs; a batch is a function of (seed, epoch, its number).

use crate::error::DataError;
use crate::random::{Purpose, Stream};

/// Tokens and their successors: `rows * context` of both, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenBatch {
    /// Model input.
    pub x: Vec<i32>,
    /// Labels: the next tokens.
    pub y: Vec<i32>,
}

/// Training batches of a text.
#[derive(Debug, Clone)]
pub struct Streams {
    tokens: Vec<i32>,
    rows: usize,
    context: usize,
    seed: u64,
    batches: usize,
}

impl Streams {
    /// Streams of `rows` rows and windows of `context` tokens.
    ///
    /// # Errors
    /// If the text is too short for one batch.
    pub fn new(tokens: Vec<i32>, rows: usize, context: usize, seed: u64) -> Result<Self, DataError> {
        let window = rows.saturating_mul(context);
        let batches = tokens.len().saturating_sub(1).checked_div(window).unwrap_or(0);
        if batches == 0 {
            return Err(DataError::ShortText { tokens: tokens.len(), needed: window.saturating_add(1) });
        }
        Ok(Self { tokens, rows, context, seed, batches })
    }

    /// Batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.batches
    }

    /// Batch number `index` of an epoch.
    pub fn batch(&self, epoch: u64, index: usize) -> TokenBatch {
        let length = self.batches * self.context;
        let spare = self.tokens.len() - 1 - self.rows * length;
        let start = Stream::new(Purpose::Order, self.seed, epoch, 0).below(spare + 1);
        let mut batch = TokenBatch { x: Vec::new(), y: Vec::new() };
        for row in 0..self.rows {
            let at = start + row * length + index % self.batches * self.context;
            batch.x.extend(&self.tokens[at..at + self.context]);
            batch.y.extend(&self.tokens[at + 1..=at + self.context]);
        }
        batch
    }
}

/// A text in windows of `context` tokens, `rows` of them per batch, with the number of labels that count;
/// missing tokens at the end are 0 with label `padding`.
pub fn windows(
    tokens: &[i32],
    rows: usize,
    context: usize,
    padding: i32,
) -> impl Iterator<Item = (TokenBatch, usize)> + '_ {
    let pairs = tokens.len().saturating_sub(1);
    let size = (rows * context).max(1);
    (0..pairs.div_ceil(size)).map(move |i| {
        let (from, to) = (i * size, (i * size + size).min(pairs));
        let mut batch = TokenBatch { x: tokens[from..to].to_vec(), y: tokens[from + 1..=to].to_vec() };
        batch.x.resize(size, 0);
        batch.y.resize(size, padding);
        (batch, to - from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(n: i32, rows: usize, context: usize) -> Streams {
        Streams::new((0..n).collect(), rows, context, 7).expect("long enough")
    }

    #[test]
    fn stream_rows_continue_previous_batch() {
        let s = streams(101, 3, 4);
        assert_eq!(s.batches_per_epoch(), 8);
        for epoch in 0..3 {
            let all: Vec<TokenBatch> = (0..8).map(|i| s.batch(epoch, i)).collect();
            assert_eq!(all, (0..8).map(|i| s.batch(epoch, i)).collect::<Vec<_>>(), "repeatable");
            for b in &all {
                assert!(b.x.iter().zip(&b.y).all(|(x, y)| x + 1 == *y), "labels follow");
            }
            for (before, after) in all.iter().zip(&all[1..]) {
                for row in 0..3 {
                    assert_eq!(before.y[row * 4 + 3], after.x[row * 4], "row {row} goes on");
                }
            }
            let mut seen: Vec<i32> = all.iter().flat_map(|b| b.x.clone()).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 96, "nothing is read twice");
        }
        let starts: Vec<i32> = (0..20).map(|e| s.batch(e, 0).x[0]).collect();
        assert!(starts.iter().any(|&a| a != starts[0]) && starts.iter().all(|&a| a <= 4), "{starts:?}");
    }

    #[test]
    fn stream_of_short_text_is_refused() {
        let short = Streams::new(vec![1; 12], 3, 4, 0).expect_err("one token too few");
        assert!(short.to_string().contains("12") && short.to_string().contains("13"), "{short}");
        assert_eq!(streams(13, 3, 4).batch(5, 0).x, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn windows_cover_every_pair_once() {
        let tokens: Vec<i32> = (0..24).collect();
        let all: Vec<(TokenBatch, usize)> = windows(&tokens, 2, 5, -100).collect();
        assert_eq!(all.iter().map(|w| w.1).collect::<Vec<_>>(), [10, 10, 3]);
        assert_eq!(all[2].0.x, [20, 21, 22, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(all[2].0.y[..4], [21, 22, 23, -100]);
        assert_eq!(windows(&tokens[..1], 2, 5, -100).count(), 0);
    }
}
