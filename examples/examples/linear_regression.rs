//! A line through points by gradient descent: all points a step, one a step, ten a step.
//!
//! The points are y = 2x + 1 with noise. All three recover the slope and the intercept; the fewer points a step sees, the
//! cheaper the step and the rougher the way.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use anyhow::Context as _;
use wgrad::prelude::*;
use wgrad_examples::Random;

const POINTS: usize = 100;
const STEPS: u64 = 1000;
const NOISE: f64 = 0.1;

/// A line, moved by its slope's and intercept's gradients over `batch` points a step.
struct Line {
    session: Session,
    training: Runner,
    evaluation: Runner,
    batch: usize,
    lr: f64,
}

/// The mean squared error of a line over so many points.
fn error(net: &Net, points: usize) -> Tensor {
    let (x, y) = (net.input("x", Type::f32(&[points, 1])), net.input("y", Type::f32(&[points, 1])));
    let loss = net.linear("line", &x, 1).mse_loss(&y);
    net.builder().output("loss", &loss);
    loss
}

impl Line {
    fn new(device: &Device, batch: usize, lr: f64) -> anyhow::Result<Self> {
        let net = Net::new(Mode::Train);
        let loss = error(&net, batch);
        let weights: Vec<_> = net.weights().into_iter().map(|p| (p.name, p.tensor)).collect();
        sgd().minimise(&loss, &weights)?;
        let (session, training) = Session::new(device, &net.builder().graph(), &net.initial(0), 0)?;
        let all = Net::new(Mode::Eval);
        error(&all, POINTS);
        let evaluation = session.runner(&all.builder().graph())?;
        Ok(Self { session, training, evaluation, batch, lr })
    }

    fn step(&mut self, t: u64, points: &[(f32, f32)]) -> anyhow::Result<()> {
        // One pass over the points after the other.
        let at = |k: usize| points[(t as usize * self.batch + k) % points.len()];
        let (x, y) = columns((0..self.batch).map(at));
        self.training.step(&mut self.session, t, &[("x", &x), ("y", &y)], &sgd().scalars(t + 1, self.lr))?;
        self.training.wait()?.context("a step was submitted")?;
        Ok(())
    }

    /// The loss over all points.
    fn loss(&mut self, points: &[(f32, f32)]) -> anyhow::Result<f32> {
        let (x, y) = columns(points.iter().copied());
        self.evaluation.step(&mut self.session, 0, &[("x", &x), ("y", &y)], &[])?;
        Ok(self.evaluation.wait()?.context("a step was submitted")?.scalar("loss"))
    }

    /// Slope and intercept.
    fn line(&self) -> anyhow::Result<(f32, f32)> {
        let tensors = self.session.snapshot()?;
        let value = |name: &str| tensors.iter().find(|t| t.1 == name).map(|t| t.2.as_f32()[0]);
        value("line.weight").zip(value("line.bias")).context("a line has two parameters")
    }
}

fn sgd() -> Optimizer {
    Optimizer::new(OptimizerKind::Sgd { momentum: 0.0, nesterov: false })
}

fn columns(points: impl Iterator<Item = (f32, f32)>) -> (HostTensor, HostTensor) {
    let (x, y): (Vec<f32>, Vec<f32>) = points.unzip();
    (HostTensor::f32(&[x.len(), 1], &x), HostTensor::f32(&[y.len(), 1], &y))
}

fn main() -> anyhow::Result<()> {
    let (device, choice) = Device::open(&"auto".parse()?)?;
    println!("{}\n", choice.reason);
    let mut random = Random::new(7);
    let points: Vec<(f32, f32)> = (0..POINTS)
        .map(|_| {
            let x = random.between(-1.0, 1.0);
            (x as f32, (2.0 * x + 1.0 + NOISE * random.normal()) as f32)
        })
        .collect();
    let mut lines = [("batch", POINTS, 0.1), ("stochastic", 1, 0.02), ("mini-batch", 10, 0.05)]
        .map(|(name, batch, lr)| (name, Line::new(&device, batch, lr)));

    println!("loss over all points, by steps");
    println!("{:>6}  {}", "", lines.each_ref().map(|l| format!("{:>12}", l.0)).concat());
    for t in 0..=STEPS {
        if t.is_multiple_of(100) {
            print!("{t:>6}  ");
            for (_, line) in &mut lines {
                let line = line.as_mut().map_err(|e| anyhow::anyhow!("{e}"))?;
                print!("{:>12.5}", line.loss(&points)?);
            }
            println!();
        }
        for (_, line) in lines.iter_mut().filter(|_| t < STEPS) {
            line.as_mut().map_err(|e| anyhow::anyhow!("{e}"))?.step(t, &points)?;
        }
    }
    println!();
    for (name, line) in lines {
        let (slope, intercept) = line?.line()?;
        println!("{name:<11} y = {slope:.3} x + {intercept:.3}");
        anyhow::ensure!((slope - 2.0).abs() < 0.1 && (intercept - 1.0).abs() < 0.1, "{name}: not the line");
    }
    Ok(())
}
