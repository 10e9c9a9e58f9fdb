//! Random streams addressed by purpose, so draws depend neither on threads nor on timing.
//!
//! Never seeded from the clock or the system.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

/// Purpose of a stream; part of its address, so two uses of one seed are unrelated.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    HoldOut = 1,
    Order = 2,
    Augment = 3,
    Mask = 4,
    Own = 5,
}

/// A reproducible stream of draws.
pub(crate) struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `purpose` under `seed` at the coordinates `(a, b)`, e.g. (epoch, dataset index).
    pub(crate) fn new(purpose: Purpose, seed: u64, a: u64, b: u64) -> Self {
        let mut key = [0_u8; 32];
        for (slot, word) in key.chunks_exact_mut(8).zip([seed, a, b, purpose as u64]) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1_u32 << 24) as f32
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n; the bias of the widening product is below n / 2^64.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.0.next_u64()) * n as u128) >> 64) as usize
    }

    /// Fisher-Yates.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// Random numbers of an augmentation for one image: the same ones for the same seed, epoch and image.
pub struct Draws(Stream);

impl Draws {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(stream)
    }

    /// Uniform number in [0, 1).
    pub fn unit(&mut self) -> f32 {
        self.0.unit()
    }

    /// Uniform whole number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.below(n)
    }
}
