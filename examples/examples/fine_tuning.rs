//! Fine-tuning: a network trained on nine kinds of clothing learns a tenth from few pictures.
//!
//! The first network sees every class but ankle boots. Then all ten classes are learned from 100 pictures each: once by a
//! new network, once by the old one with a new head, its last block trained too and the blocks before it frozen.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::data::Split;
use wgrad::prelude::*;
use wgrad_examples::{Classifier, Images, Random, quick};

const SIDE: usize = 28;
/// The class the first network never sees: ankle boots.
const LEFT_OUT: i32 = 9;
const PICTURES_A_CLASS: usize = 100;
/// Passes over those pictures, for both.
const EPOCHS: usize = 10;

/// Two blocks of convolution, ReLU and pool, one dense block with dropout, and a head.
fn network(net: &Net, x: &Tensor, classes: usize) -> Tensor {
    let half = Window::new(2, 2, 0);
    let x = net.conv2d("block1", x, Conv::new(8, 5, 1, 2)).relu().max_pool2d(half);
    let x = net.conv2d("block2", &x, Conv::new(24, 5, 1, 0)).relu().max_pool2d(half);
    let x = net.dropout(&net.linear("block3", &x.flatten(1), 128).relu(), 0.3);
    net.linear("head", &x, classes)
}

/// Trains for `epochs` at a linearly falling rate; accuracy after each.
fn fit(
    model: &mut Classifier,
    train: &Images,
    test: &Images,
    epochs: usize,
    lr: f64,
) -> wgrad::Result<Vec<f64>> {
    let mut random = Random::new(2);
    let mut epoch = |done: usize| {
        model.epoch(train, &mut random, lr * (1.0 - done as f64 / epochs as f64))?;
        model.accuracy(test)
    };
    (0..epochs).map(&mut epoch).collect()
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let (train, test) = (Images::fashion(Split::Train, SIDE)?, Images::fashion(Split::Test, SIDE)?);
    let nine = |images: &Images| {
        images.pick(&(0..images.len()).filter(|&i| images.labels[i] != LEFT_OUT).collect::<Vec<_>>())
    };
    let (mut many, mut epochs) = (nine(&train), 12);
    if quick() {
        (many, epochs) = (many.first_of_each_class(50), 1);
    }
    let few = train.first_of_each_class(PICTURES_A_CLASS);

    let nine_classes = |net: &Net, x: &Tensor| network(net, x, LEFT_OUT as usize);
    let mut old = Classifier::new(&device, SIDE, nine_classes, |_| true, 0)?;
    let known = fit(&mut old, &many, &nine(&test), epochs, 3e-3)?;
    println!(
        "nine classes, {} pictures, {} epochs: {:.1} % of the test pictures of these classes\n",
        many.len(),
        epochs,
        known[epochs - 1] * 100.0
    );

    let ten_classes = |net: &Net, x: &Tensor| network(net, x, 10);
    let mut scratch = Classifier::new(&device, SIDE, ten_classes, |_| true, 1)?;
    let moving = |name: &str| name.starts_with("head.") || name.starts_with("block3.");
    let mut tuned = Classifier::new(&device, SIDE, ten_classes, moving, 1)?;
    let mut blocks = old.weights()?;
    blocks.retain(|t| t.name.starts_with("block"));
    tuned.set_weights(&blocks)?;

    let epochs = if quick() { 2 } else { EPOCHS };
    let from_scratch = fit(&mut scratch, &few, &test, epochs, 3e-3)?;
    let fine_tuned = fit(&mut tuned, &few, &test, epochs, 1e-3)?;
    println!("test accuracy on ten classes after passes over {} pictures", few.len());
    println!("epoch  from scratch  fine-tuned");
    for (i, (a, b)) in from_scratch.iter().zip(&fine_tuned).enumerate() {
        println!("{:>5}  {:>10.1} %  {:>8.1} %", i + 1, a * 100.0, b * 100.0);
    }
    let best = |accuracies: &[f64]| accuracies.iter().fold(0.0, |m: f64, &a| m.max(a)) * 100.0;
    let (scratch, tuned) = (best(&from_scratch), best(&fine_tuned));
    println!("best   {scratch:>10.1} %  {tuned:>8.1} %   {:+.1} points", tuned - scratch);
    assert!(quick() || tuned - scratch >= 5.0, "fine-tuning should be 5 points ahead");
    Ok(())
}
