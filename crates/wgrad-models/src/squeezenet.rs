//! SqueezeNet 1.1 (Iandola et al., 2016), layer for layer as torchvision has it: AlexNet's accuracy with a fiftieth of its
//! weights.

use crate::googlenet::halved;
use crate::size::{SMALL, scaled};
use wgrad_graph::Tensor;
use wgrad_nn::{Conv, Init, Net};

/// SqueezeNet's free choices.
#[derive(Clone, Copy, Debug)]
pub struct SqueezeNet {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
    /// Dropout before the last layer.
    pub dropout: f64,
}

/// Fire modules between pools: place in torchvision's `features`, width squeezed to, width of each half expanded to.
const STAGES: [&[(usize, usize, usize)]; 3] = [
    &[(3, 16, 64), (4, 16, 64)],
    &[(6, 32, 128), (7, 32, 128)],
    &[(9, 48, 192), (10, 48, 192), (11, 64, 256), (12, 64, 256)],
];

impl SqueezeNet {
    /// `[N, C, H, W] -> [N, classes]`. Below 64 pixels per side the first layer has stride 1. Parameters
    /// `features.0`, `features.N.{squeeze, expand1x1, expand3x3}`, `classifier.1`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let small = x.shape()[2].min(x.shape()[3]) < SMALL;
        let stem = Conv::new(scaled(64, self.width), 3, if small { 1 } else { 2 }, 0);
        let mut x = unit(net, "features.0", x, stem);
        for stage in STAGES {
            x = halved(&x);
            for &(place, squeezed, expanded) in stage {
                x = self.fire(net, &format!("features.{place}"), &x, squeezed, expanded);
            }
        }
        let last = Conv { init: Init::Normal { mean: 0.0, std: 0.01 }, ..Conv::new(self.classes, 1, 1, 0) };
        let maps = net.conv2d("classifier.1", &net.dropout(&x, self.dropout), last).relu();
        maps.adaptive_avg_pool2d([1, 1]).flatten(1)
    }

    fn fire(&self, net: &Net, name: &str, x: &Tensor, squeezed: usize, expanded: usize) -> Tensor {
        let [squeezed, expanded] = [squeezed, expanded].map(|n| scaled(n, self.width));
        let x = unit(net, &format!("{name}.squeeze"), x, Conv::new(squeezed, 1, 1, 0));
        let narrow = unit(net, &format!("{name}.expand1x1"), &x, Conv::new(expanded, 1, 1, 0));
        let wide = unit(net, &format!("{name}.expand3x3"), &x, Conv::new(expanded, 3, 1, 1));
        Tensor::concat(&[&narrow, &wide], 1)
    }
}

/// A convolution and its ReLU.
fn unit(net: &Net, name: &str, x: &Tensor, conv: Conv) -> Tensor {
    net.conv2d(name, x, Conv { init: Init::KaimingUniform { gain: std::f64::consts::SQRT_2 }, ..conv }).relu()
}
