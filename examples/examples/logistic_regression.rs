//! Logistic regression: two clouds of points separated by a straight line, and the probabilities.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::prelude::*;
use wgrad_examples::Random;

const POINTS: usize = 200;

fn main() -> wgrad::Result<()> {
    // Clouds around (-1, -1) and (1, 1), wide enough to overlap.
    let mut random = Random::new(3);
    let labels: Vec<f32> = (0..POINTS).map(|i| (i % 2) as f32).collect();
    let points: Vec<f32> = labels
        .iter()
        .flat_map(|&label| [(); 2].map(|()| 2.0 * label - 1.0 + 0.9 * random.normal() as f32))
        .collect();

    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[POINTS, 2]));
    let y = net.input("y", Type::f32(&[POINTS, 1]));
    let logits = net.linear("fc", &x, 1);
    let loss = logits.bce_with_logits_loss(&y);
    // A logit above 0 is a probability above a half.
    let right = logits.gt(&logits.zeros_like()).to_f32().eq(&y).to_f32();
    net.output("accuracy", &right.mean_all());

    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let mut trainer = net.trainer(&loss, Optimizer::sgd(0.9), &device)?;
    let (x, y) = (HostTensor::f32(&[POINTS, 2], &points), HostTensor::f32(&[POINTS, 1], &labels));
    let mut accuracy = 0.0;
    println!("step    loss  accuracy");
    for step in 0..=300u32 {
        let results = trainer.step([("x", &x), ("y", &y)], 0.1)?;
        accuracy = results.scalar("accuracy");
        if step.is_multiple_of(50) {
            println!("{step:>4}  {:.4}  {:>6.1} %", results.scalar("loss"), accuracy * 100.0);
        }
    }

    let (w, b) = (trainer.tensor("fc.weight")?, trainer.tensor("fc.bias")?);
    let (w, b) = (w.as_f32(), b.as_f32());
    println!("\np(second cloud) = sigmoid({:+.2} x1 {:+.2} x2 {:+.2})", w[0], w[1], b[0]);
    for at in [[-1.0, -1.0], [0.0, 0.0], [0.3, 0.3], [1.0, 1.0]] {
        let logit = w[0] * at[0] + w[1] * at[1] + b[0];
        println!("  at ({:+.1}, {:+.1}): {:.3}", at[0], at[1], 1.0 / (1.0 + (-logit).exp()));
    }
    // The best line for these clouds separates 94 %.
    assert!(accuracy > 0.9, "the clouds are not told apart: accuracy {accuracy}");
    Ok(())
}
