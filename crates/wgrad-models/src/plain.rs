//! Models without convolutions.

use wgrad_graph::Tensor;
use wgrad_nn::Net;

/// Logistic regression: one linear layer over flattened inputs.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Outputs.
    pub classes: usize,
}

impl Linear {
    /// `[N, ..] -> [N, classes]`; parameters `fc`.
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        net.linear("fc", &x.flatten(1), self.classes)
    }
}

/// A multilayer perceptron with ReLU between its layers.
#[derive(Clone, Debug)]
pub struct Mlp {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Outputs.
    pub classes: usize,
}

impl Mlp {
    /// `[N, ..] -> [N, classes]`; parameters `fc1`, `fc2`, ...
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        let mut x = x.flatten(1);
        for (i, &width) in self.hidden.iter().enumerate() {
            x = net.linear(&format!("fc{}", i + 1), &x, width).relu();
        }
        net.linear(&format!("fc{}", self.hidden.len() + 1), &x, self.classes)
    }
}
