//! Pictures of the embedded Fashion-MNIST sample, whole in memory.

use wgrad::Result;
use wgrad::data::{Pipeline, SourceOptions, Split, open};
use wgrad::prelude::HostTensor;

/// Square grey pictures with their labels.
#[derive(Clone, Debug)]
pub struct Images {
    /// Grey levels from -1 (black) to 1, picture by picture, row by row.
    pub pixels: Vec<f32>,
    /// A class each.
    pub labels: Vec<i32>,
    /// Rows and columns of a picture.
    pub side: usize,
}

impl Images {
    /// The embedded sample's training or test pictures, 28x28, centred in `side` rows and columns.
    ///
    /// # Errors
    /// If the sample is damaged.
    ///
    /// # Panics
    /// If `side` is below 28.
    pub fn fashion(split: Split, side: usize) -> Result<Self> {
        assert!(side >= 28, "pictures of 28x28 do not fit {side}x{side}");
        let dataset = open("fashion-mini", &SourceOptions::default())?;
        let subset = dataset.subset(split);
        let pipeline = Pipeline {
            size: (side, side),
            channels: 1,
            augment: Vec::new(),
            mean: vec![0.5],
            std: vec![0.5],
        };
        let mut images = Self { pixels: Vec::new(), labels: Vec::new(), side };
        for i in 0..subset.len() {
            images.pixels.extend(pipeline.apply(&subset.load(i)?, None)?);
            images.labels.push(subset.label(i) as i32);
        }
        Ok(images)
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True of no pictures.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One picture's grey levels.
    pub fn picture(&self, i: usize) -> &[f32] {
        let size = self.side * self.side;
        &self.pixels[i * size..(i + 1) * size]
    }

    /// Some of them, in this order.
    #[must_use]
    pub fn pick(&self, indices: &[usize]) -> Self {
        Self {
            pixels: indices.iter().flat_map(|&i| self.picture(i)).copied().collect(),
            labels: indices.iter().map(|&i| self.labels[i]).collect(),
            side: self.side,
        }
    }

    /// The first `n` of every class, in the order they have.
    #[must_use]
    pub fn first_of_each_class(&self, n: usize) -> Self {
        let mut taken = std::collections::BTreeMap::new();
        let mut within = |i: &usize| {
            let count = taken.entry(self.labels[*i]).or_insert(0);
            *count += 1;
            *count <= n
        };
        self.pick(&(0..self.len()).filter(&mut within).collect::<Vec<_>>())
    }

    /// All of them as tensors: `[N, 1, side, side]` and labels `[N]`.
    pub fn tensors(&self) -> (HostTensor, HostTensor) {
        let n = self.len();
        (HostTensor::f32(&[n, 1, self.side, self.side], &self.pixels), HostTensor::i32(&[n], &self.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_and_labels_stay_together() {
        let all = Images::fashion(Split::Test, 32).expect("the embedded sample");
        assert!(all.pixels.iter().all(|v| (-1.0..=1.0).contains(v)));
        let some = all.pick(&[5, 3]);
        assert_eq!(some.labels, [all.labels[5], all.labels[3]]);
        assert_eq!(some.picture(1), all.picture(3));
        let few = all.first_of_each_class(2);
        assert_eq!(few.len(), 20);
        assert!((0..10).all(|class| few.labels.iter().filter(|&&l| l == class).count() == 2));
        assert_eq!(few.tensors().0.ty.shape, [20, 1, 32, 32]);
    }
}
