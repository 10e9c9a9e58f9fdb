//! Text generation: one token per step over cached state, without recomputing earlier tokens.
//!
//! A GPT's key and value cache has the size of its context. Once it is full, the newer half of the tokens is read again
//! from position 0: twice the work per generated token, and never a longer sequence than in training.

use crate::TrainError;
use crate::saved::card::TextCard;
use crate::saved::tensors::restored;
use std::path::Path;
use wgrad_data::{Decoder, Tokenizer};
use wgrad_device::Device;
use wgrad_graph::philox;
use wgrad_models::TextModel;
use wgrad_nn::{Mode, Net};
use wgrad_session::{Runner, Session};
use wgrad_types::{HostTensor, Type};

/// Sampling of the next token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divisor of the logits: below 1 safer, above 1 more varied; 0 always takes the most likely token.
    pub temperature: f64,
    /// Number of most likely tokens to sample from.
    pub top_k: Option<usize>,
    /// Nucleus sampling: sample from the likeliest tokens whose probabilities add up to this (Holtzman et al., 2020).
    pub top_p: Option<f64>,
    /// Random seed.
    pub seed: u64,
}

impl Sampling {
    /// Checks every value.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), TrainError> {
        let fail = |setting: &str, why: String| Err(TrainError::config(setting, why));
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return fail("temperature", format!("{} must be 0 or more", self.temperature));
        }
        if self.top_k == Some(0) {
            return fail("top_k", "0 must be at least 1".into());
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return fail("top_p", format!("{p} must be above 0 and at most 1"));
        }
        Ok(())
    }

    /// Next token for draw number `draw`; ties are ordered by token number.
    pub fn choose(&self, logits: &[f32], draw: u32) -> usize {
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        if self.temperature == 0.0 {
            return order[0];
        }
        order.truncate(self.top_k.unwrap_or(order.len()));
        let most = f64::from(logits[order[0]]);
        let weights: Vec<f64> =
            order.iter().map(|&i| ((f64::from(logits[i]) - most) / self.temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut kept = 0.0;
        let wanted = self.top_p.unwrap_or(1.0) * total;
        let nucleus = 1 + weights
            .iter()
            .position(|w| {
                kept += w;
                kept >= wanted
            })
            .unwrap_or(weights.len() - 1);
        let mass: f64 = weights[..nucleus].iter().sum();
        let mut at = f64::from(philox::uniform(self.seed as u32, draw, (self.seed >> 32) as u32, 0)) * mass;
        let hit = weights[..nucleus].iter().position(|w| {
            at -= w;
            at < 0.0
        });
        order[hit.unwrap_or(nucleus - 1)]
    }
}

/// Loaded language model for generation.
pub struct Generator {
    model: TextModel,
    tokenizer: Tokenizer,
    decoder: Decoder,
    session: Session,
    runner: Runner,
    /// Tokens since position 0.
    read: Vec<i32>,
    logits: Vec<f32>,
    draws: u32,
}

impl Generator {
    /// Generator of a description and its checkpoint `dir`.
    pub(crate) fn new(dir: &Path, card: &TextCard, device: &Device) -> Result<Self, TrainError> {
        let (model, tokenizer) = (card.text_model()?, card.tokenizer()?);
        let net = Net::new(Mode::Eval);
        let (token, position) = (net.input("token", Type::i32(&[1])), net.input("position", Type::i32(&[1])));
        net.builder().output("logits", &model.step(&net, &token, &position)?);
        let (session, runner) = restored(dir, &net.builder().graph(), device)?;
        let decoder = Decoder::new(tokenizer.clone());
        Ok(Self {
            model,
            tokenizer,
            decoder,
            session,
            runner,
            read: Vec::new(),
            logits: Vec::new(),
            draws: 0,
        })
    }

    /// Reads a prompt; an empty one stands for the start of a line.
    ///
    /// # Errors
    /// If a character is not in the model's vocabulary, or the device fails.
    pub fn prompt(&mut self, text: &str) -> Result<(), TrainError> {
        // A byte order mark is not part of the text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut tokens = self.tokenizer.encode(text)?;
        if tokens.is_empty() && self.logits.is_empty() {
            tokens = self.tokenizer.encode("\n").unwrap_or_else(|_| vec![0]);
        }
        tokens.into_iter().try_for_each(|token| self.read(token))
    }

    /// Text of the next token; empty while a character is incomplete.
    ///
    /// # Errors
    /// If the device fails.
    pub fn next(&mut self, sampling: &Sampling) -> Result<String, TrainError> {
        if self.logits.is_empty() {
            self.prompt("")?;
        }
        let token = sampling.choose(&self.logits, self.draws) as i32;
        self.draws += 1;
        self.read(token)?;
        Ok(self.decoder.push(token))
    }

    /// Bytes of an incomplete character.
    pub fn finish(self) -> String {
        self.decoder.finish()
    }

    fn read(&mut self, token: i32) -> Result<(), TrainError> {
        if self.model.most_tokens().is_some_and(|most| self.read.len() >= most) {
            let kept = self.read.split_off(self.read.len() - self.read.len() / 2);
            self.read.clear();
            for old in kept {
                self.step(old)?;
            }
        }
        self.step(token)
    }

    fn step(&mut self, token: i32) -> Result<(), TrainError> {
        let at = HostTensor::i32(&[1], &[self.read.len() as i32]);
        let inputs = [("token", &HostTensor::i32(&[1], &[token])), ("position", &at)];
        self.runner.step(&mut self.session, 0, &inputs, &[])?;
        self.logits = self.runner.wait()?.expect("a step is under way").get("logits").as_f32().to_vec();
        // Recurrent states contain the whole history.
        if self.model.most_tokens().is_some() {
            self.read.push(token);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> Sampling {
        Sampling { temperature, top_k, top_p, seed: 3 }
    }

    fn share(s: &Sampling, logits: &[f32], token: usize) -> f64 {
        (0..4000).filter(|&d| s.choose(logits, d) == token).count() as f64 / 4000.0
    }

    #[test]
    fn sampling_follows_the_probabilities() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        for (token, want) in [0.125, 0.25, 0.625].into_iter().enumerate() {
            assert!((share(&sampling(1.0, None, None), &logits, token) - want).abs() < 0.02);
        }
        // Half the temperature squares the probabilities.
        assert!((share(&sampling(0.5, None, None), &logits, 2) - 25.0 / 30.0).abs() < 0.02);
    }

    #[test]
    fn top_k_and_top_p_exclude_unlikely_tokens() {
        let logits = [0.0, 2f32.ln(), 5f32.ln()];
        assert_eq!(share(&sampling(0.0, None, None), &logits, 2), 1.0);
        assert_eq!(share(&sampling(1.0, Some(1), None), &logits, 2), 1.0);
        assert!((share(&sampling(1.0, Some(2), None), &logits, 1) - 2.0 / 7.0).abs() < 0.02);
        assert_eq!(share(&sampling(1.0, None, Some(0.6)), &logits, 2), 1.0);
        assert_eq!(share(&sampling(1.0, None, Some(0.7)), &logits, 0), 0.0);
        assert!(share(&sampling(1.0, None, Some(0.95)), &logits, 0) > 0.0);
    }

    #[test]
    fn same_seed_gives_the_same_sequence() {
        let logits = [0.0f32; 50];
        let draw = |seed| {
            (0..40)
                .map(|d| Sampling { seed, ..sampling(1.0, None, None) }.choose(&logits, d))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1), draw(1 | 1 << 40));
    }
}
