//! GoogLeNet, the first Inception network (Szegedy et al., 2015), layer for layer as torchvision has it: with batch
//! normalisation, and with 3x3 convolutions where the paper has 5x5.

use crate::zoo::{SMALL, scaled};
use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Init, Net, Norm};

/// GoogLeNet's free choices.
#[derive(Clone, Copy, Debug)]
pub struct GoogLeNet {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
    /// Dropout before the last layer.
    pub dropout: f64,
}

/// How convolutions start: by their size, since torchvision's one deviation for all (0.01) leaves narrow layers with less
/// variance than their norms' eps.
const INIT: Init = Init::KaimingNormalFanOut { gain: std::f64::consts::SQRT_2 };

/// Dropout of an auxiliary head.
const AUXILIARY_DROPOUT: f64 = 0.7;

/// An inception block's name and widths: 1x1; 3x3 and what leads to it; the second 3x3 and what leads to it; after the pool.
type Block = (&'static str, [usize; 6]);

/// Blocks between pools.
const STAGES: [&[Block]; 3] = [
    &[("inception3a", [64, 96, 128, 16, 32, 32]), ("inception3b", [128, 128, 192, 32, 96, 64])],
    &[
        ("inception4a", [192, 96, 208, 16, 48, 64]),
        ("inception4b", [160, 112, 224, 24, 64, 64]),
        ("inception4c", [128, 128, 256, 24, 64, 64]),
        ("inception4d", [112, 144, 288, 32, 64, 64]),
        ("inception4e", [256, 160, 320, 32, 128, 128]),
    ],
    &[("inception5a", [256, 160, 320, 32, 128, 128]), ("inception5b", [384, 192, 384, 48, 128, 128])],
];

impl GoogLeNet {
    /// `[N, C, H, W] -> [N, classes]`. Below 64 pixels a side the first layer is a 3x3 convolution without stride or pool.
    /// Parameters `conv1`, `conv2`, `conv3`, `inceptionNX.branchM`, `fc`, each convolution's `.conv` and `.bn`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        self.features(net, x, &mut |_, _| {})
    }

    /// As [`GoogLeNet::build`], with the logits of the two auxiliary heads, `aux1` and `aux2`, that training may add to the
    /// loss with weight 0.3 each.
    #[track_caller]
    pub fn build_with_auxiliary(&self, net: &Net, x: &Tensor) -> (Tensor, [Tensor; 2]) {
        let mut heads = Vec::new();
        let logits = self.features(net, x, &mut |block, x| match block {
            "inception4a" => heads.push(self.auxiliary(net, "aux1", x)),
            "inception4d" => heads.push(self.auxiliary(net, "aux2", x)),
            _ => {}
        });
        (logits, heads.try_into().unwrap_or_else(|_| unreachable!("both blocks are in the table")))
    }

    /// The logits; `seen` is shown what each block gives.
    fn features(&self, net: &Net, x: &Tensor, seen: &mut dyn FnMut(&str, &Tensor)) -> Tensor {
        let small = x.shape()[2].min(x.shape()[3]) < SMALL;
        let mut x = if small {
            self.unit(net, "conv1", x, 64, 3)
        } else {
            let conv = Conv { init: INIT, ..Conv::new(scaled(64, self.width), 7, 2, 3).no_bias() };
            halved(&normed(net, "conv1", x, conv), 3)
        };
        x = self.unit(net, "conv2", &x, 64, 1);
        x = halved(&self.unit(net, "conv3", &x, 192, 3), 3);
        for (stage, blocks) in STAGES.iter().enumerate() {
            if stage > 0 {
                // torchvision's last pool is 2x2.
                x = halved(&x, if stage == 2 { 2 } else { 3 });
            }
            for (name, widths) in *blocks {
                x = self.block(net, name, &x, *widths);
                seen(name, &x);
            }
        }
        let x = net.dropout(&x.adaptive_avg_pool2d([1, 1]).flatten(1), self.dropout);
        net.linear("fc", &x, self.classes)
    }

    fn block(&self, net: &Net, name: &str, x: &Tensor, widths: [usize; 6]) -> Tensor {
        let unit = |branch: &str, x: &Tensor, out, kernel| {
            self.unit(net, &format!("{name}.{branch}"), x, out, kernel)
        };
        let [one, to_three, three, to_five, five, pooled] = widths;
        let branches = [
            unit("branch1", x, one, 1),
            unit("branch2.1", &unit("branch2.0", x, to_three, 1), three, 3),
            unit("branch3.1", &unit("branch3.0", x, to_five, 1), five, 3),
            unit("branch4.1", &x.max_pool2d(Window::new(3, 1, 1)), pooled, 1),
        ];
        Tensor::concat(&branches.each_ref(), 1)
    }

    fn auxiliary(&self, net: &Net, name: &str, x: &Tensor) -> Tensor {
        let x = self.unit(net, &format!("{name}.conv"), &x.adaptive_avg_pool2d([4, 4]), 128, 1);
        let x = net.linear(&format!("{name}.fc1"), &x.flatten(1), scaled(1024, self.width)).relu();
        net.linear(&format!("{name}.fc2"), &net.dropout(&x, AUXILIARY_DROPOUT), self.classes)
    }

    /// A convolution that keeps the size.
    fn unit(&self, net: &Net, name: &str, x: &Tensor, out: usize, kernel: usize) -> Tensor {
        let conv = Conv::new(scaled(out, self.width), kernel, 1, kernel / 2).no_bias();
        normed(net, name, x, Conv { init: INIT, ..conv })
    }
}

/// A convolution, its batch normalisation and ReLU.
fn normed(net: &Net, name: &str, x: &Tensor, conv: Conv) -> Tensor {
    let y = net.conv2d(&format!("{name}.conv"), x, conv);
    net.batch_norm(&format!("{name}.bn"), &y, Norm { eps: 1e-3, ..Norm::default() }).relu()
}

/// A pool of stride 2 whose last window may hang over the edge (`ceil_mode=True`). What hangs over is 0, which after a ReLU
/// is never the largest alone.
fn halved(x: &Tensor, kernel: usize) -> Tensor {
    let over = |n: usize| (n.max(kernel) - kernel) % 2 + kernel.saturating_sub(n);
    let s = x.shape();
    x.pad(&[(0, 0), (0, 0), (0, over(s[2])), (0, over(s[3]))]).max_pool2d(Window::new(kernel, 2, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;
    use wgrad_types::Type;

    /// torchvision's `googlenet(aux_logits=True, init_weights=False)`.
    #[test]
    fn as_many_parameters_as_torchvision_with_its_auxiliary_heads() {
        let net = Net::new(Mode::Train);
        let x = net.input("x", Type::f32(&[2, 3, 224, 224]));
        let model = GoogLeNet { classes: 1000, width: 1.0, dropout: 0.2 };
        let (logits, heads) = model.build_with_auxiliary(&net, &x);
        assert_eq!((logits.shape(), heads[1].shape()), (vec![2, 1000], vec![2, 1000]));
        assert_eq!(net.weights().iter().map(|p| p.tensor.numel()).sum::<usize>(), 13_004_888);
    }

    #[test]
    fn pools_reach_over_the_edge() {
        let net = Net::new(Mode::Eval);
        // torch.nn.MaxPool2d(3, stride=2, ceil_mode=True): 112 to 56, 7 to 3; and (2, 2): 7 to 4.
        for (side, kernel, want) in [(112, 3, 56), (7, 3, 3), (14, 3, 7), (7, 2, 4), (2, 3, 1), (1, 2, 1)] {
            let x = net.input(&format!("{side} {kernel}"), Type::f32(&[1, 1, side, side]));
            assert_eq!(halved(&x, kernel).shape(), [1, 1, want, want], "{side} by {kernel}");
        }
    }
}
