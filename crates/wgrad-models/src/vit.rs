//! Vision Transformers (Dosovitskiy et al., 2021), layer for layer as torchvision has them.

use crate::size::SMALL;
use wgrad_graph::Tensor;
use wgrad_nn::{Conv, Heads, Init, Net};

/// A Vision Transformer's free choices.
#[derive(Clone, Copy, Debug)]
pub struct ViT {
    /// Outputs.
    pub classes: usize,
    /// Side of a patch: pixels beyond whole patches are ignored.
    pub patch: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads.
    pub heads: usize,
    /// Width of the residual stream, a multiple of `heads`.
    pub width: usize,
    /// Dropout after embedding, attention and dense layers.
    pub dropout: f64,
}

impl ViT {
    /// ViT-B/16.
    pub fn base(classes: usize) -> Self {
        Self { classes, patch: 16, layers: 12, heads: 12, width: 768, dropout: 0.0 }
    }

    /// DeiT's tiny shape (Touvron et al., 2021), heads of 64: patches of 16 and 12 layers; below 64 pixels
    /// per side patches of 4 and 6 layers. `factor` scales the number of heads, and with it the width.
    pub fn tiny(classes: usize, factor: f64, side: usize) -> Self {
        let heads = crate::size::scaled(3, factor);
        let (patch, layers) = if side < SMALL { (4, 6) } else { (16, 12) };
        Self { classes, patch, layers, heads, width: 64 * heads, dropout: 0.0 }
    }

    /// `[N, C, H, W] -> [N, classes]`. Parameters `conv_proj`, `class_token`, `encoder.pos_embedding`,
    /// `encoder.layers.encoder_layer_N.{ln_1,self_attention,ln_2,mlp.0,mlp.3}`, `encoder.ln`, `heads.head`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let (images, width) = (x.shape()[0], self.width);
        let x = net.conv2d("conv_proj", x, Conv::new(width, self.patch, self.patch, 0));
        let patches = x.shape()[2] * x.shape()[3];
        let x = x.reshape(&[images, width, patches]).permute(&[0, 2, 1]);
        let class = net.weight("class_token", &[1, 1, width], Init::Zeros);
        let x = Tensor::concat(&[&class.broadcast_to(&[images, 1, width]), &x], 1);
        let init = Init::Normal { mean: 0.0, std: 0.02 };
        let x = x + net.weight("encoder.pos_embedding", &[1, patches + 1, width], init);
        let mut x = net.dropout(&x, self.dropout);
        for layer in 0..self.layers {
            x = self.block(net, &format!("encoder.layers.encoder_layer_{layer}"), &x);
        }
        let x = norm(net, "encoder.ln", &x).narrow(1, 0, 1).reshape(&[images, width]);
        net.linear("heads.head", &x, self.classes)
    }

    fn block(&self, net: &Net, name: &str, x: &Tensor) -> Tensor {
        let part = |what: &str| format!("{name}.{what}");
        let heads = Heads::new(self.heads, false);
        let y = net.multihead_attention(&part("self_attention"), &norm(net, &part("ln_1"), x), heads);
        let x = x + net.dropout(&y, self.dropout);
        let y = net.linear(&part("mlp.0"), &norm(net, &part("ln_2"), &x), 4 * self.width).gelu();
        let y = net.linear(&part("mlp.3"), &net.dropout(&y, self.dropout), self.width);
        x + net.dropout(&y, self.dropout)
    }
}

/// Layer normalisation with torchvision's smaller constant.
fn norm(net: &Net, name: &str, x: &Tensor) -> Tensor {
    let width = [*x.shape().last().unwrap_or(&1)];
    net.builder().scoped(name, || {
        let weight = net.weight(&format!("{name}.weight"), &width, Init::Ones);
        let bias = net.weight(&format!("{name}.bias"), &width, Init::Zeros);
        x.layer_norm(&weight, Some(&bias), 1e-6)
    })
}
