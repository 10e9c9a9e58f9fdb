//! Compression of a trained network: weights of small magnitude pruned, the rest rounded to 8 bits; the cost of each.
//!
//! Pruning sets the smallest weights of the whole network to 0 (Han et al., 2015), and trains the others a little more.
//! Quantisation rounds each row of a matrix to whole multiples of its largest weight over 127, after training.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::models::LeNet;
use wgrad::prelude::*;
use wgrad::session::Tensors;
use wgrad_examples::{Classifier, Images, Random, quick};

const SIDE: usize = 32;

/// True of matrices and kernels; biases are few and stay as they are.
fn is_matrix(tensor: &HostTensor) -> bool {
    tensor.ty.shape.len() >= 2
}

/// The weights with `change` applied to every row of every matrix, the weights of one output.
fn changed(weights: &Tensors, change: impl Fn(&mut [f32])) -> Tensors {
    let mut weights = weights.clone();
    for NamedTensor { value, .. } in weights.iter_mut().filter(|w| is_matrix(&w.value)) {
        let (shape, mut values) = (value.ty.shape.clone(), value.as_f32().to_vec());
        let row = values.len() / shape[0];
        values.chunks_mut(row).for_each(&change);
        *value = HostTensor::f32(&shape, &values);
    }
    weights
}

/// Quantile of the magnitudes of all weights of matrices.
fn magnitude(weights: &Tensors, share: f64) -> f32 {
    let matrices = weights.iter().filter(|w| is_matrix(&w.value));
    let mut all: Vec<f32> = matrices.flat_map(|w| w.value.as_f32().iter().map(|v| v.abs())).collect();
    all.sort_by(f32::total_cmp);
    all[(all.len() as f64 * share) as usize]
}

/// Weights below a magnitude set to 0.
fn pruned(weights: &Tensors, least: f32) -> Tensors {
    changed(weights, |row| row.iter_mut().filter(|v| v.abs() < least).for_each(|v| *v = 0.0))
}

/// Each row as whole numbers from -127 to 127 times one factor, as in a file of 8-bit weights.
fn quantised(weights: &Tensors) -> Tensors {
    changed(weights, |row| {
        let factor = row.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
        row.iter_mut().filter(|_| factor > 0.0).for_each(|v| *v = (*v / factor).round() * factor);
    })
}

/// `weights`, zeroed by the zeros of `mask`.
fn masked(weights: &Tensors, mask: &Tensors) -> Tensors {
    let keep = |(w, m): (&f32, &f32)| if *m == 0.0 { 0.0 } else { *w };
    let pairs = weights.iter().zip(mask);
    pairs
        .map(|(w, m)| {
            let values: Vec<f32> = w.value.as_f32().iter().zip(m.value.as_f32()).map(keep).collect();
            NamedTensor { value: HostTensor::f32(&w.value.ty.shape, &values), ..w.clone() }
        })
        .collect()
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let (mut train, test) = (Images::fashion(Split::Train, SIDE)?, Images::fashion(Split::Test, SIDE)?);
    let (mut epochs, mut random) = (8, Random::new(8));
    if quick() {
        (train, epochs) = (train.first_of_each_class(100), 2);
    }
    let build = |net: &Net, x: &Tensor| LeNet { classes: 10, width: 1.0 }.build(net, x);
    let mut model = Classifier::new(&device, SIDE, build, |_| true, 0)?;
    for _ in 0..epochs {
        model.epoch(&train, &mut random, 2e-3)?;
    }
    let dense = model.weights()?;
    let count: usize = dense.iter().map(|w| w.value.ty.numel()).sum();
    println!("{count} weights, of which biases are kept as they are\n\n{:<44}test accuracy", "");
    let show = |what: &str, model: &mut Classifier, weights: &Tensors| -> wgrad::Result<f64> {
        model.set_weights(weights)?;
        let accuracy = model.accuracy(&test)?;
        println!("{what:<44}{:>7.1} %", accuracy * 100.0);
        Ok(accuracy)
    };
    let before = show("as trained, 32 bits", &mut model, &dense)?;
    let rounded = show("rounded to 8 bits, a quarter of the bytes", &mut model, &quantised(&dense))?;
    for share in [0.5, 0.8, 0.9, 0.95] {
        let mask = pruned(&dense, magnitude(&dense, share));
        show(&format!("{:.0} % of the weights pruned", share * 100.0), &mut model, &mask)?;
    }
    let mask = pruned(&dense, magnitude(&dense, 0.9));
    model.set_weights(&mask)?;
    for _ in 0..if quick() { 1 } else { 3 } {
        model.epoch(&train, &mut random, 5e-4)?;
        // The optimizer moves pruned weights, too: back to 0 with them.
        let weights = masked(&model.weights()?, &mask);
        model.set_weights(&weights)?;
    }
    let sparse = model.weights()?;
    show("90 % pruned, the others trained on", &mut model, &sparse)?;
    show("the same rounded to 8 bits", &mut model, &quantised(&sparse))?;
    assert!((before - rounded).abs() < 0.02, "8 bits should cost next to nothing");
    Ok(())
}
