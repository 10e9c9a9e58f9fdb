//! DCGAN (Radford et al., 2016), with the layers and names of PyTorch's example: a generator of pictures from
//! noise, and a discriminator between generated and real ones.
//!
//! Each player's step is a graph of its own, with its own optimizer; `Session::over` runs both over one set of tensors.

use crate::ModelError;
use wgrad_graph::Tensor;
use wgrad_nn::{Conv, Init, Net, Norm};

/// Both players' free choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DcGan {
    /// Numbers a picture is made from.
    pub noise: usize,
    /// Channels of a picture.
    pub channels: usize,
    /// Its height and width: 8, 16, 32, 64, ...
    pub side: usize,
    /// Channels of the layers next to the picture; they double with each halving of the side.
    pub width: usize,
}

/// The side of the first and last feature maps.
const LEAST: usize = 4;

/// Convolutions start normal with this deviation.
const STD: f64 = 0.02;

/// A 4x4 convolution without bias.
fn conv(out: usize, stride: usize, padding: usize) -> Conv {
    let init = Init::Normal { mean: 0.0, std: STD };
    Conv { init, ..Conv::new(out, LEAST, stride, padding).no_bias() }
}

impl DcGan {
    /// Pictures of 64x64 from 100 numbers, 64 channels next to them.
    pub fn new(channels: usize) -> Self {
        Self { noise: 100, channels, side: 64, width: 64 }
    }

    /// Checks the configuration before the players are built.
    ///
    /// # Errors
    /// If the side is no power of two from 8 on, or anything else is 0.
    pub fn check(&self) -> Result<(), ModelError> {
        let fail = |what: String| Err(ModelError::Invalid { what });
        if !self.side.is_power_of_two() || !(2 * LEAST..=1024).contains(&self.side) {
            return fail(format!(
                "dcgan makes pictures of 8, 16, 32, .. 1024 pixels a side, not {}",
                self.side
            ));
        }
        if self.noise == 0 || self.channels == 0 || self.width == 0 {
            return fail("dcgan needs noise, channels and a width of at least 1".into());
        }
        Ok(())
    }

    /// Times the side doubles from [`LEAST`].
    fn doublings(&self) -> usize {
        (self.side / LEAST).ilog2() as usize
    }

    /// Noise for so many pictures, `[N, noise]`: uniform in [-1, 1), new at every step.
    pub fn draw(&self, net: &Net, pictures: usize) -> Tensor {
        net.builder().rand(&[pictures, self.noise]) * 2.0 - 1.0
    }

    /// Noise `[N, noise]` to pictures `[N, channels, side, side]` in (-1, 1). Parameters `generator.main.N`.
    ///
    /// # Errors
    /// As [`DcGan::check`].
    pub fn generator(&self, net: &Net, noise: &Tensor) -> Result<Tensor, ModelError> {
        self.check()?;
        let name = |place: usize| format!("generator.main.{place}");
        let mut x = noise.reshape(&[noise.shape()[0], self.noise, 1, 1]);
        for i in 0..self.doublings() {
            let (stride, padding) = if i == 0 { (1, 0) } else { (2, 1) };
            let channels = self.width << (self.doublings() - 1 - i);
            // A convolution, its norm and its ReLU count as three.
            let y = net.conv_transpose2d(&name(3 * i), &x, conv(channels, stride, padding));
            x = net.batch_norm(&name(3 * i + 1), &y, Norm::default()).relu();
        }
        Ok(net.conv_transpose2d(&name(3 * self.doublings()), &x, conv(self.channels, 2, 1)).tanh())
    }

    /// Pictures `[N, channels, side, side]` to logits `[N]` of their being real. Parameters `discriminator.main.N`.
    ///
    /// # Errors
    /// As [`DcGan::check`].
    pub fn discriminator(&self, net: &Net, pictures: &Tensor) -> Result<Tensor, ModelError> {
        self.check()?;
        let name = |place: usize| format!("discriminator.main.{place}");
        // The first layer has no norm, so its activation is place 1; those after it count three each.
        let mut x = net.conv2d(&name(0), pictures, conv(self.width, 2, 1)).leaky_relu(0.2);
        for i in 1..self.doublings() {
            let y = net.conv2d(&name(3 * i - 1), &x, conv(self.width << i, 2, 1));
            x = net.batch_norm(&name(3 * i), &y, Norm::default()).leaky_relu(0.2);
        }
        let logits = net.conv2d(&name(3 * self.doublings() - 1), &x, conv(1, 1, 0));
        Ok(logits.reshape(&[pictures.shape()[0]]))
    }

    /// The discriminator's loss: cross-entropy for real pictures as real, and as many generated ones as
    /// generated. For the weights named `discriminator.*`; the generator is only read.
    ///
    /// # Errors
    /// As [`DcGan::check`].
    pub fn discriminator_loss(&self, net: &Net, real: &Tensor) -> Result<Tensor, ModelError> {
        let (real, made) = self.judged(net, real)?;
        Ok(Self::telling_apart(&real, &made))
    }

    /// The discriminator's logits of real pictures, and of as many generated ones.
    ///
    /// # Errors
    /// As [`DcGan::check`].
    pub fn judged(&self, net: &Net, real: &Tensor) -> Result<(Tensor, Tensor), ModelError> {
        let made = self.generator(net, &self.draw(net, real.shape()[0]))?.detach();
        let real = self.discriminator(net, real)?;
        Ok((real, net.shared(|| self.discriminator(net, &made))?))
    }

    /// [`DcGan::discriminator_loss`] of those logits.
    pub fn telling_apart(real: &Tensor, made: &Tensor) -> Tensor {
        real.bce_with_logits_loss(&real.full_like(1.0)) + made.bce_with_logits_loss(&made.zeros_like())
    }

    /// The generator's loss: cross-entropy for `pictures` generated ones as real. For the weights named
    /// `generator.*`.
    ///
    /// # Errors
    /// As [`DcGan::check`].
    pub fn generator_loss(&self, net: &Net, pictures: usize) -> Result<Tensor, ModelError> {
        let made = self.discriminator(net, &self.generator(net, &self.draw(net, pictures))?)?;
        Ok(made.bce_with_logits_loss(&made.full_like(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;
    use wgrad_types::Type;

    fn counts(model: DcGan, net: &Net) -> (usize, usize) {
        let own = |player: &str| {
            let weights = net.weights().into_iter().filter(|p| p.name.starts_with(player));
            weights.map(|p| p.tensor.numel()).sum()
        };
        let x = net.input("x", Type::f32(&[2, model.channels, model.side, model.side]));
        assert_eq!(model.discriminator_loss(net, &x).expect("a model").numel(), 1);
        (own("generator."), own("discriminator."))
    }

    /// The counts of `netG` and `netD` in PyTorch's example.
    #[test]
    fn dcgan_parameter_count_matches_pytorch_example() {
        let net = Net::new(Mode::Train);
        assert_eq!(counts(DcGan::new(3), &net), (3_576_704, 2_765_568));
        let names: Vec<String> = net.weights().into_iter().map(|p| p.name).collect();
        for name in ["generator.main.0", "generator.main.10", "generator.main.12"] {
            assert!(names.contains(&format!("{name}.weight")), "no {name}");
        }
        for name in
            ["discriminator.main.0", "discriminator.main.2", "discriminator.main.9", "discriminator.main.11"]
        {
            assert!(names.contains(&format!("{name}.weight")), "no {name}");
        }
        assert!(!names.contains(&"discriminator.main.12.weight".to_owned()));
    }

    #[test]
    fn dcgan_generates_pictures_of_every_side() {
        for side in [8, 16, 32] {
            let model = DcGan { noise: 5, side, width: 2, ..DcGan::new(1) };
            let net = Net::new(Mode::Train);
            let made = model.generator(&net, &model.draw(&net, 3)).expect("a model");
            assert_eq!(made.shape(), [3, 1, side, side]);
        }
        for side in [4, 24, 28] {
            assert!(DcGan { side, ..DcGan::new(1) }.check().is_err(), "{side}");
        }
    }

    #[test]
    fn dcgan_norm_used_twice_updates_twice() {
        let net = Net::new(Mode::Train);
        counts(DcGan { noise: 5, side: 8, width: 2, ..DcGan::new(1) }, &net);
        let graph = net.builder().graph();
        let mut targets: Vec<_> = graph.updates.iter().map(|u| u.target).collect();
        let all = targets.len();
        targets.sort_unstable();
        targets.dedup();
        assert_eq!(targets.len(), all, "a target has one update");
    }
}
