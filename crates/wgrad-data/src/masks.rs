//! Tokens hidden for a model to fill in, as BERT is trained (Devlin et al., 2019).

use crate::random::{Purpose, Stream};
use crate::streams::TokenBatch;

/// The share of tokens that are to be told.
const TOLD: f32 = 0.15;

/// Of those, the share that the mask stands for, and the share that another token does; the rest stay.
const MASKED: f32 = 0.8;
const REPLACED: f32 = 0.1;

/// Which tokens there are, what stands for a hidden one, and which draws hide them.
#[derive(Debug, Clone, Copy)]
pub struct Masking {
    /// Different tokens, the mask not among them.
    pub vocabulary: usize,
    /// The mask.
    pub mask: i32,
    /// The label of tokens that need not be told.
    pub padding: i32,
    /// The draws' seed.
    pub seed: u64,
}

impl Masking {
    /// A batch of tokens of which some are hidden, with the hidden ones as labels; only the first `count` may be. The same
    /// epoch and number hide the same.
    pub fn apply(&self, tokens: &[i32], count: usize, epoch: u64, number: u64) -> TokenBatch {
        let mut stream = Stream::new(Purpose::Mask, self.seed, epoch, number);
        let mut batch = TokenBatch { x: tokens.to_vec(), y: vec![self.padding; tokens.len()] };
        for (x, y) in batch.x.iter_mut().zip(&mut batch.y).take(count) {
            if stream.unit() >= TOLD {
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
    fn shares_are_the_papers() {
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
