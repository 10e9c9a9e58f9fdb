//! Residual networks (He et al., 2016), layer for layer as torchvision has them.

use crate::size::{SMALL, scaled};
use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Init, Net, Norm};

/// A residual network's free choices.
#[derive(Clone, Copy, Debug)]
pub struct ResNet {
    /// Outputs.
    pub classes: usize,
    /// Blocks of the four stages.
    pub blocks: [usize; 4],
    /// Blocks of 1x1, 3x3, 1x1 with four times the channels at the end, instead of two 3x3.
    pub bottleneck: bool,
    /// Factor on every width.
    pub width: f64,
}

impl ResNet {
    /// ResNet-18.
    pub fn resnet18(classes: usize, width: f64) -> Self {
        Self { classes, blocks: [2, 2, 2, 2], bottleneck: false, width }
    }

    /// ResNet-34.
    pub fn resnet34(classes: usize, width: f64) -> Self {
        Self { classes, blocks: [3, 4, 6, 3], bottleneck: false, width }
    }

    /// ResNet-50.
    pub fn resnet50(classes: usize, width: f64) -> Self {
        Self { classes, blocks: [3, 4, 6, 3], bottleneck: true, width }
    }

    /// `[N, C, H, W] -> [N, classes]`. Below 64 pixels per side the stem is CIFAR's, one 3x3 convolution
    /// without a pool; from there on ImageNet's, 7x7 with stride 2 and a pool. Parameters `conv1`, `bn1`,
    /// `layerN.M.{conv1,bn1,..}`, `layerN.M.downsample.{0,1}`, `fc`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let stem = scaled(64, self.width);
        let mut x = if x.shape()[2].min(x.shape()[3]) < SMALL {
            unit(net, "conv1", "bn1", x, conv(stem, 3, 1)).relu()
        } else {
            let x = unit(net, "conv1", "bn1", x, conv(stem, 7, 2)).relu();
            x.max_pool2d(Window::new(3, 2, 1))
        };
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let channels = scaled(64 << stage, self.width);
                x = self.block(net, &format!("layer{}.{block}", stage + 1), &x, channels, stride);
            }
        }
        net.linear("fc", &x.adaptive_avg_pool2d([1, 1]).flatten(1), self.classes)
    }

    fn block(&self, net: &Net, name: &str, x: &Tensor, channels: usize, stride: usize) -> Tensor {
        let unit = |i: usize, x: &Tensor, conv| {
            unit(net, &format!("{name}.conv{i}"), &format!("{name}.bn{i}"), x, conv)
        };
        let out = if self.bottleneck { 4 * channels } else { channels };
        let y = if self.bottleneck {
            let y = unit(1, x, conv(channels, 1, 1)).relu();
            let y = unit(2, &y, conv(channels, 3, stride)).relu();
            unit(3, &y, conv(out, 1, 1))
        } else {
            let y = unit(1, x, conv(channels, 3, stride)).relu();
            unit(2, &y, conv(out, 3, 1))
        };
        let skip = if stride != 1 || x.shape()[1] != out {
            let (conv_name, norm_name) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
            self::unit(net, &conv_name, &norm_name, x, conv(out, 1, stride))
        } else {
            x.clone()
        };
        (y + skip).relu()
    }
}

/// A convolution without bias, size-preserving at stride 1.
fn conv(out: usize, kernel: usize, stride: usize) -> Conv {
    let init = Init::KaimingNormalFanOut { gain: 2f64.sqrt() };
    Conv { init, ..Conv::new(out, kernel, stride, kernel / 2).no_bias() }
}

/// A convolution and its batch normalisation.
fn unit(net: &Net, conv_name: &str, norm_name: &str, x: &Tensor, conv: Conv) -> Tensor {
    net.batch_norm(norm_name, &net.conv2d(conv_name, x, conv), Norm::default())
}
