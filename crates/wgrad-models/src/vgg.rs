//! VGG-11 (Simonyan and Zisserman, 2015), layer for layer as torchvision has it, without batch normalisation.

use crate::size::scaled;
use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Init, Net};

/// VGG-11's free choices.
#[derive(Clone, Copy, Debug)]
pub struct Vgg11 {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
    /// Dropout after each of the two hidden dense layers.
    pub dropout: f64,
}

/// Channels of the convolutions, `None` for a pool.
const LAYERS: [Option<usize>; 13] = [
    Some(64),
    None,
    Some(128),
    None,
    Some(256),
    Some(256),
    None,
    Some(512),
    Some(512),
    None,
    Some(512),
    Some(512),
    None,
];

impl Vgg11 {
    /// `[N, C, H, W] -> [N, classes]` for sides of 32 and more. Parameters `features.N` and `classifier.0`, `.3`, `.6`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let (mut x, mut place) = (x.clone(), 0);
        for layer in LAYERS {
            match layer {
                Some(channels) => {
                    let init = Init::KaimingNormalFanOut { gain: 2f64.sqrt() };
                    let conv = Conv { init, ..Conv::new(scaled(channels, self.width), 3, 1, 1) };
                    x = net.conv2d(&format!("features.{place}"), &x, conv).relu();
                    // A convolution and its ReLU count as two.
                    place += 2;
                }
                None => {
                    x = x.max_pool2d(Window::new(2, 2, 0));
                    place += 1;
                }
            }
        }
        let hidden = scaled(4096, self.width);
        let x = x.adaptive_avg_pool2d([7, 7]).flatten(1);
        let x = net.dropout(&net.linear("classifier.0", &x, hidden).relu(), self.dropout);
        let x = net.dropout(&net.linear("classifier.3", &x, hidden).relu(), self.dropout);
        net.linear("classifier.6", &x, self.classes)
    }
}
