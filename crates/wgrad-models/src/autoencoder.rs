//! An autoencoder of dense layers (Hinton and Salakhutdinov, 2006): a picture through a code of few numbers and back.

use crate::size::scaled;
use wgrad_graph::Tensor;
use wgrad_nn::Net;

/// An autoencoder's free choices.
#[derive(Clone, Copy, Debug)]
pub struct Autoencoder {
    /// Numbers of the code.
    pub code: usize,
    /// Factor on the widths of the hidden layers.
    pub width: f64,
}

/// Widths from the picture to the code; those back are the same in reverse.
const HIDDEN: [usize; 3] = [1000, 500, 250];

impl Default for Autoencoder {
    /// The paper's widths and code.
    fn default() -> Self {
        Self { code: 30, width: 1.0 }
    }
}

impl Autoencoder {
    fn layers(&self, net: &Net, name: &str, x: &Tensor, widths: impl Iterator<Item = usize>) -> Tensor {
        // A linear layer and its ReLU count as two; the last has none.
        let mut x = x.clone();
        for (i, width) in widths.enumerate() {
            let input = if i == 0 { x.clone() } else { x.relu() };
            x = net.linear(&format!("{name}.{}", 2 * i), &input, width);
        }
        x
    }

    /// `[N, ..] -> [N, code]`. Parameters `encoder.0`, `.2`, `.4`, `.6`.
    #[track_caller]
    pub fn encode(&self, net: &Net, x: &Tensor) -> Tensor {
        let hidden = HIDDEN.into_iter().map(|n| scaled(n, self.width));
        self.layers(net, "encoder", &x.flatten(1), hidden.chain([self.code]))
    }

    /// `[N, code] -> [N, ..shape]`. Parameters `decoder.0`, `.2`, `.4`, `.6`.
    #[track_caller]
    pub fn decode(&self, net: &Net, code: &Tensor, shape: &[usize]) -> Tensor {
        let hidden = HIDDEN.into_iter().rev().map(|n| scaled(n, self.width));
        let y = self.layers(net, "decoder", code, hidden.chain([shape.iter().product()]));
        y.reshape(&[&[code.shape()[0]], shape].concat())
    }

    /// Reconstructs pictures `[N, ..]` from their code, in the same shape.
    #[track_caller]
    pub fn build(&self, net: &Net, x: &Tensor) -> Tensor {
        self.decode(net, &self.encode(net, x), &x.shape()[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_nn::Mode;
    use wgrad_types::Type;

    /// The paper's 784-1000-500-250-30 and back.
    #[test]
    fn widths_are_the_papers() {
        let net = Net::new(Mode::Train);
        let x = net.input("x", Type::f32(&[2, 1, 28, 28]));
        assert_eq!(Autoencoder::default().build(&net, &x).shape(), [2, 1, 28, 28]);
        let shapes: Vec<Vec<usize>> = net.weights().iter().step_by(2).map(|p| p.tensor.shape()).collect();
        let want = [
            [1000, 784],
            [500, 1000],
            [250, 500],
            [30, 250],
            [250, 30],
            [500, 250],
            [1000, 500],
            [784, 1000],
        ];
        assert_eq!(shapes, want);
        let names: Vec<String> = net.weights().into_iter().map(|p| p.name).collect();
        assert!(names.contains(&"encoder.6.bias".into()) && names.contains(&"decoder.0.weight".into()));
    }
}
