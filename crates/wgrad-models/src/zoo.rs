//! Models by name, for the command line: which there are, the image size they want, and building one.

use crate::{AlexNet, CifarCnn, LeNet, Linear, Mlp};
use std::str::FromStr;
use wgrad_graph::Tensor;
use wgrad_nn::Net;
use wgrad_types::Type;

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
}

/// Every model with its name and a line on it.
pub const ZOO: &[(&str, ModelKind, &str)] = &[
    ("linear", ModelKind::Linear, "one linear layer"),
    ("mlp", ModelKind::Mlp, "dense 256, 128"),
    ("lenet", ModelKind::LeNet, "LeNet-5: 2 convolutions, 3 dense layers, 32x32 images"),
    ("cifar-cnn", ModelKind::CifarCnn, "3 convolutions, 2 dense layers, 32x32 images"),
    ("alexnet", ModelKind::AlexNet, "AlexNet as in torchvision, 224x224 images or other sizes from 63 on"),
];

/// Why a model cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    #[error("{model} needs images of at least {least}x{least}, got {height}x{width}: raise --image-size")]
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
    /// A number that makes no model.
    #[error("{what}")]
    Invalid {
        /// What and why.
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

    /// The image side the model is meant for; `None` where any will do.
    pub fn image_size(self) -> Option<usize> {
        match self {
            Self::Linear | Self::Mlp => None,
            Self::LeNet | Self::CifarCnn => Some(32),
            Self::AlexNet => Some(224),
        }
    }

    fn least_side(self) -> usize {
        match self {
            Self::Linear | Self::Mlp => 1,
            Self::LeNet => 16,
            Self::CifarCnn => 18,
            Self::AlexNet => 63,
        }
    }
}

/// An image classifier: a model, what it sees and what it tells apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageModel {
    /// Which model.
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
    /// Whether the model can be built, before it is.
    ///
    /// # Errors
    /// Where images are too small, there are no classes, or the width is no positive number.
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
        if self.classes < 2 || self.channels == 0 {
            let what = format!(
                "a classifier needs at least 2 classes and a channel, got {} and {}",
                self.classes, self.channels
            );
            return Err(ModelError::Invalid { what });
        }
        if !(self.width > 0.0 && self.width <= 64.0) {
            return Err(ModelError::Invalid {
                what: format!("width {} must be above 0 and at most 64", self.width),
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
        })
    }
}

/// A width times a factor, at least 1.
pub(crate) fn scaled(n: usize, factor: f64) -> usize {
    ((n as f64 * factor).round() as usize).max(1)
}
