//! Initial values, as defined by `torch.nn.init`, drawn by ChaCha8 from a seed and the parameter's name: the
//! same on every device, and independent of the order in which layers are built.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wgrad_types::{HostTensor, numel};

/// Initial distribution of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Half the width.
        bound: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal with mean 0, drawn again outside two deviations; PyTorch's `trunc_normal_(std=std, a=-2 * std, b=2 * std)`.
    TruncatedNormal {
        /// Standard deviation before truncation.
        std: f64,
    },
    /// Rows (or columns, if there are fewer) orthogonal and of length `gain`, axes from the second on
    /// flattened; PyTorch's `orthogonal_`. A tensor of one axis is one row.
    Orthogonal {
        /// The rows' length.
        gain: f64,
    },
    /// Uniform with bound `gain * sqrt(3 / fan_in)`; PyTorch's `kaiming_uniform_`. Its Linear and Conv default,
    /// `a = sqrt(5)`, is gain `sqrt(1/3)`; ReLU's gain is `sqrt(2)`.
    KaimingUniform {
        /// Gain of the nonlinearity.
        gain: f64,
    },
    /// Normal with deviation `gain / sqrt(fan_in)`; PyTorch's `kaiming_normal_`.
    KaimingNormal {
        /// Gain of the nonlinearity.
        gain: f64,
    },
    /// Normal with deviation `gain / sqrt(fan_out)`; PyTorch's `kaiming_normal_(mode="fan_out")`.
    KaimingNormalFanOut {
        /// Gain of the nonlinearity.
        gain: f64,
    },
    /// Uniform with bound `sqrt(6 / (fan_in + fan_out))`; PyTorch's `xavier_uniform_`.
    XavierUniform,
    /// Normal with deviation `sqrt(2 / (fan_in + fan_out))`; PyTorch's `xavier_normal_`.
    XavierNormal,
}

impl Init {
    /// PyTorch's default for weights of Linear and Conv2d: uniform with bound `1 / sqrt(fan_in)`.
    pub fn pytorch_default() -> Self {
        Self::KaimingUniform { gain: (1.0f64 / 3.0).sqrt() }
    }

    /// The initial tensor.
    pub fn draw(self, shape: &[usize], seed: u64, name: &str) -> HostTensor {
        let (fan_in, fan_out) = fans(shape);
        let mut source = Source::new(seed, name);
        let n = numel(shape);
        let uniform = |source: &mut Source, bound: f64| fill(n, || (source.uniform() * 2.0 - 1.0) * bound);
        let normal = |source: &mut Source, mean: f64, std: f64| fill(n, || mean + std * source.normal());
        let data = match self {
            Self::Zeros => vec![0.0; n],
            Self::Ones => vec![1.0; n],
            Self::Uniform { bound } => uniform(&mut source, bound),
            Self::Normal { mean, std } => normal(&mut source, mean, std),
            Self::TruncatedNormal { std } => fill(n, || std * source.truncated_normal()),
            Self::Orthogonal { gain } => orthogonal(&mut source, shape, gain),
            Self::KaimingUniform { gain } => uniform(&mut source, gain * (3.0 / fan_in).sqrt()),
            Self::KaimingNormal { gain } => normal(&mut source, 0.0, gain / fan_in.sqrt()),
            Self::KaimingNormalFanOut { gain } => normal(&mut source, 0.0, gain / fan_out.sqrt()),
            Self::XavierUniform => uniform(&mut source, (6.0 / (fan_in + fan_out)).sqrt()),
            Self::XavierNormal => normal(&mut source, 0.0, (2.0 / (fan_in + fan_out)).sqrt()),
        };
        HostTensor::f32(shape, &data)
    }
}

fn fill(n: usize, mut f: impl FnMut() -> f64) -> Vec<f32> {
    (0..n).map(|_| f() as f32).collect()
}

/// Orthonormal vectors times `gain`: normal draws, each freed of its share along those before, twice for accuracy.
fn orthogonal(source: &mut Source, shape: &[usize], gain: f64) -> Vec<f32> {
    let n = numel(shape);
    let rows = if shape.len() < 2 { 1 } else { shape[0] };
    let columns = n / rows.max(1);
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut v: Vec<f64> = (0..length).map(|_| source.normal()).collect();
        for _ in 0..2 {
            for u in &vectors {
                let along: f64 = u.iter().zip(&v).map(|(a, b)| a * b).sum();
                v.iter_mut().zip(u).for_each(|(a, b)| *a -= along * b);
            }
        }
        let norm = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        v.iter_mut().for_each(|a| *a /= norm);
        vectors.push(v);
    }
    let at = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        if rows <= columns { vectors[row][column] } else { vectors[column][row] }
    };
    (0..n).map(|i| (gain * at(i)) as f32).collect()
}

/// Fan-in and fan-out of a weight `[out, in, ..]`, by PyTorch's definition.
fn fans(shape: &[usize]) -> (f64, f64) {
    let field = numel(shape.get(2..).unwrap_or(&[])) as f64;
    let at = |d: usize| shape.get(d).copied().unwrap_or(1).max(1) as f64;
    (at(1) * field, at(0) * field)
}

struct Source(ChaCha8Rng);

impl Source {
    fn new(seed: u64, name: &str) -> Self {
        // FNV-1a over the name keeps parameters' streams apart.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hash.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// In [0, 1) with 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (self.uniform() * std::f64::consts::TAU).cos()
    }

    /// Standard normal, within two deviations.
    fn truncated_normal(&mut self) -> f64 {
        loop {
            let v = self.normal();
            if v.abs() <= 2.0 {
                return v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(t: &HostTensor) -> (f64, f64, f64) {
        let data = t.to_array().data;
        let n = data.len() as f64;
        let mean = data.iter().sum::<f64>() / n;
        let var = data.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        (mean, var.sqrt(), data.iter().fold(0.0, |m: f64, v| m.max(v.abs())))
    }

    #[test]
    fn init_distributions_have_stated_moments() {
        let shape = [256, 64, 3, 3];
        let (fan_in, fan_out) = (64.0f64 * 9.0, 256.0f64 * 9.0);
        let (mean, std, top) = moments(&Init::pytorch_default().draw(&shape, 1, "w"));
        let bound = 1.0f64 / fan_in.sqrt();
        assert!(
            mean.abs() < 1e-3
                && (std - bound / 3f64.sqrt()).abs() < 1e-3 * bound.max(1.0)
                && top <= bound
                && top > 0.99 * bound
        );
        let (_, std, _) = moments(&Init::KaimingNormal { gain: 2f64.sqrt() }.draw(&shape, 1, "w"));
        assert!((std / (2.0 / fan_in).sqrt() - 1.0).abs() < 0.01);
        let (_, std, _) = moments(&Init::KaimingNormalFanOut { gain: 2f64.sqrt() }.draw(&shape, 1, "w"));
        assert!((std / (2.0 / fan_out).sqrt() - 1.0).abs() < 0.01);
        let (_, std, _) = moments(&Init::XavierNormal.draw(&shape, 1, "w"));
        assert!((std / (2.0 / (fan_in + fan_out)).sqrt() - 1.0).abs() < 0.01);
        let (_, _, top) = moments(&Init::XavierUniform.draw(&shape, 1, "w"));
        assert!((top / (6.0 / (fan_in + fan_out)).sqrt() - 1.0).abs() < 0.01);
        let (mean, std, _) = moments(&Init::Normal { mean: 2.0, std: 0.5 }.draw(&shape, 1, "w"));
        assert!((mean - 2.0).abs() < 0.01 && (std - 0.5).abs() < 0.01);
    }

    #[test]
    fn init_truncated_normal_stays_within_two_deviations() {
        let (mean, std, top) = moments(&Init::TruncatedNormal { std: 0.5 }.draw(&[128, 512], 1, "w"));
        // The deviation of a standard normal cut at two is 0.8796.
        assert!(mean.abs() < 0.01 && (std / (0.5 * 0.8796) - 1.0).abs() < 0.01 && top <= 1.0 && top > 0.99);
    }

    #[test]
    fn init_orthogonal_rows_or_columns_are_orthonormal() {
        for shape in [&[5, 9][..], &[9, 5], &[4, 2, 3], &[6]] {
            let t = Init::Orthogonal { gain: 2.0 }.draw(shape, 1, "w").to_array().data;
            let rows = if shape.len() < 2 { 1 } else { shape[0] };
            let columns = t.len() / rows;
            let wide = rows <= columns;
            let at = |i: usize, k: usize| if wide { t[i * columns + k] } else { t[k * columns + i] };
            for i in 0..rows.min(columns) {
                for j in 0..rows.min(columns) {
                    let product: f64 = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
                    let want = if i == j { 4.0 } else { 0.0 };
                    assert!((product - want).abs() < 1e-5, "{shape:?}: {i} by {j} is {product}");
                }
            }
        }
    }

    #[test]
    fn init_draws_differ_by_name_and_seed() {
        let draw = |seed, name| Init::XavierUniform.draw(&[4, 4], seed, name);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }
}
