//! AlexNet, single column (Krizhevsky, "One weird trick", 2014), layer for layer as torchvision has it.

use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Net};

/// AlexNet's free choices.
#[derive(Clone, Copy, Debug)]
pub struct AlexNet {
    /// Outputs.
    pub classes: usize,
    /// Channels of the five convolutions.
    pub channels: [usize; 5],
    /// Width of the two hidden dense layers.
    pub hidden: usize,
    /// Dropout before each of them.
    pub dropout: f64,
}

impl AlexNet {
    /// torchvision's widths times a factor, dropout 0.5.
    pub fn new(classes: usize, width: f64) -> Self {
        let n = |channels| crate::size::scaled(channels, width);
        Self { classes, channels: [n(64), n(192), n(384), n(256), n(256)], hidden: n(4096), dropout: 0.5 }
    }

    /// `[N, C, H, W] -> [N, classes]` for sides of 63 and more; parameters `features.0`, `.3`, `.6`, `.8`, `.10` and
    /// `classifier.1`, `.4`, `.6`, as in torchvision.
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let [c1, c2, c3, c4, c5] = self.channels;
        let pool = Window::new(3, 2, 0);
        let x = net.conv2d("features.0", x, Conv::new(c1, 11, 4, 2)).relu().max_pool2d(pool);
        let x = net.conv2d("features.3", &x, Conv::new(c2, 5, 1, 2)).relu().max_pool2d(pool);
        let x = net.conv2d("features.6", &x, Conv::new(c3, 3, 1, 1)).relu();
        let x = net.conv2d("features.8", &x, Conv::new(c4, 3, 1, 1)).relu();
        let x = net.conv2d("features.10", &x, Conv::new(c5, 3, 1, 1)).relu().max_pool2d(pool);
        let x = x.adaptive_avg_pool2d([6, 6]).flatten(1);
        let x = net.linear("classifier.1", &net.dropout(&x, self.dropout), self.hidden).relu();
        let x = net.linear("classifier.4", &net.dropout(&x, self.dropout), self.hidden).relu();
        net.linear("classifier.6", &x, self.classes)
    }
}
