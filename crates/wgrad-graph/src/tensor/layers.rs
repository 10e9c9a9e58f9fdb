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
    /// `torch.matmul` of rank 2 and more: `[.., M, K]` times `[.., K, N]` -> `[.., M, N]`, leading axes broadcast.
    /// f32 or f16, sums in f32.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Array;
    /// # let b = Builder::new();
    /// let x = b.literal(&Array::new(&[1, 2], vec![1.0, 2.0]));
    /// let w = b.literal(&Array::new(&[2, 2], vec![3.0, 4.0, 5.0, 6.0]));
    /// assert_eq!(x.matmul(&w).to_array().data, [13.0, 16.0]);
    /// ```
    ///
    /// # Panics
    /// If a rank is below 2, the inner extents differ, or the leading axes do not broadcast.
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

    /// `torch.nn.functional.linear`: `x w^T + b` of `[.., in]`, weight `[out, in]`, bias `[out]` -> `[.., out]`, f32.
    ///
    /// # Panics
    /// If the extents do not fit.
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

    /// `torch.nn.functional.conv2d`: `[N, Cin, H, W]`, weight `[Cout, Cin / groups, KH, KW]`, bias `[Cout]` -> `[N,
    /// Cout, H', W']` with `H' = (H + 2 * padding - dilation * (KH - 1) - 1) / stride + 1`, rounded down. Padding is
    /// zeros. f32 or f16, sums in f32.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Type;
    /// # let b = Builder::new();
    /// use wgrad_graph::ops::ConvSpec;
    /// let x = b.input("x", Type::f32(&[8, 3, 32, 32]));
    /// let w = b.input("w", Type::f32(&[16, 3, 5, 5]));
    /// assert_eq!(x.conv2d(&w, None, ConvSpec::new(2, 2)).shape(), [8, 16, 16, 16]);
    /// ```
    ///
    /// # Panics
    /// If a rank is not 4, channels do not fit the groups, or the kernel exceeds the padded input.
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

    /// `torch.nn.grad.conv2d_input`: gradient of [`Tensor::conv2d`] for its input of height and width `size`. `self`
    /// is the result's gradient `[N, Cout, H', W']`; -> `[N, Cin, H, W]`.
    ///
    /// # Panics
    /// If no convolution of that input has this result.
    #[track_caller]
    #[must_use]
    pub fn conv2d_input_grad(&self, weight: &Self, spec: ConvSpec, size: [usize; 2]) -> Self {
        self.apply(Conv2dInputGrad { spec, size }, &[weight])
    }

    /// `torch.nn.grad.conv2d_weight`: gradient of [`Tensor::conv2d`] for its weight of height and width `kernel`.
    /// `self` is the input; -> `[Cout, Cin / groups, KH, KW]`.
    ///
    /// # Panics
    /// If no convolution of this input has such a result.
    #[track_caller]
    #[must_use]
    pub fn conv2d_weight_grad(&self, dy: &Self, spec: ConvSpec, kernel: [usize; 2]) -> Self {
        self.apply(Conv2dWeightGrad { spec, kernel }, &[dy])
    }

    /// `torch.nn.functional.conv_transpose2d`: `[N, Cin, H, W]`, weight `[Cin, Cout / groups, KH, KW]`, bias
    /// `[Cout]`; extents `(n - 1) * stride - 2 * padding + dilation * (k - 1) + 1 + output_padding`. f32 or f16.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Type;
    /// # let b = Builder::new();
    /// use wgrad_graph::ops::ConvSpec;
    /// let x = b.input("x", Type::f32(&[8, 16, 7, 7]));
    /// let w = b.input("w", Type::f32(&[16, 4, 4, 4]));
    /// assert_eq!(x.conv_transpose2d(&w, None, ConvSpec::new(2, 1), [0, 0]).shape(), [8, 4, 14, 14]);
    /// ```
    ///
    /// # Panics
    /// If a rank is not 4, `output_padding` is not less than the stride or the dilation, or nothing is left of the
    /// image.
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

    /// `torch.nn.functional.local_response_norm`: `x / (k + alpha * m)^beta` of `[N, C, ..]`, `m` the mean of `x^2`
    /// over `size` neighbouring channels. f32.
    ///
    /// # Panics
    /// If the rank is below 2 or `size` is 0.
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

    /// `torch.nn.functional.batch_norm(training=True)`: `[N, C, ..]` normalised by the statistics of this batch,
    /// times `weight` `[C]`, plus `bias` `[C]`. f32. Running statistics
    /// are the caller's.
    ///
    /// # Panics
    /// If the rank is below 2, or a channel has a single value.
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

    /// `torch.nn.functional.batch_norm(training=False)`: `[N, C, ..]` normalised by given statistics; `mean`, `var`,
    /// `weight`, `bias` are `[C]`. f32.
    ///
    /// # Panics
    /// If the extents do not fit.
    #[track_caller]
    #[must_use]
    pub fn batch_norm_eval(&self, mean: &Self, var: &Self, weight: &Self, bias: &Self, eps: f64) -> Self {
        let rank = self.shape().len();
        let scale = (var + eps).rsqrt() * weight;
        let shift = bias - &(mean * &scale);
        self * &scale.per_channel(rank) + shift.per_channel(rank)
    }

    /// `torch.nn.functional.layer_norm` over the last axes, as many as `weight` has. f32.
    ///
    /// # Panics
    /// If the shape does not end with that of `weight`, or `bias` does not broadcast.
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

    /// `torch.nn.functional.rms_norm`: division by the root mean square over the last axes, as many as `weight` has.
    /// f32.
    ///
    /// # Panics
    /// If the shape does not end with that of `weight`.
    #[track_caller]
    #[must_use]
    pub fn rms_norm(&self, weight: &Self, eps: f64) -> Self {
        let (s, w) = (self.shape(), weight.shape());
        assert!(s.ends_with(&w), "rms_norm: weight {w:?} for {}", self.ty());
        let axes: Vec<usize> = (s.len() - w.len()..s.len()).collect();
        self * &(self.square().mean_keep(&axes) + eps).rsqrt() * weight
    }

    /// `torch.nn.functional.group_norm`: `[N, C, ..]` normalised over each of `groups` groups of channels, times
    /// `weight` `[C]`, plus `bias` `[C]`. f32.
    ///
    /// # Panics
    /// If the rank is below 2, or `groups` does not divide the channels.
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

    /// `torch.gather`: elements along `axis` by i32 index; the result has the shape of `index`. Out of range reads 0;
    /// sessions refuse such inputs.
    ///
    /// # Panics
    /// If the ranks differ, or another axis of `index` is longer.
    #[track_caller]
    #[must_use]
    pub fn gather(&self, axis: usize, index: &Self) -> Self {
        self.apply(Gather { axis }, &[index])
    }

    /// Gradient of [`Tensor::gather`], as `torch.scatter_add` into zeros: `self` is the result's gradient, `size` the
    /// gathered extent.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    #[must_use]
    pub fn gather_grad(&self, index: &Self, axis: usize, size: usize) -> Self {
        self.apply(GatherGrad { axis, size }, &[index])
    }

    /// `torch.nn.functional.embedding`: rows of this table `[V, D]` by i32 index of any shape, `[..] -> [.., D]`.
    ///
    /// ```
    /// # use wgrad_graph::Builder;
    /// # use wgrad_types::Type;
    /// # let b = Builder::new();
    /// let table = b.input("table", Type::f32(&[100, 16]));
    /// let tokens = b.input("tokens", Type::i32(&[4, 7]));
    /// assert_eq!(table.embedding(&tokens).shape(), [4, 7, 16]);
    /// ```
    ///
    /// # Panics
    /// If the table's rank is not 2 or the index is not i32.
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

    /// `torch.nn.functional.dropout`: zeroes each element with probability `p` and scales the rest by `1 / (1 - p)`,
    /// anew at every step. Any shape, f32.
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
