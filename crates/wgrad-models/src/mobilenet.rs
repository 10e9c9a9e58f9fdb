//! MobileNetV2 (Sandler et al., 2018), layer for layer as torchvision has it.

use crate::size::{SMALL, scaled};
use wgrad_graph::Tensor;
use wgrad_graph::ops::ConvSpec;
use wgrad_nn::{Conv, Init, Net, Norm};

/// MobileNetV2's free choices.
#[derive(Clone, Copy, Debug)]
pub struct MobileNetV2 {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
    /// Dropout before the last layer.
    pub dropout: f64,
}

/// Stages of inverted residuals: expansion, channels, blocks, stride of the first.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

impl MobileNetV2 {
    /// `[N, C, H, W] -> [N, classes]`. Below 64 pixels per side the first two strides of 2 are 1, as is usual
    /// for CIFAR. Parameters `features.N` and `classifier.1`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let small = x.shape()[2].min(x.shape()[3]) < SMALL;
        let n = |channels| scaled(channels, self.width);
        let mut x = unit(net, "features.0", x, n(32), 3, if small { 1 } else { 2 }, 1).clamp(0.0, 6.0);
        let mut place = 1;
        for (stage, (expansion, channels, blocks, stride)) in STAGES.into_iter().enumerate() {
            for block in 0..blocks {
                let first = if block == 0 && !(small && stage == 1) { stride } else { 1 };
                let name = format!("features.{place}.conv");
                x = inverted_residual(net, &name, &x, n(channels), expansion, first);
                place += 1;
            }
        }
        // The last width is never narrowed below torchvision's.
        let x = unit(net, &format!("features.{place}"), &x, n(1280).max(1280), 1, 1, 1).clamp(0.0, 6.0);
        let x = x.adaptive_avg_pool2d([1, 1]).flatten(1);
        net.linear("classifier.1", &net.dropout(&x, self.dropout), self.classes)
    }
}

fn inverted_residual(
    net: &Net,
    name: &str,
    x: &Tensor,
    out: usize,
    expansion: usize,
    stride: usize,
) -> Tensor {
    let input = x.shape()[1];
    let wide = input * expansion;
    let mut y = x.clone();
    let mut at = 0;
    if expansion > 1 {
        y = unit(net, &format!("{name}.0"), &y, wide, 1, 1, 1).clamp(0.0, 6.0);
        at = 1;
    }
    y = unit(net, &format!("{name}.{at}"), &y, wide, 3, stride, wide).clamp(0.0, 6.0);
    let narrow = net.conv2d(&format!("{name}.{}", at + 1), &y, conv(out, 1, 1, 1));
    y = net.batch_norm(&format!("{name}.{}", at + 2), &narrow, Norm::default());
    if stride == 1 && input == out { x + y } else { y }
}

fn conv(out: usize, kernel: usize, stride: usize, groups: usize) -> Conv {
    let init = Init::KaimingNormalFanOut { gain: 1.0 };
    let conv = Conv::new(out, kernel, stride, kernel / 2).no_bias();
    Conv { init, spec: ConvSpec { groups, ..conv.spec }, ..conv }
}

/// A convolution `name.0` and its batch normalisation `name.1`.
fn unit(
    net: &Net,
    name: &str,
    x: &Tensor,
    out: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Tensor {
    let y = net.conv2d(&format!("{name}.0"), x, conv(out, kernel, stride, groups));
    net.batch_norm(&format!("{name}.1"), &y, Norm::default())
}
