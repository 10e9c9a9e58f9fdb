//! Small convolutional networks.

use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Net};

/// LeNet-5 with ReLU and max-pooling (LeCun et al., 1998): convolutions 6 and 16 of 5x5, dense 120, 84.
#[derive(Clone, Copy, Debug)]
pub struct LeNet {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
}

impl LeNet {
    /// `[N, C, 32, 32] -> [N, classes]`; parameters `conv1`, `conv2`, `fc1`, `fc2`, `fc3`.
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let half = Window::new(2, 2, 0);
        let n = |channels| crate::size::scaled(channels, self.width);
        let x = net.conv2d("conv1", x, Conv::new(n(6), 5, 1, 0)).relu().max_pool2d(half);
        let x = net.conv2d("conv2", &x, Conv::new(n(16), 5, 1, 0)).relu().max_pool2d(half);
        let x = net.linear("fc1", &x.flatten(1), n(120)).relu();
        let x = net.linear("fc2", &x, n(84)).relu();
        net.linear("fc3", &x, self.classes)
    }
}

/// The network of TensorFlow's CIFAR tutorial: convolutions 32, 64, 64 of 3x3, dense 64.
#[derive(Clone, Copy, Debug)]
pub struct CifarCnn {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
}

impl CifarCnn {
    /// `[N, C, 32, 32] -> [N, classes]`; parameters `conv1`, `conv2`, `conv3`, `fc1`, `fc2`.
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let half = Window::new(2, 2, 0);
        let n = |channels| crate::size::scaled(channels, self.width);
        let x = net.conv2d("conv1", x, Conv::new(n(32), 3, 1, 0)).relu().max_pool2d(half);
        let x = net.conv2d("conv2", &x, Conv::new(n(64), 3, 1, 0)).relu().max_pool2d(half);
        let x = net.conv2d("conv3", &x, Conv::new(n(64), 3, 1, 0)).relu();
        let x = net.linear("fc1", &x.flatten(1), n(64)).relu();
        net.linear("fc2", &x, self.classes)
    }
}
