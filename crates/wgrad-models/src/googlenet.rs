//! GoogLeNet, the first Inception network, layer for layer as published (Szegedy et al., "Going deeper with convolutions",
//! 2014, table 1): 5x5 convolutions, local response normalisation, no batch normalisation.

use crate::size::{SMALL, scaled};
use wgrad_graph::Tensor;
use wgrad_graph::ops::Window;
use wgrad_nn::{Conv, Init, Net};

/// GoogLeNet's free choices.
#[derive(Clone, Copy, Debug)]
pub struct GoogLeNet {
    /// Outputs.
    pub classes: usize,
    /// Factor on every width.
    pub width: f64,
    /// Dropout before the last layer; the paper's is 0.4.
    pub dropout: f64,
}

/// Initialiser of convolutions. The paper names none; twenty layers with ReLU and no norms need a
/// variance-preserving one.
const INIT: Init = Init::KaimingNormal { gain: std::f64::consts::SQRT_2 };

/// Dropout of an auxiliary head.
const AUXILIARY_DROPOUT: f64 = 0.7;

/// Layers of the auxiliary heads: classifiers like the last layer, in training only.
const AUXILIARY_HEADS: [&str; 2] = ["aux1", "aux2"];

/// True for weights of auxiliary heads: training has them, evaluation does not.
pub fn is_auxiliary(weight: &str) -> bool {
    AUXILIARY_HEADS.iter().any(|head| weight.strip_prefix(head).is_some_and(|rest| rest.starts_with('.')))
}

/// The share of an auxiliary head's loss in training.
pub(crate) const AUXILIARY_WEIGHT: f64 = 0.3;

/// An inception block's name and widths: 1x1; 3x3 and its reduction; 5x5 and its reduction; after the pool.
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
    /// `[N, C, H, W] -> [N, classes]`. Below 64 pixels per side the first layer is a 3x3 convolution without
    /// stride or pool. Parameters `conv1`, `conv2.reduce`, `conv2.conv`, `inceptionNX.{1x1, 3x3_reduce, 3x3,
    /// 5x5_reduce, 5x5, pool_proj}`, `fc`.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        self.features(net, x, &mut |_, _| {})
    }

    /// Like [`GoogLeNet::build`], with the logits of the two auxiliary heads, `aux1` and `aux2`, each added
    /// to the training loss with weight 0.3.
    #[track_caller]
    pub fn build_with_auxiliary(&self, net: &Net, x: &Tensor) -> (Tensor, [Tensor; 2]) {
        let mut heads = Vec::new();
        let logits = self.features(net, x, &mut |block, x| match block {
            "inception4a" | "inception4d" => {
                heads.push(self.auxiliary(net, AUXILIARY_HEADS[heads.len()], x));
            }
            _ => {}
        });
        (logits, heads.try_into().unwrap_or_else(|_| unreachable!("both blocks are in the table")))
    }

    /// The logits; calls `seen` with the result of each block.
    fn features(&self, net: &Net, x: &Tensor, seen: &mut dyn FnMut(&str, &Tensor)) -> Tensor {
        let small = x.shape()[2].min(x.shape()[3]) < SMALL;
        let mut x = if small {
            self.unit(net, "conv1", x, 64, 3)
        } else {
            let conv = Conv { init: INIT, ..Conv::new(scaled(64, self.width), 7, 2, 3) };
            halved(&net.conv2d("conv1", x, conv).relu())
        };
        x = self.unit(net, "conv2.reduce", &normed(&x), 64, 1);
        x = halved(&normed(&self.unit(net, "conv2.conv", &x, 192, 3)));
        for (stage, blocks) in STAGES.iter().enumerate() {
            if stage > 0 {
                x = halved(&x);
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
            unit("1x1", x, one, 1),
            unit("3x3", &unit("3x3_reduce", x, to_three, 1), three, 3),
            unit("5x5", &unit("5x5_reduce", x, to_five, 1), five, 5),
            unit("pool_proj", &x.max_pool2d(Window::new(3, 1, 1)), pooled, 1),
        ];
        Tensor::concat(&branches.each_ref(), 1)
    }

    fn auxiliary(&self, net: &Net, name: &str, x: &Tensor) -> Tensor {
        // The paper's 14x14 features; small images leave less than the window covers.
        let room = x.shape()[2].min(x.shape()[3]);
        let pooled = if room >= 5 { x.avg_pool2d(Window::new(5, 3, 0)) } else { x.clone() };
        let x = self.unit(net, &format!("{name}.conv"), &pooled, 128, 1);
        let x = net.linear(&format!("{name}.fc1"), &x.flatten(1), scaled(1024, self.width)).relu();
        net.linear(&format!("{name}.fc2"), &net.dropout(&x, AUXILIARY_DROPOUT), self.classes)
    }

    /// A size-preserving convolution and its ReLU.
    fn unit(&self, net: &Net, name: &str, x: &Tensor, out: usize, kernel: usize) -> Tensor {
        let conv = Conv::new(scaled(out, self.width), kernel, 1, kernel / 2);
        net.conv2d(name, x, Conv { init: INIT, ..conv }).relu()
    }
}

/// Local response normalisation with AlexNet's figures, as the authors' model in Caffe has it.
fn normed(x: &Tensor) -> Tensor {
    x.local_response_norm(5, 1e-4, 0.75, 1.0)
}

/// A 3x3 pool of stride 2 with the last window over the edge: 112 to 56. Elements over the edge are 0, never
/// the only largest after a ReLU.
pub(crate) fn halved(x: &Tensor) -> Tensor {
    let over = |n: usize| (n.max(3) - 3) % 2 + 3usize.saturating_sub(n);
    let s = x.shape();
    x.pad(&[(0, 0), (0, 0), (0, over(s[2])), (0, over(s[3]))]).max_pool2d(Window::new(3, 2, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;
    use wgrad_types::Type;

    fn built(side: usize) -> (Net, Tensor, [Tensor; 2]) {
        let net = Net::new(Mode::Train);
        let x = net.input("x", Type::f32(&[2, 3, side, side]));
        let model = GoogLeNet { classes: 1000, width: 1.0, dropout: 0.4 };
        let (logits, heads) = model.build_with_auxiliary(&net, &x);
        (net, logits, heads)
    }

    /// Number of parameters with this prefix, and of those among them that are no biases.
    fn count(net: &Net, begin: &str) -> (usize, usize) {
        let own: Vec<_> = net.weights().into_iter().filter(|p| p.name.starts_with(begin)).collect();
        let sum = |biases: bool| {
            let some = own.iter().filter(|p| biases || !p.name.ends_with(".bias"));
            some.map(|p| p.tensor.numel()).sum()
        };
        (sum(true), sum(false))
    }

    /// The paper's "params" column counts weights in units of 1,024. The numbers here are worked out from its
    /// widths; the paper prints 159K, 380K, 364K, 437K, 463K, 580K, 840K, 1072K, 1388K, five of them slightly
    /// off.
    #[test]
    fn googlenet_blocks_have_paper_widths() {
        let (net, logits, heads) = built(224);
        assert_eq!((logits.shape(), heads[1].shape()), (vec![2, 1000], vec![2, 1000]));
        for (name, weights) in [
            ("conv2.", 64 * 64 + 9 * 64 * 192),
            ("inception3a.", 163_328),
            ("inception3b.", 388_096),
            ("inception4a.", 375_552),
            ("inception4b.", 448_512),
            ("inception4c.", 509_440),
            ("inception4d.", 604_672),
            ("inception4e.", 867_328),
            ("inception5a.", 1_042_432),
            ("inception5b.", 1_442_816),
            ("fc.", 1_024_000),
        ] {
            assert_eq!(count(&net, name).1, weights, "{name}");
        }
    }

    /// About 6.8 million, the paper says; the authors' model in Caffe has 6,998,552 with biases, and 13,378,280 with both
    /// auxiliary heads.
    #[test]
    fn googlenet_parameter_count() {
        let (net, ..) = built(224);
        assert_eq!(count(&net, "").0, 13_378_280);
        assert_eq!(count(&net, "").0 - count(&net, "aux").0, 6_998_552);
    }

    #[test]
    fn googlenet_pools_reach_over_edge() {
        let net = Net::new(Mode::Eval);
        // torch.nn.MaxPool2d(3, stride=2, ceil_mode=True).
        for (side, want) in [(112, 56), (56, 28), (28, 14), (14, 7), (7, 3), (4, 2), (2, 1)] {
            let x = net.input(&side.to_string(), Type::f32(&[1, 1, side, side]));
            assert_eq!(halved(&x).shape(), [1, 1, want, want], "{side}");
        }
    }

    #[test]
    fn googlenet_small_images_have_auxiliary_heads() {
        for side in [32, 64] {
            assert_eq!(built(side).2[0].shape(), [2, 1000], "{side}");
        }
    }
}
