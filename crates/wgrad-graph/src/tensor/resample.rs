//! Images of another size: products with a small matrix along each axis, so that their gradients are autodiff's.

use super::Tensor;
use wgrad_types::Array;

/// How [`Tensor::interpolate`] finds a value between pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The pixel whose cell it falls in.
    Nearest,
    /// A mean of the four around, by distance, corners not aligned.
    Bilinear,
}

impl Tensor {
    /// `[N, C, H, W]` at height and width `size` (`torch.nn.functional.interpolate` with `align_corners=False`).
    #[track_caller]
    #[must_use]
    pub fn interpolate(&self, size: [usize; 2], how: Interpolation) -> Self {
        let s = self.shape();
        assert!(s.len() == 4 && size[0] > 0 && size[1] > 0, "interpolate: {size:?} of {}", self.ty());
        let rows = self.builder().literal(&weights(s[2], size[0], how));
        let columns = self.builder().literal(&weights(s[3], size[1], how));
        let tall = rows.matmul(&self.reshape(&[s[0] * s[1], s[2], s[3]]));
        tall.matmul(&columns.t()).reshape(&[s[0], s[1], size[0], size[1]])
    }
}

/// `[to, from]`: the share of each old pixel in each new one.
fn weights(from: usize, to: usize, how: Interpolation) -> Array {
    let mut matrix = Array::zeros(&[to, from]);
    for i in 0..to {
        match how {
            Interpolation::Nearest => matrix.data[i * from + i * from / to] = 1.0,
            Interpolation::Bilinear => {
                let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
                let low = (at.floor() as usize).min(from - 1);
                let high = (low + 1).min(from - 1);
                matrix.data[i * from + low] += 1.0 - (at - low as f64);
                matrix.data[i * from + high] += at - low as f64;
            }
        }
    }
    matrix
}
