//! Masked tokens for a model to fill in, as in BERT's training (Devlin et al., 2019).

use crate::random::{Purpose, Stream};
use crate::streams::TokenBatch;

/// Share of tokens to predict.
const PREDICTED: f32 = 0.15;

/// Shares of those replaced by the mask token, and by a random token; the rest stay.
const MASKED: f32 = 0.8;
const REPLACED: f32 = 0.1;

/// Number of tokens, the mask token, and the seed of the draws.
#[derive(Debug, Clone, Copy)]
pub struct Masking {
    /// Different tokens, the mask not among them.
    pub vocabulary: usize,
    /// The mask.
    pub mask: i32,
    /// Label of tokens that are not predicted.
    pub padding: i32,
    /// The draws' seed.
    pub seed: u64,
}

impl Masking {
    /// Masks some tokens of a batch and makes them its labels; only the first `count` may be masked. The same
    /// epoch and number mask the same tokens.
    pub fn apply(&self, tokens: &[i32], count: usize, epoch: u64, number: u64) -> TokenBatch {
        let mut stream = Stream::new(Purpose::Mask, self.seed, epoch, number);
        let mut batch = TokenBatch { x: tokens.to_vec(), y: vec![self.padding; tokens.len()] };
        for (x, y) in batch.x.iter_mut().zip(&mut batch.y).take(count) {
            if stream.unit() >= PREDICTED {
                continue;
            }
            *y = *x;
            match stream.unit() {
                draw if draw < MASKED => *x = self.mask,
                draw if draw < MASKED + REPLACED => *x = stream.below(self.vocabulary) as i32,
                _ => {}
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_shares_match_the_paper() {
        let masking = Masking { vocabulary: 100, mask: 100, padding: -100, seed: 3 };
        let tokens: Vec<i32> = (0..20_000).map(|i| i % 100).collect();
        let batch = masking.apply(&tokens, 16_000, 1, 2);
        assert_eq!(batch, masking.apply(&tokens, 16_000, 1, 2));
        assert_ne!(batch.y, masking.apply(&tokens, 16_000, 1, 3).y);
        assert!(batch.x[16_000..] == tokens[16_000..] && batch.y[16_000..].iter().all(|&y| y == -100));
        let told: Vec<usize> = (0..20_000).filter(|&i| batch.y[i] != -100).collect();
        assert!(told.iter().all(|&i| batch.y[i] == tokens[i]), "labels are what was there");
        assert!((0..20_000).all(|i| batch.y[i] != -100 || batch.x[i] == tokens[i]), "the others stay");
        let share = |n: usize, of: usize| n as f64 / of as f64;
        assert!((share(told.len(), 16_000) - 0.15).abs() < 0.01);
        let masked = told.iter().filter(|&&i| batch.x[i] == 100).count();
        let kept = told.iter().filter(|&&i| batch.x[i] == tokens[i]).count();
        assert!((share(masked, told.len()) - 0.8).abs() < 0.03, "{masked} of {}", told.len());
        assert!((share(kept, told.len()) - 0.1).abs() < 0.03, "{kept} of {}", told.len());
    }
}
