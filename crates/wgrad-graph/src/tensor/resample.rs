//! Images of another size: neighbours gathered along each axis and mixed, so that autodiff gives the
//! gradients and a NaN or infinity stays near its own pixel.

use super::Tensor;
use wgrad_types::{Array, DType};

/// Interpolation of values between pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// A mean of the four around, by distance, corners not aligned.
    Bilinear,
}

impl Tensor {
    /// `torch.nn.functional.interpolate(align_corners=False)`: `[N, C, H, W]` at height and width `size`. f32.
    ///
    /// # Panics
    /// If the rank is not 4, or an extent is 0.
    #[track_caller]
    #[must_use]
    pub fn interpolate(&self, size: [usize; 2], how: Interpolation) -> Self {
        let s = self.shape();
        assert!(s.len() == 4 && size[0] > 0 && size[1] > 0, "interpolate: {size:?} of {}", self.ty());
        assert!(s[2] > 0 && s[3] > 0, "interpolate: no pixels in {}", self.ty());
        match how {
            Interpolation::Nearest => self.nearest(2, size[0]).nearest(3, size[1]),
            Interpolation::Bilinear => self.blended(3, size[1]).blended(2, size[0]),
        }
    }

    /// An axis at another extent, by nearest neighbour.
    fn nearest(&self, axis: usize, to: usize) -> Self {
        let from = self.shape()[axis];
        if to == from {
            return self.clone();
        }
        if !to.is_multiple_of(from) {
            return self.picked(axis, &(0..to).map(|i| i * from / to).collect::<Vec<_>>());
        }
        // Every element several times over is a view.
        let mut shape = self.shape();
        let inner = axis + 1;
        shape.insert(inner, to / from);
        let repeated = self.unsqueeze(inner).broadcast_to(&shape);
        shape.remove(inner);
        shape[axis] = to;
        repeated.reshape(&shape)
    }

    /// An axis at another extent, each element a mean of its two neighbours.
    fn blended(&self, axis: usize, to: usize) -> Self {
        let from = self.shape()[axis];
        if to == from {
            return self.clone();
        }
        let at = |i: usize| ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let low = |i: usize| (at(i).floor() as usize).min(from - 1);
        let high = |i: usize| (low(i) + 1).min(from - 1);
        let all = |f: &dyn Fn(usize) -> usize| (0..to).map(f).collect::<Vec<_>>();
        let mut along = vec![1; self.shape().len()];
        along[axis] = to;
        let share = |f: &dyn Fn(usize) -> f64| self.builder().literal(&Array::from_fn(&along, f));
        let near = self.picked(axis, &all(&low)) * &share(&|i| 1.0 - (at(i) - low(i) as f64));
        near + self.picked(axis, &all(&high)) * &share(&|i| at(i) - low(i) as f64)
    }

    /// Elements of an axis by index.
    fn picked(&self, axis: usize, numbers: &[usize]) -> Self {
        let mut along = vec![1; self.shape().len()];
        along[axis] = numbers.len();
        let index = self.builder().literal(&Array::from_fn(&along, |i| numbers[i] as f64)).cast(DType::I32);
        let mut shape = self.shape();
        shape[axis] = numbers.len();
        self.gather(axis, &index.broadcast_to(&shape))
    }
}
