//! Two clouds of points told apart by a straight line: logistic regression, and the probabilities it gives.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use anyhow::Context as _;
use wgrad::prelude::*;
use wgrad_examples::Random;

const POINTS: usize = 200;

fn main() -> anyhow::Result<()> {
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
    net.builder().output("loss", &loss);
    // A logit above 0 is a probability above a half.
    let right = logits.gt(&logits.zeros_like()).to_f32().eq(&y).to_f32();
    net.builder().output("accuracy", &right.mean_all());
    let sgd = Optimizer::new(OptimizerKind::Sgd { momentum: 0.9, nesterov: false });
    let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
    sgd.minimise(&loss, &weights)?;

    let (device, choice) = Device::open(&"auto".parse()?)?;
    println!("{}\n", choice.reason);
    let (mut session, mut runner) = Session::new(&device, &net.builder().graph(), &net.initial(0), 0)?;
    let (x, y) = (HostTensor::f32(&[POINTS, 2], &points), HostTensor::f32(&[POINTS, 1], &labels));
    let mut accuracy = 0.0;
    println!("step    loss  accuracy");
    for step in 0..=300 {
        runner.step(&mut session, step, &[("x", &x), ("y", &y)], &sgd.scalars(step + 1, 0.1))?;
        let results = runner.wait()?.context("a step was submitted")?;
        accuracy = results.scalar("accuracy");
        if step.is_multiple_of(50) {
            println!("{step:>4}  {:.4}  {:>6.1} %", results.scalar("loss"), accuracy * 100.0);
        }
    }

    let tensors = session.snapshot()?;
    let values = |name: &str| tensors.iter().find(|t| t.1 == name).map(|t| t.2.as_f32().to_vec());
    let (w, b) = values("fc.weight").zip(values("fc.bias")).context("a layer has two parameters")?;
    println!("\np(second cloud) = sigmoid({:+.2} x1 {:+.2} x2 {:+.2})", w[0], w[1], b[0]);
    for at in [[-1.0, -1.0], [0.0, 0.0], [0.3, 0.3], [1.0, 1.0]] {
        let logit = w[0] * at[0] + w[1] * at[1] + b[0];
        println!("  at ({:+.1}, {:+.1}): {:.3}", at[0], at[1], 1.0 / (1.0 + (-logit).exp()));
    }
    // The best line for these clouds tells 94 % apart.
    anyhow::ensure!(accuracy > 0.9, "the clouds are not told apart: accuracy {accuracy}");
    Ok(())
}
