//! The model zoo: a config struct and a build function each. Models know no device.

mod alexnet;
mod autoencoder;
mod bert;
mod char_rnn;
mod cnn;
mod dcgan;
mod googlenet;
mod gpt;
mod mobilenet;
mod plain;
mod resnet;
mod size;
mod squeezenet;
mod text;
mod unet;
mod vgg;
mod vit;
mod zoo;

pub use alexnet::AlexNet;
pub use autoencoder::Autoencoder;
pub use bert::Bert;
pub use char_rnn::CharRnn;
pub use cnn::{CifarCnn, LeNet};
pub use dcgan::DcGan;
pub use googlenet::{GoogLeNet, is_auxiliary};
pub use gpt::{Gpt, Positions};
pub use mobilenet::MobileNetV2;
pub use plain::{Linear, Mlp};
pub use resnet::ResNet;
pub use squeezenet::SqueezeNet;
pub use text::{TEXT_ZOO, TextKind, TextModel};
pub use unet::UNet;
pub use vgg::Vgg11;
pub use vit::ViT;
pub use zoo::{ImageModel, ModelError, ModelKind, ZOO};
