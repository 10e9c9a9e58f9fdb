//! Layers: a method each, with PyTorch's defaults and parameter names.

use crate::{Init, Mode, Net};
use wgrad_graph::Tensor;
use wgrad_graph::ops::ConvSpec;

/// A convolution's free choices.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Output channels.
    pub out: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Stride, padding, dilation, groups.
    pub spec: ConvSpec,
    /// Rows and columns added behind a transposed convolution's result; no other has any.
    pub output_padding: [usize; 2],
    /// Add a bias.
    pub bias: bool,
    /// Initialiser of the weight.
    pub init: Init,
}

impl Conv {
    /// A square kernel with stride and padding, bias on.
    pub fn new(out: usize, kernel: usize, stride: usize, padding: usize) -> Self {
        let init = Init::pytorch_default();
        Self {
            out,
            kernel: [kernel; 2],
            spec: ConvSpec::new(stride, padding),
            output_padding: [0; 2],
            bias: true,
            init,
        }
    }

    /// The same without bias.
    #[must_use]
    pub fn no_bias(self) -> Self {
        Self { bias: false, ..self }
    }
}

/// Batch normalisation's constants.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Added to the variance.
    pub eps: f64,
    /// Share of the new batch in the running statistics.
    pub momentum: f64,
}

impl Default for Norm {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1 }
    }
}

impl Net {
    /// `torch.nn.Linear`: `[.., in] -> [.., out]`, f32; parameters `name.weight` `[out, in]`, `name.bias` `[out]`.
    ///
    /// ```
    /// # use wgrad_nn::{Mode, Net};
    /// # use wgrad_types::Type;
    /// # let net = Net::new(Mode::Train);
    /// let x = net.input("x", Type::f32(&[8, 20]));
    /// let y = net.linear("fc", &x, 5);
    /// assert_eq!(y.shape(), [8, 5]);
    /// assert_eq!(net.weights()[0].name, "fc.weight");
    /// ```
    ///
    /// # Panics
    /// If the name is taken, or `x` is a scalar.
    #[track_caller]
    pub fn linear(&self, name: &str, x: &Tensor, out: usize) -> Tensor {
        let fan_in = *x.shape().last().unwrap_or(&1);
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &[out, fan_in], Init::pytorch_default());
        let bound = 1.0 / (fan_in as f64).sqrt();
        let bias = self.weight(&format!("{name}.bias"), &[out], Init::Uniform { bound });
        x.linear(&weight, Some(&bias))
    }

    /// `torch.nn.Linear(bias=False)`: `[.., in] -> [.., out]`, f32; parameter `name.weight` `[out, in]`. Within
    /// [`Net::shared`] the name of an embedding ties the output to it.
    ///
    /// # Panics
    /// If the name is taken, or `x` is a scalar.
    #[track_caller]
    pub fn linear_no_bias(&self, name: &str, x: &Tensor, out: usize) -> Tensor {
        let fan_in = *x.shape().last().unwrap_or(&1);
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &[out, fan_in], Init::pytorch_default());
        x.linear(&weight, None)
    }

    /// `torch.nn.Conv2d`: `[N, C, H, W] -> [N, out, H', W']`, f32, with `H' = (H + 2 * padding - dilation * (kernel
    /// - 1) - 1) / stride + 1`, rounded down; parameters `name.weight` `[out, C / groups, KH, KW]`, `name.bias`
    /// `[out]`.
    ///
    /// ```
    /// # use wgrad_nn::{Conv, Mode, Net};
    /// # use wgrad_types::Type;
    /// # let net = Net::new(Mode::Train);
    /// let x = net.input("x", Type::f32(&[8, 3, 32, 32]));
    /// // 16 channels out, kernel 5, stride 1, padding 2.
    /// assert_eq!(net.conv2d("conv1", &x, Conv::new(16, 5, 1, 2)).shape(), [8, 16, 32, 32]);
    /// ```
    ///
    /// # Panics
    /// If the name is taken, or the rank is not 4, channels do not fit the groups, or the kernel exceeds the padded
    /// input.
    #[track_caller]
    pub fn conv2d(&self, name: &str, x: &Tensor, conv: Conv) -> Tensor {
        let channels = x.shape().get(1).copied().unwrap_or(1) / conv.spec.groups.max(1);
        let shape = [conv.out, channels, conv.kernel[0], conv.kernel[1]];
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &shape, conv.init);
        let bound = 1.0 / ((shape[1] * shape[2] * shape[3]) as f64).sqrt();
        let bias = match conv.bias {
            true => Some(self.weight(&format!("{name}.bias"), &[conv.out], Init::Uniform { bound })),
            false => None,
        };
        x.conv2d(&weight, bias.as_ref(), conv.spec)
    }

    /// `torch.nn.ConvTranspose2d`: `[N, C, H, W] -> [N, out, H', W']`, f32, with `H' = (H - 1) * stride - 2 *
    /// padding + dilation * (kernel - 1) + 1 + output_padding`; parameters `name.weight` `[C, out / groups, KH,
    /// KW]`, `name.bias` `[out]`.
    ///
    /// # Panics
    /// If the name is taken, or the rank is not 4, `output_padding` is not less than stride or dilation, or nothing
    /// is left of the image.
    #[track_caller]
    pub fn conv_transpose2d(&self, name: &str, x: &Tensor, conv: Conv) -> Tensor {
        let channels = x.shape().get(1).copied().unwrap_or(1);
        let shape = [channels, conv.out / conv.spec.groups.max(1), conv.kernel[0], conv.kernel[1]];
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &shape, conv.init);
        // As PyTorch does, from the weight's second axis.
        let bound = 1.0 / ((shape[1] * shape[2] * shape[3]) as f64).sqrt();
        let bias = match conv.bias {
            true => Some(self.weight(&format!("{name}.bias"), &[conv.out], Init::Uniform { bound })),
            false => None,
        };
        x.conv_transpose2d(&weight, bias.as_ref(), conv.spec, conv.output_padding)
    }

    /// `torch.nn.BatchNorm2d` (and 1d): `[N, C, ..]`, f32; parameters `name.weight`, `name.bias`, buffers
    /// `name.running_mean`, `name.running_var`, all `[C]`. In training the statistics of the batch normalise, and
    /// the running ones move towards them.
    ///
    /// ```
    /// # use wgrad_nn::{Mode, Net, Norm};
    /// # use wgrad_types::Type;
    /// # let net = Net::new(Mode::Train);
    /// let x = net.input("x", Type::f32(&[8, 16, 7, 7]));
    /// assert_eq!(net.batch_norm("bn1", &x, Norm::default()).shape(), x.shape());
    /// assert_eq!((net.weights().len(), net.parameters().len()), (2, 4));
    /// ```
    ///
    /// # Panics
    /// If the name is taken, or the rank is below 2, or a channel has a single value in training.
    #[track_caller]
    pub fn batch_norm(&self, name: &str, x: &Tensor, norm: Norm) -> Tensor {
        let channels = [x.shape().get(1).copied().unwrap_or(1)];
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &channels, Init::Ones);
        let bias = self.weight(&format!("{name}.bias"), &channels, Init::Zeros);
        let mean = self.buffer(&format!("{name}.running_mean"), &channels, Init::Zeros);
        let var = self.buffer(&format!("{name}.running_var"), &channels, Init::Ones);
        if self.mode() == Mode::Eval {
            return x.batch_norm_eval(&mean, &var, &weight, &bias, norm.eps);
        }
        let batch = x.batch_norm_train(&weight, &bias, norm.eps);
        // A layer used twice in a step updates its statistics twice.
        let moved = |old: &Tensor, new: &Tensor| {
            self.builder().pending(old) * (1.0 - norm.momentum) + new.detach() * norm.momentum
        };
        self.builder().update(&[(&mean, &moved(&mean, &batch.mean)), (&var, &moved(&var, &batch.var))]);
        batch.y
    }

    /// `torch.nn.LayerNorm` over the last axis: any shape, f32; parameters `name.weight`, `name.bias`, as long as
    /// that axis.
    ///
    /// # Panics
    /// If the name is taken, or `x` is a scalar.
    #[track_caller]
    pub fn layer_norm(&self, name: &str, x: &Tensor) -> Tensor {
        let last = [*x.shape().last().unwrap_or(&1)];
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &last, Init::Ones);
        let bias = self.weight(&format!("{name}.bias"), &last, Init::Zeros);
        x.layer_norm(&weight, Some(&bias), 1e-5)
    }

    /// `torch.nn.RMSNorm` over the last axis: any shape, f32; parameter `name.weight`, as long as that axis.
    ///
    /// # Panics
    /// If the name is taken, or `x` is a scalar.
    #[track_caller]
    pub fn rms_norm(&self, name: &str, x: &Tensor, eps: f64) -> Tensor {
        let last = [*x.shape().last().unwrap_or(&1)];
        let _scope = self.builder().scope(name);
        x.rms_norm(&self.weight(&format!("{name}.weight"), &last, Init::Ones), eps)
    }

    /// `torch.nn.GroupNorm`: `[N, C, ..]`, f32; parameters `name.weight`, `name.bias`, both `[C]`.
    ///
    /// # Panics
    /// If the name is taken, or the rank is below 2, or `groups` does not divide the channels.
    #[track_caller]
    pub fn group_norm(&self, name: &str, x: &Tensor, groups: usize) -> Tensor {
        let channels = [x.shape().get(1).copied().unwrap_or(1)];
        let _scope = self.builder().scope(name);
        let weight = self.weight(&format!("{name}.weight"), &channels, Init::Ones);
        let bias = self.weight(&format!("{name}.bias"), &channels, Init::Zeros);
        x.group_norm(groups, &weight, &bias, 1e-5)
    }

    /// `torch.nn.Embedding`: `[..]` i32 `-> [.., width]` f32; parameter `name.weight` `[entries, width]`, standard
    /// normal.
    ///
    /// ```
    /// # use wgrad_nn::{Mode, Net};
    /// # use wgrad_types::Type;
    /// # let net = Net::new(Mode::Train);
    /// let tokens = net.input("tokens", Type::i32(&[4, 10]));
    /// assert_eq!(net.embedding("wte", &tokens, 1000, 64).shape(), [4, 10, 64]);
    /// ```
    ///
    /// # Panics
    /// If the name is taken, or the index is not i32.
    #[track_caller]
    pub fn embedding(&self, name: &str, index: &Tensor, entries: usize, width: usize) -> Tensor {
        let _scope = self.builder().scope(name);
        let init = Init::Normal { mean: 0.0, std: 1.0 };
        self.weight(&format!("{name}.weight"), &[entries, width], init).embedding(index)
    }

    /// `torch.nn.Dropout`: any shape, f32; in training alone.
    ///
    /// # Panics
    /// If `p` is not in `[0, 1]`.
    #[track_caller]
    pub fn dropout(&self, x: &Tensor, p: f64) -> Tensor {
        match self.mode() {
            Mode::Train => x.dropout(p),
            Mode::Eval => x.clone(),
        }
    }
}
