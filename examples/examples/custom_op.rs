//! A custom operation: the Snake activation `x + sin(a x)^2 / a` (Ziyin et al., 2020), with its own kernel in WGSL and its
//! own function on the CPU.
//!
//! It is proved like the library's own operations. Then a small network with it learns a wave and extrapolates; the same
//! network with tanh does not.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use wgrad::doctor::{Case, prove, real};
use wgrad::graph::ops::{Operand, Wgsl};
use wgrad::graph::{CustomOp, Vjp};
use wgrad::prelude::*;

/// `Debug` is its identity: two of the same `a` are one operation.
#[derive(Clone, Copy, Debug)]
struct Snake {
    a: f64,
}

impl CustomOp for Snake {
    fn name(&self) -> &'static str {
        "snake"
    }
    fn shape(&self, x: &[&[usize]]) -> Result<Vec<usize>, String> {
        match x {
            [x] => Ok(x.to_vec()),
            x => Err(format!("takes one operand, got {}", x.len())),
        }
    }
    fn reference(&self, x: &[Array]) -> Array {
        Array::from_fn(&x[0].shape, |i| x[0].data[i] + (self.a * x[0].data[i]).sin().powi(2) / self.a)
    }
    /// `1 + sin(2 a x)`, of the library's own operations.
    fn gradient(&self, x: &[Tensor], _y: &Tensor, dy: &Tensor) -> Vjp {
        Vjp::Of(vec![Some(dy * ((&x[0] * (2.0 * self.a)).sin() + 1.0))])
    }
    /// Bindings `x0` and `y`, constants as `Y_LEN` and the entry point are the library's.
    fn wgsl(&self, _x: &[&[usize]], y: &[usize]) -> Wgsl {
        let source = format!(
            "const A: f32 = {:?}f;

             fn run(group: u32, local: u32) {{
                 let i = group * 64u + local;
                 if (i < Y_LEN) {{
                     let s = sin(A * x0[i]);
                     y[i] = x0[i] + s * s / A;
                 }}
             }}",
            self.a as f32
        );
        Wgsl { source, workgroup: 64, groups: y.iter().product::<usize>().div_ceil(64) }
    }
    fn cpu(&self, x: &[Operand<'_>], y: &mut [f32]) {
        let a = self.a as f32;
        y.iter_mut().zip(x[0].data).for_each(|(y, &v)| *y = v + (a * v).sin().powi(2) / a);
    }
}

/// The case to prove, on an ugly shape.
const CASE: Case = Case {
    name: "snake",
    args: &[real(&[7, 33])],
    build: |x| x[0].custom(Snake { a: 1.0 }, &[]),
    tolerance: 2e-5,
    gradient: true,
};

const POINTS: usize = 128;

/// `sin` at even places between two points.
fn wave(from: f32, to: f32) -> [HostTensor; 2] {
    let x: Vec<f32> = (0..POINTS).map(|i| from + (to - from) * i as f32 / POINTS as f32).collect();
    let y: Vec<f32> = x.iter().map(|x| x.sin()).collect();
    [x, y].map(|v| HostTensor::f32(&[POINTS, 1], &v))
}

/// Mean squared errors from -10 to 10, the range of the training data, and from 10 to 16, beyond it.
fn learn(device: &str, activation: fn(&Tensor) -> Tensor, steps: u64) -> wgrad::Result<[f32; 2]> {
    let (device, _) = Device::open(&device.parse()?)?;
    let net = Net::new(Mode::Train);
    let [x, y] = ["x", "y"].map(|name| net.input(name, Type::f32(&[POINTS, 1])));
    let hidden = activation(&net.linear("fc1", &x, 32));
    let hidden = activation(&net.linear("fc2", &hidden, 32));
    let loss = net.linear("fc3", &hidden, 1).mse_loss(&y);
    net.output("loss", &loss);
    // The graph without updates, for evaluation.
    let plain = net.graph();
    let options = TrainerOptions::default().seed(1);
    let mut trainer = net.trainer_with(&loss, Optimizer::adam(), &device, options)?;
    let [x, y] = wave(-10.0, 10.0);
    for step in 0..steps {
        trainer.step([("x", &x), ("y", &y)], Schedule::Cosine.rate(0.01, step, steps))?;
    }
    let mut evaluator = trainer.evaluator(&plain)?;
    let mut error = |[x, y]: [HostTensor; 2]| -> wgrad::Result<f32> {
        Ok(evaluator.run([("x", &x), ("y", &y)])?.scalar("loss"))
    };
    Ok([error(wave(-10.0, 10.0))?, error(wave(10.0, 16.0))?])
}

fn main() -> wgrad::Result<()> {
    let report = prove(&CASE)?;
    assert!(report.is_sound(), "{}", report.complaints().join("\n"));
    report.variants.iter().for_each(|f| println!("proved on {:<16} error {:.0e}", f.target, f.relative));

    let steps = if wgrad_examples::quick() { 1500 } else { 4000 };
    println!("\nerror of         where it learnt  beyond");
    for device in report.variants.iter().map(|f| f.target.as_str()).filter(|t| !t.starts_with("webgpu")) {
        let [inside, beyond] = learn(device, |x| x.custom(Snake { a: 1.0 }, &[]), steps)?;
        println!("snake, {device:<8}  {inside:<15.5}  {beyond:.5}");
        assert!(inside < 0.01, "it should learn the wave");
    }
    let [inside, beyond] = learn("cpu", Tensor::tanh, steps)?;
    println!("tanh,  cpu       {inside:<15.5}  {beyond:.5}");
    Ok(())
}
