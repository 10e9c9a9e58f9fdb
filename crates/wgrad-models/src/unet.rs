//! U-Net (Ronneberger et al., 2015), a classifier of pixels: with padding and batch normalisation, so that
//! the result has the picture's size, and with the names of the widely used PyTorch version
//! (milesial/Pytorch-UNet).

use crate::ModelError;
use crate::size::scaled;
use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Net, Norm};

/// U-Net's free choices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UNet {
    /// Number of classes.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
}

/// Times the picture is halved, and doubled again.
const HALVINGS: usize = 4;

impl UNet {
    /// Checks the configuration for pictures of this height and width.
    ///
    /// # Errors
    /// If a side is no multiple of 16, there are fewer than two classes, or the width is not positive.
    pub fn check(&self, size: (usize, usize)) -> Result<(), ModelError> {
        let fail = |what: String| Err(ModelError::Invalid { what });
        let unit = 1 << HALVINGS;
        if size.0 == 0 || size.1 == 0 || !size.0.is_multiple_of(unit) || !size.1.is_multiple_of(unit) {
            let (height, width) = size;
            return fail(format!(
                "unet needs sides that are multiples of {unit}, got {height}x{width}: set `image_size`"
            ));
        }
        if self.classes < 2 {
            return fail(format!("unet needs at least 2 classes of pixels, got {}", self.classes));
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return fail(format!("width {} must be above 0 and at most 64", self.width));
        }
        Ok(())
    }

    /// Values per channel and picture at the net's narrowest level.
    pub fn smallest(size: (usize, usize)) -> usize {
        (size.0 >> HALVINGS) * (size.1 >> HALVINGS)
    }

    /// Pictures `[N, C, H, W]` to logits of each pixel's class `[N, classes, H, W]`. Parameters `inc`, `down1` to `down4`,
    /// `up1` to `up4`, `outc`.
    ///
    /// # Errors
    /// As [`UNet::check`].
    pub fn build(&self, net: &Net, x: &Tensor) -> Result<Tensor, ModelError> {
        self.check((x.shape()[2], x.shape()[3]))?;
        let channels = |level: usize| scaled(64 << level, self.width);
        let mut levels = vec![double(net, "inc.double_conv", x, channels(0))];
        for level in 1..=HALVINGS {
            let halved = levels[level - 1].max_pool2d(Window::new(2, 2, 0));
            let name = format!("down{level}.maxpool_conv.1.double_conv");
            levels.push(double(net, &name, &halved, channels(level)));
        }
        let mut y = levels.remove(HALVINGS);
        for (step, level) in (0..HALVINGS).rev().enumerate() {
            let name = format!("up{}", step + 1);
            y = net.conv_transpose2d(&format!("{name}.up"), &y, Conv::new(channels(level), 2, 2, 0));
            // Skip connection beside the upsampled features.
            let both = Tensor::concat(&[&levels[level], &y], 1);
            y = double(net, &format!("{name}.conv.double_conv"), &both, channels(level));
        }
        Ok(net.conv2d("outc.conv", &y, Conv::new(self.classes, 1, 1, 0)))
    }
}

/// Twice a 3x3 convolution, batch normalisation and ReLU.
fn double(net: &Net, name: &str, x: &Tensor, channels: usize) -> Tensor {
    let mut x = x.clone();
    for place in [0, 3] {
        let y = net.conv2d(&format!("{name}.{place}"), &x, Conv::new(channels, 3, 1, 1).no_bias());
        x = net.batch_norm(&format!("{name}.{}", place + 1), &y, Norm::default()).relu();
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;
    use wgrad_types::Type;

    /// `UNet(n_channels=3, n_classes=2, bilinear=False)` of Pytorch-UNet.
    #[test]
    fn unet_parameter_count_matches_pytorch() {
        let net = Net::new(Mode::Train);
        let x = net.input("x", Type::f32(&[1, 3, 32, 48]));
        let y = UNet { classes: 2, width: 1.0 }.build(&net, &x).expect("a model");
        assert_eq!(y.shape(), [1, 2, 32, 48]);
        assert_eq!(net.weights().iter().map(|p| p.tensor.numel()).sum::<usize>(), 31_037_698);
        let names: Vec<String> = net.weights().into_iter().map(|p| p.name).collect();
        for name in [
            "inc.double_conv.1.bias",
            "down4.maxpool_conv.1.double_conv.3.weight",
            "up1.up.weight",
            "up4.conv.double_conv.4.weight",
            "outc.conv.bias",
        ] {
            assert!(names.contains(&name.to_owned()), "no {name}");
        }
    }

    #[test]
    fn unet_sides_must_be_multiples_of_16() {
        let model = UNet { classes: 2, width: 0.1 };
        assert!(model.check((16, 64)).is_ok());
        for size in [(0, 16), (24, 16), (16, 8)] {
            assert!(model.check(size).is_err(), "{size:?}");
        }
    }
}
