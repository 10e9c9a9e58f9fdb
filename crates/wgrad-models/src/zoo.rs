//! Models by name, for the command line: the list, image sizes, and building.

use crate::googlenet::AUXILIARY_WEIGHT;
use crate::size::scaled;
use crate::{AlexNet, CifarCnn, GoogLeNet, LeNet, Linear, Mlp, MobileNetV2, ResNet, SqueezeNet, Vgg11, ViT};
use std::str::FromStr;
use wgrad_graph::Tensor;
use wgrad_nn::Net;
use wgrad_types::Type;

/// Longest side of an image.
const MOST_SIDE: usize = 1 << 16;

/// A model of the zoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Logistic regression.
    Linear,
    /// Two hidden layers of 256 and 128.
    Mlp,
    /// LeNet-5.
    LeNet,
    /// Three convolutions for 32x32 images.
    CifarCnn,
    /// AlexNet.
    AlexNet,
    /// ResNet-18.
    ResNet18,
    /// ResNet-34.
    ResNet34,
    /// ResNet-50.
    ResNet50,
    /// VGG-11.
    Vgg11,
    /// GoogLeNet, the first Inception network.
    Inception,
    /// MobileNetV2.
    MobileNetV2,
    /// SqueezeNet 1.1.
    SqueezeNet,
    /// A Vision Transformer.
    ViT,
}

/// Every model with its name and a line about it.
pub const ZOO: &[(&str, ModelKind, &str)] = &[
    ("linear", ModelKind::Linear, "one linear layer"),
    ("mlp", ModelKind::Mlp, "dense 256, 128"),
    ("lenet", ModelKind::LeNet, "LeNet-5: 2 convolutions, 3 dense layers, 32x32 images"),
    ("cifar-cnn", ModelKind::CifarCnn, "3 convolutions, 2 dense layers, 32x32 images"),
    ("alexnet", ModelKind::AlexNet, "AlexNet as in torchvision, 224x224 images or other sizes from 63 on"),
    ("resnet18", ModelKind::ResNet18, "ResNet-18 as in torchvision; CIFAR's stem below 64x64"),
    ("resnet34", ModelKind::ResNet34, "ResNet-34 as in torchvision; CIFAR's stem below 64x64"),
    ("resnet50", ModelKind::ResNet50, "ResNet-50 as in torchvision; CIFAR's stem below 64x64"),
    ("vgg11", ModelKind::Vgg11, "VGG-11 as in torchvision, 224x224 images or other sizes from 32 on"),
    (
        "inception",
        ModelKind::Inception,
        "GoogLeNet as published, auxiliary heads in training; a small first layer below 64x64",
    ),
    ("mobilenet-v2", ModelKind::MobileNetV2, "MobileNetV2 as in torchvision; CIFAR's strides below 64x64"),
    ("squeezenet", ModelKind::SqueezeNet, "SqueezeNet 1.1 as in torchvision; stride 1 at first below 64x64"),
    ("vit", ModelKind::ViT, "Vision Transformer, DeiT's tiny shape; patches of 4 below 64x64"),
];

/// Why a model cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No model has this name.
    #[error("unknown model {name:?}: use one of {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The images are too small for the layers.
    #[error("{model} needs images of at least {least}x{least}, got {height}x{width}: raise `image_size`")]
    TooSmall {
        /// The model.
        model: &'static str,
        /// Its smallest side.
        least: usize,
        /// Height given.
        height: usize,
        /// Width given.
        width: usize,
    },
    /// An invalid number.
    #[error("{what}")]
    Invalid {
        /// The number and the reason.
        what: String,
    },
}

impl FromStr for ModelKind {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, ModelError> {
        ZOO.iter().find(|m| m.0 == name).map(|m| m.1).ok_or_else(|| ModelError::Unknown {
            name: name.into(),
            known: ZOO.iter().map(|m| m.0).collect::<Vec<_>>().join(", "),
        })
    }
}

impl ModelKind {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        ZOO.iter().find(|m| m.1 == self).map_or("", |m| m.0)
    }

    /// The intended image side; `None` if any will do.
    pub fn image_size(self) -> Option<usize> {
        match self {
            Self::Linear | Self::Mlp => None,
            Self::ResNet18 | Self::ResNet34 | Self::ResNet50 => None,
            Self::Inception | Self::MobileNetV2 | Self::SqueezeNet | Self::ViT => None,
            Self::LeNet | Self::CifarCnn => Some(32),
            Self::AlexNet | Self::Vgg11 => Some(224),
        }
    }

    fn least_side(self) -> usize {
        match self {
            Self::Linear | Self::Mlp => 1,
            Self::LeNet => 16,
            Self::CifarCnn => 18,
            Self::AlexNet => 63,
            // Four values per channel and image at the end: enough for batch statistics of one image.
            Self::ResNet18 | Self::ResNet34 | Self::ResNet50 | Self::MobileNetV2 => 16,
            Self::SqueezeNet => 16,
            Self::Inception | Self::Vgg11 => 32,
            Self::ViT => 8,
        }
    }
}

/// An image classifier: model, input and classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageModel {
    /// Kind of model.
    pub kind: ModelKind,
    /// Image channels.
    pub channels: usize,
    /// Image height and width.
    pub size: (usize, usize),
    /// Classes.
    pub classes: usize,
    /// Factor on the model's widths.
    pub width: f64,
}

impl ImageModel {
    /// Checks the configuration before the model is built.
    ///
    /// # Errors
    /// If images are too small, there are no classes, or the width is not positive.
    pub fn check(&self) -> Result<(), ModelError> {
        let least = self.kind.least_side();
        if self.size.0 < least || self.size.1 < least {
            return Err(ModelError::TooSmall {
                model: self.kind.name(),
                least,
                height: self.size.0,
                width: self.size.1,
            });
        }
        if self.size.0.max(self.size.1) > MOST_SIDE {
            let what = format!("images of {}x{}: at most {MOST_SIDE} per side", self.size.0, self.size.1);
            return Err(ModelError::Invalid { what });
        }
        if self.classes < 2 || self.channels == 0 {
            let what = format!(
                "a classifier needs at least 2 classes and 1 channel, got {} and {}: check `data`",
                self.classes, self.channels
            );
            return Err(ModelError::Invalid { what });
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return Err(ModelError::Invalid {
                what: format!("width {:e} must be above 0 and at most 64", self.width),
            });
        }
        Ok(())
    }

    /// The type of a batch of images.
    pub fn input(&self, batch: usize) -> Type {
        Type::f32(&[batch, self.channels, self.size.0, self.size.1])
    }

    /// Logits `[N, classes]` of images `[N, C, H, W]`.
    ///
    /// # Errors
    /// As [`ImageModel::check`].
    pub fn build(&self, net: &Net, x: &Tensor) -> Result<Tensor, ModelError> {
        self.check()?;
        let (classes, width) = (self.classes, self.width);
        Ok(match self.kind {
            ModelKind::Linear => Linear { classes }.build(net, x),
            ModelKind::Mlp => {
                Mlp { hidden: vec![scaled(256, width), scaled(128, width)], classes }.build(net, x)
            }
            ModelKind::LeNet => LeNet { classes, width }.build(net, x),
            ModelKind::CifarCnn => CifarCnn { classes, width }.build(net, x),
            ModelKind::AlexNet => AlexNet::new(classes, width).build(net, x),
            ModelKind::ResNet18 => ResNet::resnet18(classes, width).build(net, x),
            ModelKind::ResNet34 => ResNet::resnet34(classes, width).build(net, x),
            ModelKind::ResNet50 => ResNet::resnet50(classes, width).build(net, x),
            ModelKind::Vgg11 => Vgg11 { classes, width, dropout: 0.5 }.build(net, x),
            ModelKind::Inception => self.googlenet().build(net, x),
            ModelKind::MobileNetV2 => MobileNetV2 { classes, width, dropout: 0.2 }.build(net, x),
            ModelKind::SqueezeNet => SqueezeNet { classes, width, dropout: 0.5 }.build(net, x),
            ModelKind::ViT => ViT::tiny(classes, width, self.size.0.min(self.size.1)).build(net, x),
        })
    }

    /// Like [`ImageModel::build`] for a training step: with the logits of auxiliary heads, present in
    /// training only, and the weight of each one's loss.
    ///
    /// # Errors
    /// As [`ImageModel::check`].
    pub fn build_for_training(
        &self,
        net: &Net,
        x: &Tensor,
    ) -> Result<(Tensor, Vec<(Tensor, f64)>), ModelError> {
        if self.kind != ModelKind::Inception {
            return Ok((self.build(net, x)?, Vec::new()));
        }
        self.check()?;
        let (logits, heads) = self.googlenet().build_with_auxiliary(net, x);
        Ok((logits, heads.into_iter().map(|head| (head, AUXILIARY_WEIGHT)).collect()))
    }

    fn googlenet(&self) -> GoogLeNet {
        GoogLeNet { classes: self.classes, width: self.width, dropout: 0.4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;

    fn weights(name: &str, side: usize, classes: usize, width: f64) -> Vec<(String, usize)> {
        let kind = name.parse().expect("a model");
        let model = ImageModel { kind, channels: 3, size: (side, side), classes, width };
        let net = Net::new(Mode::Train);
        let x = net.input("x", model.input(2));
        assert_eq!(model.build(&net, &x).expect("a model").shape(), [2, classes]);
        net.weights().into_iter().map(|p| (p.name, p.tensor.numel())).collect()
    }

    /// The counts torchvision's documentation gives for 1,000 classes.
    #[test]
    fn zoo_parameter_counts_match_torchvision() {
        for (name, count) in [
            ("alexnet", 61_100_840),
            ("resnet18", 11_689_512),
            ("resnet34", 21_797_672),
            ("resnet50", 25_557_032),
            ("vgg11", 132_863_336),
            ("mobilenet-v2", 3_504_872),
            ("squeezenet", 1_235_496),
        ] {
            let own: usize = weights(name, 224, 1000, 1.0).iter().map(|w| w.1).sum();
            assert_eq!(own, count, "{name}");
        }
    }

    #[test]
    fn vit_parameter_count_matches_torchvision() {
        let net = Net::new(Mode::Train);
        ViT::base(1000).build(&net, &net.input("x", Type::f32(&[1, 3, 224, 224])));
        let weights = net.weights();
        assert_eq!(weights.iter().map(|p| p.tensor.numel()).sum::<usize>(), 86_567_656);
        for name in [
            "class_token",
            "encoder.layers.encoder_layer_11.self_attention.in_proj_weight",
            "heads.head.bias",
        ] {
            assert!(weights.iter().any(|p| p.name == name), "no {name}");
        }
    }

    #[test]
    fn zoo_weight_names_match_torchvision() {
        let has = |model: &str, names: &[&str]| {
            let all = weights(model, 64, 10, 0.25);
            for name in names {
                assert!(all.iter().any(|w| w.0 == *name), "{model} has no {name}");
            }
        };
        has(
            "resnet50",
            &["conv1.weight", "bn1.bias", "layer2.0.downsample.1.weight", "layer4.2.conv3.weight", "fc.bias"],
        );
        has("squeezenet", &["features.0.bias", "features.12.expand3x3.weight", "classifier.1.weight"]);
        has("vgg11", &["features.0.weight", "features.18.bias", "classifier.6.weight"]);
        has(
            "mobilenet-v2",
            &[
                "features.0.0.weight",
                "features.1.conv.0.0.weight",
                "features.1.conv.1.weight",
                "features.1.conv.2.bias",
                "features.17.conv.1.1.weight",
                "features.18.0.weight",
                "classifier.1.weight",
            ],
        );
    }

    #[test]
    fn zoo_models_accept_their_smallest_images() {
        for (name, kind, _) in ZOO {
            let side = kind.least_side();
            weights(name, side, 10, 0.1);
        }
    }
}
