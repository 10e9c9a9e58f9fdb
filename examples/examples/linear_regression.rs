//! Linear regression by gradient descent: full batch, stochastic, mini-batch.
//!
//! The points are y = 2x + 1 with noise. All three recover slope and intercept; smaller batches make cheaper steps and a
//! noisier descent.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::prelude::*;
use wgrad_examples::Random;

const POINTS: usize = 100;
const STEPS: u64 = 1000;
const NOISE: f64 = 0.1;

/// A line in training on `batch` points per step.
struct Line {
    trainer: Trainer,
    evaluator: Evaluator,
    batch: usize,
    lr: f64,
}

/// Mean squared error of a line over `points` points.
fn error(net: &Net, points: usize) -> Tensor {
    let (x, y) = (net.input("x", Type::f32(&[points, 1])), net.input("y", Type::f32(&[points, 1])));
    let loss = net.linear("line", &x, 1).mse_loss(&y);
    net.output("loss", &loss);
    loss
}

impl Line {
    fn new(device: &Device, batch: usize, lr: f64) -> wgrad::Result<Self> {
        let net = Net::new(Mode::Train);
        let loss = error(&net, batch);
        let trainer = net.trainer(&loss, Optimizer::sgd(0.0), device)?;
        let all = Net::new(Mode::Eval);
        error(&all, POINTS);
        let evaluator = trainer.evaluator(&all.graph())?;
        Ok(Self { trainer, evaluator, batch, lr })
    }

    fn step(&mut self, t: u64, points: &[(f32, f32)]) -> wgrad::Result<()> {
        // One pass over the points after another.
        let at = |k: usize| points[(t as usize * self.batch + k) % points.len()];
        let (x, y) = columns((0..self.batch).map(at));
        self.trainer.step([("x", &x), ("y", &y)], self.lr)?;
        Ok(())
    }

    /// Loss over all points.
    fn loss(&mut self, points: &[(f32, f32)]) -> wgrad::Result<f32> {
        let (x, y) = columns(points.iter().copied());
        Ok(self.evaluator.run([("x", &x), ("y", &y)])?.scalar("loss"))
    }

    /// Slope and intercept.
    fn line(&self) -> wgrad::Result<(f32, f32)> {
        let value = |name: &str| self.trainer.tensor(name).map(|t| t.as_f32()[0]);
        Ok((value("line.weight")?, value("line.bias")?))
    }
}

fn columns(points: impl Iterator<Item = (f32, f32)>) -> (HostTensor, HostTensor) {
    let (x, y): (Vec<f32>, Vec<f32>) = points.unzip();
    (HostTensor::f32(&[x.len(), 1], &x), HostTensor::f32(&[y.len(), 1], &y))
}

fn main() -> wgrad::Result<()> {
    let device = Device::auto()?;
    println!("{}\n", device.reason());
    let mut random = Random::new(7);
    let points: Vec<(f32, f32)> = (0..POINTS)
        .map(|_| {
            let x = random.between(-1.0, 1.0);
            (x as f32, (2.0 * x + 1.0 + NOISE * random.normal()) as f32)
        })
        .collect();
    let mut lines = Vec::new();
    for (name, batch, lr) in [("batch", POINTS, 0.1), ("stochastic", 1, 0.02), ("mini-batch", 10, 0.05)] {
        lines.push((name, Line::new(&device, batch, lr)?));
    }

    println!("loss over all points, by steps");
    println!("{:>6}  {}", "", lines.iter().map(|l| format!("{:>12}", l.0)).collect::<String>());
    for t in 0..=STEPS {
        if t.is_multiple_of(100) {
            print!("{t:>6}  ");
            for (_, line) in &mut lines {
                print!("{:>12.5}", line.loss(&points)?);
            }
            println!();
        }
        for (_, line) in lines.iter_mut().filter(|_| t < STEPS) {
            line.step(t, &points)?;
        }
    }
    println!();
    for (name, line) in lines {
        let (slope, intercept) = line.line()?;
        println!("{name:<11} y = {slope:.3} x + {intercept:.3}");
        assert!((slope - 2.0).abs() < 0.1 && (intercept - 1.0).abs() < 0.1, "{name}: not the line");
    }
    Ok(())
}
