//! Building blocks of layers: products, convolutions, normalisation, lookup.

use super::Tensor;
use crate::ops::{Conv2d, Conv2dInputGrad, Conv2dWeightGrad, ConvSpec, Gather, GatherGrad, MatMul};
use wgrad_types::numel;

/// Results of training-time batch normalisation.
pub struct BatchNorm {
    /// The normalised tensor.
    pub y: Tensor,
    /// Mean of each channel over this batch, `[C]`.
    pub mean: Tensor,
    /// Unbiased variance per channel over this batch, `[C]`, for the running statistics.
    pub var: Tensor,
}

impl Tensor {
    /// Matrix product of the last two axes, leading axes broadcast (`torch.matmul`, rank 2 and more).
    #[track_caller]
    #[must_use]
    pub fn matmul(&self, other: &Self) -> Self {
        let (a, b) = (self.shape(), other.shape());
        if a.len() > 2 && b.len() == 2 {
            // One matrix for all leading axes: a single tall product.
            let mut shape = a.clone();
            let last = a[a.len() - 1];
            shape[a.len() - 1] = b[1];
            return self.reshape(&[numel(&a[..a.len() - 1]), last]).matmul(other).reshape(&shape);
        }
        self.apply(MatMul, &[other])
    }

    /// `x w^T + b`: `[.., in]`, weight `[out, in]`, bias `[out]` (`torch.nn.functional.linear`).
    #[track_caller]
    #[must_use]
    pub fn linear(&self, weight: &Self, bias: Option<&Self>) -> Self {
        let y = self.matmul(&weight.t());
        // No closure: a panic is to be at the caller's line.
        match bias {
            Some(bias) => y + bias,
            None => y,
        }
    }

    /// Convolution with weight `[Cout, Cin / groups, KH, KW]` and bias `[Cout]`.
    #[track_caller]
    #[must_use]
    pub fn conv2d(&self, weight: &Self, bias: Option<&Self>, spec: ConvSpec) -> Self {
        self.apply(Conv2d(spec), &[weight]).channel_bias(bias)
    }

    #[track_caller]
    fn channel_bias(self, bias: Option<&Self>) -> Self {
        match bias {
            Some(b) => &self + &b.reshape(&[numel(&b.shape()), 1, 1]),
            None => self,
        }
    }

    /// Gradient of `conv2d` with respect to its input of height and width `size`; `self` is `dy`.
    #[track_caller]
    #[must_use]
    pub fn conv2d_input_grad(&self, weight: &Self, spec: ConvSpec, size: [usize; 2]) -> Self {
        self.apply(Conv2dInputGrad { spec, size }, &[weight])
    }

    /// Gradient of `conv2d` with respect to its weight of height and width `kernel`; `self` is the input.
    #[track_caller]
    #[must_use]
    pub fn conv2d_weight_grad(&self, dy: &Self, spec: ConvSpec, kernel: [usize; 2]) -> Self {
        self.apply(Conv2dWeightGrad { spec, kernel }, &[dy])
    }

    /// Transposed convolution with weight `[Cin, Cout / groups, KH, KW]` (`torch.nn.functional.conv_transpose2d`): extents
    /// `(n - 1) * stride - 2 * padding + dilation * (k - 1) + 1 + output_padding`.
    ///
    /// # Panics
    /// If `output_padding` is not less than the stride or the dilation, or nothing is left of the image.
    #[track_caller]
    #[must_use]
    pub fn conv_transpose2d(
        &self,
        weight: &Self,
        bias: Option<&Self>,
        spec: ConvSpec,
        output_padding: [usize; 2],
    ) -> Self {
        let (x, w) = (self.shape(), weight.shape());
        assert!(x.len() == 4 && w.len() == 4, "conv_transpose2d: needs rank 4: {x:?}, {w:?}");
        let whole =
            |d: usize| (x[2 + d].max(1) - 1) * spec.stride[d] + spec.dilation[d] * (w[2 + d].max(1) - 1) + 1;
        let out = |d: usize| {
            let (more, most) = (output_padding[d], spec.stride[d].max(spec.dilation[d]));
            assert!(
                more < most,
                "conv_transpose2d: output_padding {more} must be less than stride or dilation, {most}"
            );
            let full = whole(d) + more;
            assert!(
                full > 2 * spec.padding[d],
                "conv_transpose2d: padding {:?} leaves nothing of {x:?}",
                spec.padding
            );
            full - 2 * spec.padding[d]
        };
        let size = [out(0), out(1)];
        if (0..2).all(|d| output_padding[d] < spec.stride[d]) {
            return self.conv2d_input_grad(weight, spec, size).channel_bias(bias);
        }
        // No convolution's gradient has this size: take the whole result, padded with zeros, and a part of
        // it.
        let unpadded = ConvSpec { padding: [0; 2], ..spec };
        let all = self.conv2d_input_grad(weight, unpadded, [whole(0), whole(1)]);
        let behind = |d: usize| (0, (spec.padding[d] + size[d]).saturating_sub(whole(d)));
        let shape = all.shape();
        let part = [(0, shape[0]), (0, shape[1]), (spec.padding[0], size[0]), (spec.padding[1], size[1])];
        all.pad(&[(0, 0), (0, 0), behind(0), behind(1)]).slice(&part).channel_bias(bias)
    }

    /// `x / (k + alpha * mean of x^2 over size neighbouring channels)^beta` (`torch.nn.functional.local_response_norm`).
    #[track_caller]
    #[must_use]
    pub fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Self {
        let s = self.shape();
        assert!(s.len() >= 2 && size > 0, "local_response_norm: size {size} of {}", self.ty());
        let mut pads = vec![(0, 0); s.len()];
        pads[1] = (size / 2, (size - 1) / 2);
        let squares = self.square().pad(&pads);
        let window = (1..size).fold(squares.narrow(1, 0, s[1]), |sum, i| sum + squares.narrow(1, i, s[1]));
        self / &(window * (alpha / size as f64) + k).powf(beta)
    }

    /// A per-channel vector `[C]` shaped to broadcast against `[N, C, ..]`.
    #[track_caller]
    fn per_channel(&self, rank: usize) -> Self {
        let mut shape = vec![1; rank.max(2) - 1];
        shape[0] = numel(&self.shape());
        self.reshape(&shape)
    }

    /// Batch normalisation of `[N, C, ..]` by this batch's statistics, scaled by `weight` `[C]`, shifted by `bias` `[C]`.
    #[track_caller]
    #[must_use]
    pub fn batch_norm_train(&self, weight: &Self, bias: &Self, eps: f64) -> BatchNorm {
        let s = self.shape();
        assert!(s.len() >= 2, "batch_norm: needs [N, C, ..], got {}", self.ty());
        let axes: Vec<usize> = (0..s.len()).filter(|&d| d != 1).collect();
        let count = numel(&s) / s[1].max(1);
        assert!(count > 1, "batch_norm: needs more than one value a channel to train on, got {}", self.ty());
        let mean = self.mean_keep(&axes);
        let centred = self - &mean;
        let var = centred.square().mean_keep(&axes);
        let y = centred * &((&var + eps).rsqrt() * &weight.per_channel(s.len())) + bias.per_channel(s.len());
        let unbiased = var.reshape(&[s[1]]) * (count as f64 / (count - 1) as f64);
        BatchNorm { y, mean: mean.reshape(&[s[1]]), var: unbiased }
    }

    /// Batch normalisation of `[N, C, ..]` by given statistics, each `[C]`.
    #[track_caller]
    #[must_use]
    pub fn batch_norm_eval(&self, mean: &Self, var: &Self, weight: &Self, bias: &Self, eps: f64) -> Self {
        let rank = self.shape().len();
        let scale = (var + eps).rsqrt() * weight;
        let shift = bias - &(mean * &scale);
        self * &scale.per_channel(rank) + shift.per_channel(rank)
    }

    /// Normalisation over the last axes, as many as `weight` has (`torch.nn.functional.layer_norm`).
    #[track_caller]
    #[must_use]
    pub fn layer_norm(&self, weight: &Self, bias: Option<&Self>, eps: f64) -> Self {
        let (s, w) = (self.shape(), weight.shape());
        assert!(s.ends_with(&w), "layer_norm: weight {w:?} for {}", self.ty());
        let axes: Vec<usize> = (s.len() - w.len()..s.len()).collect();
        let centred = self - &self.mean_keep(&axes);
        let y = &centred * &(centred.square().mean_keep(&axes) + eps).rsqrt() * weight;
        // No closure: a panic is to be at the caller's line.
        match bias {
            Some(bias) => y + bias,
            None => y,
        }
    }

    /// Division by the root mean square over the last axes, as many as `weight` has (`torch.nn.functional.rms_norm`).
    #[track_caller]
    #[must_use]
    pub fn rms_norm(&self, weight: &Self, eps: f64) -> Self {
        let (s, w) = (self.shape(), weight.shape());
        assert!(s.ends_with(&w), "rms_norm: weight {w:?} for {}", self.ty());
        let axes: Vec<usize> = (s.len() - w.len()..s.len()).collect();
        self * &(self.square().mean_keep(&axes) + eps).rsqrt() * weight
    }

    /// Normalisation of `[N, C, ..]` over each of `groups` groups of channels, scaled by `weight` `[C]`, shifted by
    /// `bias` `[C]` (`torch.nn.functional.group_norm`).
    #[track_caller]
    #[must_use]
    pub fn group_norm(&self, groups: usize, weight: &Self, bias: &Self, eps: f64) -> Self {
        let s = self.shape();
        assert!(
            s.len() >= 2 && groups > 0 && s[1].is_multiple_of(groups),
            "group_norm: {groups} groups of the channels of {}",
            self.ty()
        );
        let x = self.reshape(&[s[0], groups, numel(&s[1..]) / groups]);
        let centred = &x - &x.mean_keep(&[2]);
        let y = &centred * &(centred.square().mean_keep(&[2]) + eps).rsqrt();
        y.reshape(&s) * &weight.per_channel(s.len()) + bias.per_channel(s.len())
    }

    /// Elements along `axis` by index (`torch.gather`).
    #[track_caller]
    #[must_use]
    pub fn gather(&self, axis: usize, index: &Self) -> Self {
        self.apply(Gather { axis }, &[index])
    }

    /// Gradient of `gather`; `self` is `dy`, `size` the gathered extent.
    #[track_caller]
    #[must_use]
    pub fn gather_grad(&self, index: &Self, axis: usize, size: usize) -> Self {
        self.apply(GatherGrad { axis, size }, &[index])
    }

    /// Rows of this table `[V, D]` by index of any shape: `[..] -> [.., D]` (`torch.nn.functional.embedding`).
    #[track_caller]
    #[must_use]
    pub fn embedding(&self, index: &Self) -> Self {
        let (table, at) = (self.shape(), index.shape());
        assert!(table.len() == 2, "embedding: needs a table [V, D], got {}", self.ty());
        let n = numel(&at);
        let rows = index.reshape(&[n, 1]).broadcast_to(&[n, table[1]]);
        let mut shape = at;
        shape.push(table[1]);
        self.gather(0, &rows).reshape(&shape)
    }

    /// Zeroes each element with probability `p` and scales the rest by `1 / (1 - p)`, anew at every step
    /// (`torch.nn.functional.dropout`).
    ///
    /// # Panics
    /// If `p` is not in `[0, 1]`.
    #[track_caller]
    #[must_use]
    pub fn dropout(&self, p: f64) -> Self {
        assert!((0.0..=1.0).contains(&p), "dropout: p {p} must be in [0, 1]");
        if p == 0.0 {
            return self.clone();
        }
        if p == 1.0 {
            return self * &self.zeros_like();
        }
        let draw = self.builder().rand(&self.shape());
        let keep = draw.ge(&draw.full_like(p)).to_f32() * (1.0 / (1.0 - p));
        self * &keep
    }
}
